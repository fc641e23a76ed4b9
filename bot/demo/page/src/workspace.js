// The page's copy of the workspace: who is there, the messages by channel, kept current by the event stream.
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { listen, readMessages, readState } from "./server.js";

const newer = (mine, theirs) => (mine && (mine.versions ?? 0) > (theirs.versions ?? 0) ? mine : theirs);

/** State: channel id → Map of ts → message. A late answer never overwrites a newer version of a message. */
export function foldMessages(state, change) {
  if (change.type === "reset") return {};
  const channel = change.channel;
  const before = state[channel] ?? new Map();
  const after = new Map(change.type === "all" ? [] : before);
  if (change.type === "all") for (const m of change.messages) after.set(m.ts, newer(before.get(m.ts), m));
  else if (change.type === "message") after.set(change.message.ts, newer(before.get(change.message.ts), change.message));
  else if (change.type === "deleted") after.delete(change.ts);
  return { ...state, [channel]: after };
}

const byTs = (a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);
export const isReply = (m) => Boolean(m.thread_ts) && m.thread_ts !== m.ts;

/** What the channel view shows: roots with their replies counted. */
export function rootsOf(messages) {
  const replies = new Map();
  for (const m of messages.values()) if (isReply(m) && !m.ephemeral) replies.set(m.thread_ts, [...(replies.get(m.thread_ts) ?? []), m]);
  return [...messages.values()].filter((m) => !isReply(m)).sort(byTs).map((message) => ({ message, replies: (replies.get(message.ts) ?? []).sort(byTs) }));
}

export const threadOf = (messages, rootTs) =>
  [...messages.values()].filter((m) => m.ts === rootTs || m.thread_ts === rootTs).sort(byTs);

/** The app's commands and Slack's own. */
export const allCommands = (state) => [...state.commands, ...(state.own_commands ?? [])];

/** The workspace as `user` sees it; `channel` is loaded at once, onArrival hears each message as it comes in. */
export function useWorkspace(user, channel, onArrival) {
  const [state, setState] = useState(null);
  const [error, setError] = useState(null);
  const [connected, setConnected] = useState(true);
  const [statuses, setStatuses] = useState({});
  const [modal, setModal] = useState(null);
  const [messages, change] = useReducer(foldMessages, {});
  const loaded = useRef(new Set());
  const fetches = useRef(new Map());
  const arrival = useRef(onArrival);
  arrival.current = onArrival;

  const fetchState = useCallback(() => readState().then(setState).then(() => setError(null), setError), []);
  const fetchChannel = useCallback(
    async (id) => {
      const fetching = { id, heard: [] };
      fetches.current.set(id, fetching);
      try {
        const found = await readMessages(id, user);
        if (fetches.current.get(id) !== fetching) return; // a later fetch knows more
        fetches.current.delete(id);
        change({ type: "all", channel: id, messages: found });
        fetching.heard.forEach(change); // what the stream said meanwhile may not be in the answer
      } catch (failure) {
        setError(failure);
      }
    },
    [user],
  );
  const hear = useCallback((event) => {
    fetches.current.get(event.channel)?.heard.push(event);
    change(event);
  }, []);
  useEffect(() => void fetchState(), [fetchState]);

  useEffect(() => {
    if (!user || !channel) return;
    loaded.current.add(channel);
    fetchChannel(channel);
  }, [user, channel, fetchChannel]);

  useEffect(() => {
    if (!user) return;
    let opened = false;
    const onOpen = () => {
      setConnected(true);
      if (opened) fetchState();
      opened = true;
      setStatuses({}); // an end of "is thinking…" may have been missed
      setModal(null); // told again if it is still there
      for (const id of loaded.current) fetchChannel(id);
    };
    const onEvent = (event) => {
      if (event.type === "message") {
        hear({ type: "message", channel: event.message.channel, message: event.message });
        arrival.current(event.message);
      } else if (event.type === "deleted") hear(event);
      else if (event.type === "modal") setModal(event.view);
      else if (event.type === "channels") fetchState();
      else if (event.type === "status") setStatuses((all) => ({ ...all, [`${event.channel}/${event.thread_ts}`]: event.status }));
    };
    const stop = listen(user, { onEvent, onOpen, onLost: () => setConnected(false) });
    return () => {
      stop();
      loaded.current.clear();
      fetches.current.clear();
      setStatuses({});
      setModal(null);
      change({ type: "reset" });
    };
  }, [user, fetchState, fetchChannel, hear]);

  return { state, error, connected, messages, statuses, modal };
}
