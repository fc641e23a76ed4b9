// Draws the blocks of a message: leaves by slack-blocks-to-jsx, folds and texts here, where Slack and it differ.
import { Component, createContext, memo, useContext, useState } from "react";
import { Message as SlackBlocks } from "slack-blocks-to-jsx";
import { drawable } from "./drawable.js";
import { chooseFold, chosenFold, stableKeys } from "./folds.js";
import { Markdown } from "./markdown.jsx";
import { isSafeUrl, mrkdwnElements, richText } from "./mrkdwn.js";
import { Plan, TaskCard } from "./tasks.jsx";

/** Names for mentions: {users: [{id, name}], channels: [{id, name}]}. */
export const Names = createContext({ users: [], channels: [] });

const LEAVES = new Set(["rich_text", "table", "actions", "context_actions", "divider", "data_visualization"]);

const Leaf = memo(
  function Leaf({ block }) {
    const names = useContext(Names);
    return <SlackBlocks withoutWrapper theme="light" name="" logo="" blocks={[drawable(block)]} data={names} />;
  },
  (before, after) => JSON.stringify(before.block) === JSON.stringify(after.block),
);

const Text = ({ of, id }) => <Leaf block={richText(of, id)} />;

const drawRichText = (block) => <Leaf block={block} />;

function Section({ block }) {
  const { accessory } = block;
  return (
    <div className="section" id={block.block_id}>
      <div className="section_text">
        {block.text && <Text of={block.text} />}
        {block.fields && (
          <div className="section_fields">{block.fields.map((field, index) => <Text key={index} of={field} />)}</div>
        )}
      </div>
      {accessory?.action_id && <Leaf block={{ type: "actions", elements: [accessory] }} />}
      {accessory?.type === "image" && <Picture image={accessory} />}
    </div>
  );
}

function Picture({ image }) {
  const label = image.alt_text || image.title?.text || "Picture";
  const url = image.image_url ?? image.slack_file?.url;
  return isSafeUrl(url) ? <a className="file" href={url} target="_blank" rel="noreferrer noopener">🖼 {label}</a> : <span>🖼 {label}</span>;
}

const Context = ({ block }) => (
  <div className="context" id={block.block_id}>
    {block.elements.map((element, index) =>
      element.type === "image" ? <Picture key={index} image={element} /> : <Text key={index} of={element} />,
    )}
  </div>
);

const ALERT_SIGNS = { default: "ⓘ", info: "ⓘ", success: "✓", warning: "⚠", error: "⊗" };

const Alert = ({ block }) => {
  const level = block.level in ALERT_SIGNS ? block.level : "default";
  return (
    <div id={block.block_id} role={level === "error" ? "alert" : "status"} className={`alert alert_${level}`} data-level={level}>
      <span className="alert_sign" aria-hidden="true">{ALERT_SIGNS[level]}</span>
      <Text of={block.text} />
    </div>
  );
};

function Container({ block, path }) {
  const [choice, setChoice] = useState(() => chosenFold(path));
  const open = !block.is_collapsible || (choice ?? !block.default_collapsed);
  const flip = () => {
    chooseFold(path, !open);
    setChoice(!open);
  };
  const titles = (
    <span className="container_titles">
      <span className="container_title"><Text of={block.title} /></span>
      {block.subtitle && <span className="container_subtitle"><Text of={block.subtitle} /></span>}
    </span>
  );
  return (
    <div id={block.block_id} className={`container container_${block.width ?? "standard"}`} data-testid="container">
      {block.is_collapsible ? (
        <button type="button" className="container_header" data-testid="container-header" aria-expanded={open} onClick={flip}>
          {titles}
          <span className="container_caret" aria-hidden="true" />
        </button>
      ) : (
        <div className="container_header">{titles}</div>
      )}
      {open && <div className="container_content"><BlockList blocks={block.child_blocks ?? []} path={path} /></div>}
    </div>
  );
}

/** Keeps one malformed block from taking the page with it; the next version of the block gets another try. */
class Guard extends Component {
  state = { failed: null };
  static getDerivedStateFromError = (error) => ({ failed: error });
  componentDidUpdate(before) {
    if (this.state.failed && before.block !== this.props.block) this.setState({ failed: null });
  }
  render() {
    if (!this.state.failed) return this.props.children;
    return <div className="placeholder" data-testid="placeholder">A block of type “{this.props.block.type}” could not be drawn.</div>;
  }
}

function Block({ block, path }) {
  if (LEAVES.has(block.type)) return <Leaf block={block} />;
  switch (block.type) {
    case "container": return <Container block={block} path={path} />;
    case "task_card": return <TaskCard task={block} id={block.block_id} path={`${path} / ${block.task_id}`} draw={drawRichText} />;
    case "plan": return <Plan plan={block} path={path} draw={drawRichText} />;
    case "markdown": return <Markdown id={block.block_id} text={block.text} />;
    case "section": return <Section block={block} />;
    case "context": return <Context block={block} />;
    case "alert": return <Alert block={block} />;
    case "header": return <h3 className="header" id={block.block_id}><Text of={block.text} /></h3>;
    case "image": return <Picture image={block} />;
    default: return <div className="placeholder" data-testid="placeholder">A block of type “{block.type}” is here; this page does not draw it.</div>;
  }
}

function BlockList({ blocks, path }) {
  const keys = stableKeys(blocks);
  return blocks.map((block, index) => (
    <Guard key={keys[index]} block={block}><Block block={block} path={`${path} / ${keys[index]}`} /></Guard>
  ));
}

/** The blocks of a modal that ask for nothing. */
export const ViewBlocks = ({ blocks, place }) => <BlockList blocks={blocks} path={place} />;

/** The body of a message: its blocks, or its mrkdwn text where it has none. `place` names the message among folds. */
export function MessageBody({ message, place }) {
  if (message.blocks?.length) return <BlockList blocks={message.blocks} path={place} />;
  if (!message.text) return null;
  return <Leaf block={{ type: "rich_text", elements: mrkdwnElements(message.text) }} />;
}
