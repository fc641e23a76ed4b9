// The calls the page makes to the local workspace that serves it, all on its own origin.

async function read(path) {
  const response = await fetch(path);
  const answer = response.ok ? await response.json() : {};
  if (!response.ok || answer.ok === false) throw new Error(answer.error ?? `${path.split("?")[0]} answered ${response.status}`);
  return answer;
}

/** Refusals of a submitted modal, by block_id. */
export class Refused extends Error {
  constructor(errors) {
    super("");
    this.errors = errors;
  }
}

/** How long a stream lives is told in seconds left; the page keeps its own end of it. */
function withEnd(message) {
  return message.streaming ? { ...message, streaming: { until: Date.now() + message.streaming.seconds_left * 1_000 } } : message;
}

async function send(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (answer.errors) throw new Refused(answer.errors);
  if (!response.ok || answer.ok === false) throw new Error(answer.error ?? answer.response ?? `${path} answered ${response.status}`);
  return answer;
}

export const readState = () => read("/page/state");
export const readMessages = (channel, user) =>
  read(`/page/messages?channel=${encodeURIComponent(channel)}&user=${encodeURIComponent(user)}`).then((body) => body.messages.map(withEnd));
export const post = (body) => send("/page/post", body);
export const command = (body) => send("/page/command", body);
export const action = (body) => send("/page/action", body);
export const remove = (body) => send("/page/delete", body);
export const stop = (body) => send("/page/stop", body);
export const submit = (body) => send("/page/submit", body);
export const close = (body) => send("/page/close", body);

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;

/**
 * Listens to the workspace as `user` and never gives up: onEvent gets each event, onOpen runs at every
 * (re)connection so that the caller can fetch what it missed, onLost when the line is down. Returns a stop function.
 */
export function listen(user, { onEvent, onOpen, onLost }) {
  let source = null;
  let timer = null;
  let retryMs = FIRST_RETRY_MS;
  const connect = () => {
    source = new EventSource(`/page/events?user=${encodeURIComponent(user)}`);
    source.onopen = () => {
      retryMs = FIRST_RETRY_MS;
      onOpen();
    };
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      onEvent(event.message ? { ...event, message: withEnd(event.message) } : event);
    };
    source.onerror = () => {
      // A browser retries by itself only some failures; closing and reopening covers them all.
      source.close();
      onLost();
      timer = setTimeout(connect, retryMs);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    };
  };
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
