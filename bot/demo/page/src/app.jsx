// The page as a whole: which channel and thread are open, who one is, and what sending a text does.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { Names } from "./blocks.jsx";
import { Me } from "./me.js";
import { Modal } from "./modal.jsx";
import { displayName } from "./people.jsx";
import * as server from "./server.js";
import { Sidebar, visibleChannels } from "./sidebar.jsx";
import { ChannelView, ThreadPane } from "./views.jsx";
import { allCommands, rootsOf, threadOf, useWorkspace } from "./workspace.js";

const HOME_CHANNEL = "C0DBOPS001";
/** A bot's root message that names the person this soon after their command is taken for its effect. */
const COMMAND_ECHO_MS = 15_000;

/** The address keeps the place: #channel/person/thread. */
const placeOf = (hash) => {
  const [channel = "", user = "", thread = ""] = hash.slice(1).split("/");
  return { channel, user, thread };
};

function usePlace(state) {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  const people = state?.users.filter((u) => !u.is_bot) ?? [];
  const user = (people.find((u) => u.id === place.user) ?? people[0])?.id ?? "";
  const visible = state ? visibleChannels(state, user) : [];
  const channel = visible.find((c) => c.id === place.channel) ?? visible.find((c) => c.id === HOME_CHANNEL) ?? visible[0];
  const thread = channel?.id === place.channel ? place.thread : "";
  const address = [channel?.id ?? "", user, thread].join("/").replace(/\/$/, "");
  useEffect(() => {
    if (state) history.replaceState(null, "", `#${address}`);
  }, [state, address]);
  useEffect(() => {
    // The event's own address: the effect above may have put the old one back before this is heard.
    const follow = ({ newURL }) => setPlace(placeOf(new URL(newURL).hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const go = useCallback((next) => setPlace((now) => ({ ...now, ...next })), []);
  return { user, channel, thread, go };
}

function Loading({ error }) {
  return (
    <div className="loading" role="status">
      {error ? `The workspace did not answer: ${error.message}` : "Opening the workspace…"}
    </div>
  );
}

/** A bot posts for a command in the person's name: its root message mentions them. */
const answersCommand = (message, asked, me) =>
  asked && message.channel === asked.channel && !message.ephemeral && !message.thread_ts &&
  message.bot_id && message.text?.includes(`<@${me}>`) && Date.now() - asked.at < COMMAND_ECHO_MS;

function App() {
  const [first, setFirst] = useState(null);
  const { user, channel, thread, go } = usePlace(first);
  const [unread, setUnread] = useState(new Set());
  const asked = useRef(null);

  const onArrival = (message) => {
    const isNew = (message.versions ?? 1) <= 1;
    if (isNew && message.channel !== channel?.id && message.user !== user) setUnread((all) => new Set(all).add(message.channel));
    if (answersCommand(message, asked.current, user)) {
      asked.current = null;
      go({ channel: message.channel, user, thread: message.ts });
    }
  };
  const { state, error, connected, messages, statuses, modal } = useWorkspace(user, channel?.id, onArrival);
  useEffect(() => setFirst(state), [state]);

  const users = useMemo(() => new Map((state?.users ?? []).map((u) => [u.id, u])), [state]);
  const names = useMemo(
    () => ({
      users: (state?.users ?? []).map((u) => ({ id: u.id, name: displayName(u) })),
      channels: (state?.channels ?? []).filter((c) => !c.is_im).map(({ id, name }) => ({ id, name })),
    }),
    [state],
  );
  const inChannel = channel ? messages[channel.id] : undefined;
  const roots = useMemo(() => (inChannel ? rootsOf(inChannel) : null), [inChannel]);
  const inThread = useMemo(() => (inChannel && thread ? threadOf(inChannel, thread) : []), [inChannel, thread]);
  // A workspace that was started anew does not know the thread in the address.
  const threadIsOpen = Boolean(thread) && (!inChannel || inThread.length > 0);
  const openThread = useCallback((ts) => go({ channel: channel?.id, user, thread: ts }), [go, channel?.id, user]);

  if (!state || !channel) return <Loading error={error} />;

  const openChannel = (id) => {
    setUnread((all) => new Set([...all].filter((each) => each !== id)));
    go({ channel: id, user, thread: "" });
  };
  const switchUser = (id) => {
    setUnread(new Set());
    // The thread stays open: that is how several people talk in one. A channel they do not see closes it.
    go(channel.is_im ? { channel: "", user: id, thread: "" } : { channel: channel.id, user: id, thread });
  };
  const sendToChannel = async (text) => {
    if (text.startsWith("/")) return runCommand(text);
    const { ts } = await server.post({ user, channel: channel.id, text });
    const bot = users.get(state.bot);
    const addressed = text.toLowerCase().includes(`@${bot?.name}`.toLowerCase()) || text.includes(`<@${state.bot}`);
    if (ts && (channel.is_im || (addressed && channel.bot_is_member))) openThread(ts);
  };
  const runCommand = async (text) => {
    const [command] = text.split(/\s/, 1);
    if (!allCommands(state).some((known) => known.command === command)) throw new Error(`${command} is not a valid command.`);
    asked.current = { channel: channel.id, at: Date.now() };
    await server.command({ user, channel: channel.id, command, text: text.slice(command.length).trim() });
  };
  const sendToThread = async (text) => {
    const [command] = text.split(/\s/, 1);
    if (allCommands(state).some((known) => known.command === command)) throw new Error(`${command} is not supported in threads.`);
    await server.post({ user, channel: channel.id, text, thread_ts: thread });
  };

  return (
    <Me.Provider value={user}>
      <Names.Provider value={names}>
        {!connected && <div className="offline" role="status" data-testid="offline">Connection lost. Trying again…</div>}
        <div className={threadIsOpen ? "page page_thread" : "page"}>
          <Sidebar state={state} users={users} me={user} current={channel.id} unread={unread} onOpen={openChannel} onSwitch={switchUser} />
          <ChannelView key={user} state={state} channel={channel} users={users} roots={roots} onOpenThread={openThread} onSend={sendToChannel} />
          {threadIsOpen && (
            <ThreadPane
              key={`${user} ${thread}`}
              state={state}
              channel={channel}
              users={users}
              rootTs={thread}
              messages={inThread}
              status={statuses[`${channel.id}/${thread}`]}
              onClose={() => openThread("")}
              onSend={sendToThread}
            />
          )}
        </div>
        {modal && <Modal key={modal.id} view={modal} />}
      </Names.Provider>
    </Me.Provider>
  );
}

createRoot(document.getElementById("page")).render(<App />);
