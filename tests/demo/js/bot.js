// A small bot on Slack's official JavaScript Bolt. It knows nothing of this project: it connects to the
// workspace named by SLACK_API_URL over Socket Mode, answers mentions, a slash command and a button.
const { App, LogLevel } = require("@slack/bolt");

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  logLevel: LogLevel.WARN,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

app.event("app_mention", async ({ event, client }) => {
  const thread = { channel: event.channel, thread_ts: event.thread_ts || event.ts };
  const posted = await client.chat.postMessage({
    ...thread,
    text: "on it",
    metadata: { event_type: "judge", event_payload: { asked: event.ts } },
  });
  await client.chat.update({
    channel: event.channel,
    ts: posted.ts,
    text: `done: ${event.text}`,
    blocks: [
      { type: "section", text: { type: "mrkdwn", text: "done" } },
      {
        type: "actions",
        elements: [
          { type: "button", action_id: "judge", value: "seven", text: { type: "plain_text", text: "Judge" } },
        ],
      },
    ],
  });
});

app.command("/judge", async ({ command, ack }) => {
  await ack(`you said ${command.text} in ${command.channel_name}`);
});

app.action("judge", async ({ action, ack, respond }) => {
  await ack();
  await respond({ text: `pressed ${action.value}`, replace_original: false });
});

app.start().then(() => process.stdout.write("connected\n"));
process.stdin.on("end", () => app.stop().then(() => process.exit(0)));
process.stdin.resume();
