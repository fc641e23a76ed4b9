// The left side: the workspace, its channels, the direct message with the bot, and who one is.
import { Avatar, displayName } from "./people.jsx";

/** Channels this person can see: those they are in, and of direct messages only their own. */
export function visibleChannels(state, me) {
  return state.channels.filter((c) => (c.is_im ? c.user === me : c.members.includes(me)));
}

function ChannelLink({ channel, label, sign, current, unread, onOpen }) {
  return (
    <li>
      <button
        type="button"
        className={unread ? "channel channel_unread" : "channel"}
        aria-current={current ? "page" : undefined}
        data-testid={`channel-${channel.id}`}
        onClick={() => onOpen(channel.id)}
      >
        {sign}
        <span className="channel_name">{label}</span>
        {channel.is_ext_shared && <span className="channel_shared" title="Shared with another company">⇄</span>}
        {unread && <span className="channel_dot" aria-label="unread" />}
      </button>
    </li>
  );
}

export function Sidebar({ state, users, me, current, unread, onOpen, onSwitch }) {
  const visible = visibleChannels(state, me);
  const bot = users.get(state.bot);
  const link = (c, label, sign) => (
    <ChannelLink key={c.id} channel={c} label={label} sign={sign} current={c.id === current} unread={unread.has(c.id)} onOpen={onOpen} />
  );
  return (
    <nav className="sidebar" aria-label="Workspace">
      <h1>{state.team.name}</h1>
      <div className="sidebar_lists">
        <h2>Channels</h2>
        <ul>{visible.filter((c) => !c.is_im).map((c) => link(c, c.name, <span className="channel_hash" aria-hidden="true">#</span>))}</ul>
        <h2>Direct messages</h2>
        <ul>{visible.filter((c) => c.is_im).map((c) => link(c, displayName(bot), <Avatar user={bot} small />))}</ul>
      </div>
      <label className="who">
        <Avatar user={users.get(me)} />
        <span>
          <span className="who_label">You are</span>
          <select value={me} data-testid="user-switch" onChange={({ target }) => onSwitch(target.value)}>
            {state.users.filter((u) => !u.is_bot).map((u) => (
              <option key={u.id} value={u.id}>{displayName(u)}{u.is_stranger ? " (partner)" : ""}</option>
            ))}
          </select>
        </span>
      </label>
    </nav>
  );
}
