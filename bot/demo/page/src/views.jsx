// The two places where messages are read and written: a channel and a thread beside it.
import { forwardRef, useContext, useEffect, useImperativeHandle, useRef, useState } from "react";
import { Composer } from "./composer.jsx";
import { Hints } from "./hints.jsx";
import { Me } from "./me.js";
import { MessageView } from "./message.jsx";
import { dayKey, dayName, displayName } from "./people.jsx";
import * as server from "./server.js";
import { useStick } from "./stick.js";
import { allCommands } from "./workspace.js";

const Scroll = forwardRef(function Scroll({ what, label, children }, ref) {
  const { scroller, content, below, toEnd } = useStick(what);
  useImperativeHandle(ref, () => ({ toEnd }), [toEnd]);
  return (
    <div className="scroll_frame">
      <div className="scroll" ref={scroller} tabIndex={0} role="log" aria-label={label} aria-live="off">
        <div className="scroll_content" ref={content}>{children}</div>
      </div>
      {below && <button type="button" className="to_end" onClick={toEnd}>↓ Newer below</button>}
    </div>
  );
});

/** Sends, and shows what was sent: a list read further up goes to its end. */
const sending = (onSend, list) => async (text) => {
  await onSend(text);
  list.current?.toEnd();
};

const Archived = () => <p className="archived">This channel is archived.</p>;

const channelTitle = (channel, users, bot) => (channel.is_im ? displayName(users.get(bot)) : `# ${channel.name}`);

export function ChannelView({ state, channel, users, roots, onOpenThread, onSend }) {
  const composer = useRef(null);
  const list = useRef(null);
  const [showHints, setShowHints] = useState(false);
  const title = channelTitle(channel, users, state.bot);
  const canAsk = channel.is_im || channel.bot_is_member;
  const empty = roots !== null && roots.length === 0;
  useEffect(() => {
    setShowHints(false);
    composer.current?.focus();
  }, [channel.id]);
  const pick = (text) => {
    setShowHints(false);
    composer.current.write(text);
  };
  return (
    <main className="channel_view">
      <header className="bar">
        <h2>{title}</h2>
        {channel.is_ext_shared && <span className="badge badge_stranger">shared with another company</span>}
        <span className="bar_topic">{channel.topic}</span>
      </header>
      <Scroll ref={list} what={channel.id} label={title}>
        {empty && canAsk && <Hints direct={channel.is_im} onPick={pick} />}
        {empty && !canAsk && <p className="quiet">Nothing here yet. {displayName(users.get(state.bot))} is not a member of this channel.</p>}
        {(roots ?? []).map(({ message, replies }, index) => (
          <div key={message.ts}>
            {(index === 0 || dayKey(roots[index - 1].message.ts) !== dayKey(message.ts)) && (
              <div className="day"><span>{dayName(message.ts)}</span></div>
            )}
            <MessageView message={message} users={users} replies={replies} onOpenThread={onOpenThread} />
          </div>
        ))}
      </Scroll>
      {showHints && !empty && <div className="hints_popup" onKeyDown={({ key }) => key === "Escape" && setShowHints(false)}><Hints direct={channel.is_im} onPick={pick} /></div>}
      {channel.is_archived ? <Archived /> : <Composer ref={composer} name="composer" placeholder={`Message ${title}`} users={users} commands={allCommands(state)} onSend={sending(onSend, list)}>
        {canAsk && !empty && (
          <button type="button" className="composer_tool" aria-pressed={showHints} data-testid="show-hints" onClick={() => setShowHints(!showHints)}>
            💡 Examples
          </button>
        )}
      </Composer>}
    </main>
  );
}

/** True while one of the messages streams; Slack ends a stream by itself when its time is over. */
function useStreaming(messages) {
  const ends = Math.max(0, ...messages.map((message) => message.streaming?.until ?? 0));
  const [over, setOver] = useState(0);
  useEffect(() => {
    const timer = ends > Date.now() ? setTimeout(() => setOver(ends), ends - Date.now()) : null;
    return () => clearTimeout(timer);
  }, [ends]);
  return ends > over && ends > Date.now();
}

/** Slack's own Stop: it ends the streams of a thread, then tells the app. */
function NativeStop({ channel, rootTs }) {
  const me = useContext(Me);
  const [failure, setFailure] = useState("");
  const stop = () => server.stop({ user: me, channel, thread_ts: rootTs }).catch((error) => setFailure(error.message));
  return (
    <>
      <button type="button" className="composer_stop" data-testid="native-stop" onClick={stop}>■ Stop</button>
      {failure && <span className="failure" role="alert">{failure}</span>}
    </>
  );
}

export function ThreadPane({ state, channel, users, rootTs, messages, status, onClose, onSend }) {
  const composer = useRef(null);
  const list = useRef(null);
  const streaming = useStreaming(messages);
  useEffect(() => composer.current?.focus(), [channel.id, rootTs]);
  const [root, ...replies] = messages;
  const bot = displayName(users.get(state.bot));
  return (
    <aside
      className="thread"
      aria-label="Thread"
      data-testid="thread-pane"
      data-thread-ts={rootTs}
      onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && onClose()}
    >
      <header className="bar">
        <h2>Thread</h2>
        <span className="bar_topic">{channelTitle(channel, users, state.bot)}</span>
        <button type="button" className="bar_close" aria-label="Close thread" data-testid="thread-close" onClick={onClose}>×</button>
      </header>
      <Scroll ref={list} what={`${channel.id} ${rootTs}`} label="Thread">
        {root && <MessageView message={root} users={users} inThread />}
        {replies.length > 0 && (
          <div className="day day_left"><span>{replies.length === 1 ? "1 reply" : `${replies.length} replies`}</span></div>
        )}
        {replies.map((message) => <MessageView key={message.ts} message={message} users={users} inThread />)}
        {status && <p className="status" data-testid="thread-status">{bot} {status}</p>}
      </Scroll>
      {channel.is_archived ? <Archived /> : (
        <Composer ref={composer} name="thread-composer" placeholder="Reply…" users={users} commands={[]} inThread onSend={sending(onSend, list)}>
          {streaming && <NativeStop channel={channel.id} rootTs={rootTs} />}
        </Composer>
      )}
    </aside>
  );
}
