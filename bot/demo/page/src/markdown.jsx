// A markdown block: CommonMark with tables, task lists and emoji names; pictures stay links, as in Slack.
import { emojify } from "node-emoji";
import ReactMarkdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { isSafeUrl } from "./mrkdwn.js";

function replaceEmoji(node) {
  if (node.type === "text") node.value = emojify(node.value, { fallback: (name) => name });
  node.children?.forEach(replaceEmoji);
}
const remarkEmoji = () => replaceEmoji;

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
        remarkPlugins={[remarkGfm, remarkEmoji]}
        components={components}
        urlTransform={(url) => (isSafeUrl(url) ? url : "")}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
}
