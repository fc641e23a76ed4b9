// What the composer offers while one types: people after "@", commands after a leading "/".
import { displayName } from "./people.jsx";

const MAX_OFFERED = 8;

/** The word under the caret that asks for suggestions: {sign, query, from}, or null. */
export function wordAt(text, caret) {
  const found = /(^|\s)([@/])([^\s@/]*)$/.exec(text.slice(0, caret));
  if (!found) return null;
  const [, before, sign, query] = found;
  const from = found.index + before.length;
  return sign === "/" && from > 0 ? null : { sign, query: query.toLowerCase(), from };
}

/** Suggestions for that word: [{key, label, hint, insert}]. Commands belong to channels, not to threads. */
export function suggestionsFor(word, { users, commands, inThread }) {
  if (!word) return [];
  if (word.sign === "/") {
    if (inThread) return [];
    return commands
      .filter(({ command }) => command.slice(1).toLowerCase().startsWith(word.query))
      .slice(0, MAX_OFFERED)
      .map(({ command, usage_hint, description }) => ({
        key: command,
        label: `${command} ${usage_hint ?? ""}`.trim(),
        hint: description ?? "",
        insert: `${command} `,
      }));
  }
  return [...users.values()]
    .filter((u) => [u.name, u.real_name].some((name) => name?.toLowerCase().startsWith(word.query)))
    .sort((a, b) => Number(b.is_bot) - Number(a.is_bot))
    .slice(0, MAX_OFFERED)
    .map((u) => ({ key: u.id, user: u, label: displayName(u), hint: u.is_bot ? "app" : u.name, insert: `@${u.name} ` }));
}
