// Slack's mrkdwn and plain text as rich_text elements, so that one renderer draws every kind of text.
// Follows "Formatting text for app surfaces" of Slack's documentation: *bold* _italic_ ~strike~ `code` ``` > <…> :emoji:

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
const STYLE_OF = { "*": "bold", _: "italic", "~": "strike" };
const EMOJI = ":(?<emoji>[a-z0-9_+'-]+)(?:::skin-tone-(?<tone>[2-6]))?:";
const INLINE = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<angle>[^<>\\n]+)>",
    EMOJI,
    "(?<url>https?://[^\\s<>|`]*[^\\s<>|`.,;:!?)'\"，。；：！？、）])",
    // A mark inside a word is no mark: snake_case, 2*3*4, and Chinese without spaces, as in Slack.
    "(?<![\\p{L}\\p{N}])(?<mark>[*_~])(?<styled>(?=\\S)(?:(?!\\k<mark>)[^\\n])*?\\S)\\k<mark>(?![\\p{L}\\p{N}])",
  ].join("|"),
  "gu",
);

export function decodeEntities(text) {
  return text.replace(/&(?:lt|gt|amp);/g, (entity) => ENTITIES[entity]);
}

/** True for the addresses a page may link to; everything else stays text. */
export function isSafeUrl(url) {
  return /^(?:https?:\/\/|mailto:)/i.test(String(url));
}

/** The same text with numbers bound to the short unit that follows them. */
export function withUnits(text) {
  return text.replace(/(\d) (?=[\p{L}%°µ/²³]{1,6}(?![\p{L}]))/gu, "$1\u00a0");
}

function textElement(text, style) {
  const element = { type: "text", text: decodeEntities(text) };
  return Object.keys(style).length ? { ...element, style } : element;
}

/** What stands between angle brackets: a mention, a date, a link, or nothing known (null). */
function angleElement(inside, style) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : inside.slice(bar + 1);
  if (/^@[UW]/.test(target)) return { type: "user", user_id: target.slice(1), style };
  if (/^#C/.test(target)) return { type: "channel", channel_id: target.slice(1), style };
  if (/^!(?:here|channel|everyone)$/.test(target)) return { type: "broadcast", range: target.slice(1), style };
  if (target.startsWith("!")) return label ? textElement(label, style) : null;
  if (!isSafeUrl(target)) return null;
  const url = decodeEntities(target);
  return { type: "link", url, text: decodeEntities(label) || url.replace(/^mailto:/i, ""), style };
}

function inlineElements(text, style, verbatim) {
  const elements = [];
  let plainFrom = 0;
  for (const found of text.matchAll(INLINE)) {
    const { code, angle, emoji, tone, url, mark, styled } = found.groups;
    const end = found.index + found[0].length;
    let drawn = null;
    if (code) drawn = [textElement(code, { ...style, code: true })];
    else if (angle) drawn = [angleElement(angle, style)];
    else if (emoji) drawn = [{ type: "emoji", name: emoji, ...(tone && { skin_tone: Number(tone) }) }];
    else if (url && !verbatim) drawn = [{ type: "link", url: decodeEntities(url), style }];
    else if (mark) drawn = inlineElements(styled, { ...style, [STYLE_OF[mark]]: true }, verbatim);
    if (!drawn || drawn[0] === null) continue;
    if (found.index > plainFrom) elements.push(textElement(text.slice(plainFrom, found.index), style));
    elements.push(...drawn);
    plainFrom = end;
  }
  if (plainFrom < text.length) elements.push(textElement(text.slice(plainFrom), style));
  return elements;
}

/** Lines of text outside code fences, quotes gathered into quote elements. */
function paragraphElements(text, verbatim) {
  const groups = [];
  for (const line of text.split("\n")) {
    const quote = /^(?:&gt;|>) ?/.exec(line);
    const content = quote ? line.slice(quote[0].length) : line;
    const last = groups.at(-1);
    if (last && last.quoted === Boolean(quote)) last.lines.push(content);
    else groups.push({ quoted: Boolean(quote), lines: [content] });
  }
  return groups.map(({ quoted, lines }) => ({
    type: quoted ? "rich_text_quote" : "rich_text_section",
    elements: inlineElements(lines.join("\n"), {}, verbatim),
  }));
}

/** mrkdwn → elements of a rich_text block. `verbatim` leaves bare addresses unlinked, as Slack does. */
export function mrkdwnElements(text, verbatim = false) {
  const elements = [];
  text.split(/```\n?/).forEach((part, index, parts) => {
    const fenced = index % 2 === 1 && index < parts.length - 1;
    if (fenced) elements.push({ type: "rich_text_preformatted", elements: [textElement(part.replace(/\n$/, ""), {})] });
    else if (index % 2 === 1) elements.push(...paragraphElements("```" + part, verbatim));
    else if (part.trim()) elements.push(...paragraphElements(part.replace(/^\n|\n$/g, ""), verbatim));
  });
  return elements;
}

/** plain_text → elements: literal but for emoji names. */
export function plainElements(text) {
  const elements = [];
  let from = 0;
  for (const found of text.matchAll(new RegExp(EMOJI, "gu"))) {
    if (found.index > from) elements.push(textElement(text.slice(from, found.index), {}));
    elements.push({ type: "emoji", name: found.groups.emoji });
    from = found.index + found[0].length;
  }
  if (from < text.length) elements.push(textElement(text.slice(from), {}));
  return [{ type: "rich_text_section", elements }];
}

/** A text object of Block Kit as a rich_text block. */
export function richText(textObject, blockId) {
  const { type, text = "", verbatim } = textObject ?? {};
  const elements = type === "plain_text" ? plainElements(text) : mrkdwnElements(text, verbatim);
  return { type: "rich_text", block_id: blockId, elements };
}
