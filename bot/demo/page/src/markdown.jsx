// A markdown block: CommonMark with tables, task lists and emoji names; pictures stay links, as in Slack.
import { emojify } from "node-emoji";
import ReactMarkdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { isSafeUrl, withUnits } from "./mrkdwn.js";

function replaceEmoji(node) {
  if (node.type === "text") node.value = emojify(node.value, { fallback: (name) => name });
  node.children?.forEach(replaceEmoji);
}
const remarkEmoji = () => replaceEmoji;

/** A number and its unit, such as "1.84 s", stay on one line in the cells of a table. */
function joinUnits(node, inCell = false) {
  const here = inCell || node.type === "tableCell";
  if (here && node.type === "text") node.value = withUnits(node.value);
  node.children?.forEach((child) => joinUnits(child, here));
}
const remarkUnits = () => (tree) => joinUnits(tree);

const components = {
  a: ({ href, children }) =>
    href ? <a href={href} target="_blank" rel="noreferrer noopener">{children}</a> : <span>{children}</span>,
  img: ({ src, alt }) =>
    src ? <a href={src} target="_blank" rel="noreferrer noopener">{alt || src}</a> : <span>{alt}</span>,
  table: ({ children }) => <div className="wide"><table>{children}</table></div>,
};

export function Markdown({ id, text }) {
  return (
    <div id={id} className="markdown">
      <ReactMarkdown
        remarkPlugins={[remarkGfm, remarkEmoji, remarkUnits]}
        components={components}
        urlTransform={(url) => (isSafeUrl(url) ? url : "")}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
}
