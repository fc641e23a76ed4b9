// Prepares blocks for slack-blocks-to-jsx 1.1.1, which parses literal text and opens any address it is given.
import { emojify } from "node-emoji";
import { decodeEntities, isSafeUrl, withUnits } from "./mrkdwn.js";

/** Interactive elements whose clicks this page can send; others are named instead of drawn dead. */
const CLICKABLE = new Set(["button", "feedback_buttons", "icon_button"]);

/** plain_text for the library: `verbatim` makes it literal there, so emoji names are replaced here. */
export function literal(textObject) {
  if (!textObject) return textObject;
  return { type: "plain_text", text: emojify(decodeEntities(textObject.text ?? ""), { fallback: (name) => name }), verbatim: true };
}

function drawableElement(element) {
  if (!CLICKABLE.has(element.type)) {
    return { type: "button", text: literal({ text: `${element.type} (not drawn on this page)` }) };
  }
  const { confirm, url, ...drawn } = element;
  return drawn.text ? { ...drawn, text: literal(drawn.text) } : drawn;
}

/** Links to anything but http, https and mailto become plain text, however deep they stand. */
function withSafeLinks(value) {
  if (Array.isArray(value)) return value.map(withSafeLinks);
  if (!value || typeof value !== "object") return value;
  if (value.type === "link" && !isSafeUrl(value.url)) {
    return { type: "text", text: value.text || value.url, ...(value.style && { style: value.style }) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, withSafeLinks(child)]));
}

/** Every text below a value, its numbers bound to their units. */
function cellTexts(value) {
  if (Array.isArray(value)) return value.map(cellTexts);
  if (!value || typeof value !== "object") return value;
  const texts = Object.entries(value).map(([key, child]) => [key, key === "text" && typeof child === "string" ? withUnits(child) : cellTexts(child)]);
  return Object.fromEntries(texts);
}

function drawableCell(cell) {
  if (cell.type === "rich_text") return cellTexts(cell);
  const text = withUnits(String(cell.text ?? cell.value ?? ""));
  return { type: "rich_text", elements: [{ type: "rich_text_section", elements: [{ type: "text", text }] }] };
}

/** The same block in the form the library draws as Slack would. */
export function drawable(block) {
  const safe = withSafeLinks(block);
  switch (safe.type) {
    case "actions":
    case "context_actions":
      return { ...safe, elements: safe.elements.map(drawableElement) };
    case "table":
      return { ...safe, rows: safe.rows.map((row) => row.map(drawableCell)) };
    default:
      return safe;
  }
}
