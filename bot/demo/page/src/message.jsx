// One message: who, when, what; its clicks become actions, its replies a link to the thread.
import { emojify } from "node-emoji";
import { memo, useContext, useRef, useState } from "react";
import { actionOf } from "./actions.js";
import { MessageBody } from "./blocks.jsx";
import { isSafeUrl } from "./mrkdwn.js";
import { Avatar, clock, displayName, fullTime } from "./people.jsx";
import * as server from "./server.js";
import { Me } from "./me.js";

const KILO = 1024;

const size = (bytes) => (bytes >= KILO * KILO ? `${(bytes / KILO / KILO).toFixed(1)} MB` : bytes >= KILO ? `${Math.round(bytes / KILO)} KB` : `${bytes} bytes`);

function Reactions({ reactions }) {
  return (
    <div className="reactions">
      {Object.entries(reactions).map(([name, people]) => <span key={name} className="reaction" title={name}>{emojify(`:${name}:`)} {people.length}</span>)}
    </div>
  );
}

function Files({ files }) {
  return (
    <div className="files">
      {files.map((file, index) => {
        const name = file.name ?? file.title ?? "file";
        const safe = isSafeUrl(file.url) || /^\/(?!\/)/.test(file.url ?? "");
        return safe ? (
          <span key={index} className="file">
            <a href={file.url} download={name}>📄 {name}</a>
            {file.size > 0 && <span className="file_size"> {size(file.size)}</span>}
          </span>
        ) : (
          <span key={index} className="file">📄 {name}</span>
        );
      })}
    </div>
  );
}

function RepliesLink({ replies, users, count, onOpen }) {
  const writers = [...new Set(replies.map((m) => m.user))].slice(0, 4);
  return (
    <button type="button" className="replies" data-testid="replies" onClick={onOpen}>
      {writers.map((id) => <Avatar key={id} user={users.get(id)} small />)}
      <strong>{count === 1 ? "1 reply" : `${count} replies`}</strong>
      {replies.length > 0 && <span className="replies_last">last at {clock(replies.at(-1).ts)}</span>}
    </button>
  );
}

const SLACKBOT = "USLACKBOT";

const Head = ({ message, user }) => (
  <div className="message_head">
    <span className="message_name">{displayName(user) || (message.user === SLACKBOT ? "Slackbot" : message.user)}</span>
    {(message.bot_id || user?.is_bot) && <span className="badge">APP</span>}
    {user?.is_stranger && <span className="badge badge_stranger">other company</span>}
    <time title={`${fullTime(message.ts)} · ts ${message.ts} · version ${message.versions ?? 1}`}>{clock(message.ts)}</time>
  </div>
);

/** Marks the chosen one of two feedback buttons; the library draws them without a memory. */
function press(button, element) {
  if (element.type !== "feedback_buttons") return;
  for (const each of button.parentElement.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
}

const looksTheSame = (a, b) =>
  a.message === b.message && a.users === b.users && a.inThread === b.inThread && a.replies?.length === b.replies?.length;

export const MessageView = memo(function MessageView({ message, users, replies = [], inThread = false, onOpenThread }) {
  const me = useContext(Me);
  const body = useRef(null);
  const [failure, setFailure] = useState(null);
  const user = users.get(message.user);
  const count = Math.max(replies.length, message.reply_count ?? 0);

  const onClick = (event) => {
    const found = actionOf(event.target, body.current, message.blocks ?? []);
    if (!found) return;
    const { button, block_id, action_id, value, element } = found;
    if (element.confirm && !window.confirm(`${element.confirm.title?.text ?? ""}\n${element.confirm.text?.text ?? ""}`)) return;
    if (isSafeUrl(element.url)) window.open(element.url, "_blank", "noopener");
    press(button, element);
    setFailure(null);
    server
      .action({ user: me, channel: message.channel, ts: message.ts, block_id, action_id, value })
      .catch((error) => setFailure(`That click did not arrive: ${error.message}`));
  };

  const remove = () => {
    if (!window.confirm("Delete this message?")) return;
    server.remove({ user: me, channel: message.channel, ts: message.ts }).catch((error) => setFailure(`It was not deleted: ${error.message}`));
  };

  return (
    <article
      className={["message", message.ephemeral && "message_ephemeral", message.streaming && "message_streaming", message.looks_failed && "message_failed"].filter(Boolean).join(" ")}
      data-streaming={message.streaming ? "true" : undefined}
      data-testid={message.ephemeral ? "ephemeral" : "message"}
      data-ts={message.ts}
      data-versions={message.versions ?? 1}
      data-user={message.user}
    >
      <Avatar user={user} />
      <div className="message_main">
        {message.ephemeral && <div className="message_private">👁 Only visible to you</div>}
        <Head message={message} user={user} />
        <div className="message_body" ref={body} onClick={onClick}>
          <MessageBody message={message} place={`${message.channel} ${message.ts}`} />
          {message.edited && <span className="message_edited">(edited)</span>}
        </div>
        {message.files?.length > 0 && <Files files={message.files} />}
        {message.reactions && <Reactions reactions={message.reactions} />}
        {message.looks_failed && <div className="message_unfinished" role="status">⚠ Ended with a task unfinished</div>}
        {failure && <div className="failure" role="alert">{failure}</div>}
        {!inThread && count > 0 && <RepliesLink replies={replies} users={users} count={count} onOpen={() => onOpenThread(message.ts)} />}
        {!message.ephemeral && (
          <span className="message_tools">
            {!inThread && count === 0 && (
              <button type="button" className="message_tool" data-testid="reply-in-thread" onClick={() => onOpenThread(message.ts)}>Reply in thread</button>
            )}
            {message.user === me && <button type="button" className="message_tool" data-testid="delete" onClick={remove}>Delete</button>}
          </span>
        )}
      </div>
    </article>
  );
}, looksTheSame);
