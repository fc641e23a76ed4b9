// Finds which Block Kit element a click meant. The library has no hook for actions, but DOM ids are the
// action_id of elements and the block_id of blocks, so one listener per message serves every button.

/** Every interactive element of the blocks with the block_id it belongs to. */
function interactive(blocks) {
  return blocks.flatMap((block) => {
    const elements = [...(block.elements ?? []), ...(block.accessory ? [block.accessory] : [])];
    const here = elements.filter((e) => e.action_id).map((element) => ({ block_id: block.block_id ?? "", element }));
    return [...here, ...interactive(block.child_blocks ?? [])];
  });
}

/**
 * The action of a click inside `root`, or null when it hit no button of the message.
 * Returns {button, block_id, action_id, value, element}.
 */
export function actionOf(target, root, blocks) {
  const button = target.closest("button");
  if (!button || !root.contains(button)) return null;
  const ids = [];
  for (let node = button; node && node !== root; node = node.parentElement) if (node.id) ids.push(node.id);
  const candidates = interactive(blocks).filter(({ element }) => ids.includes(element.action_id));
  const found = candidates.find(({ block_id }) => ids.includes(block_id)) ?? candidates[0];
  if (!found) return null;
  const { block_id, element } = found;
  let value = element.value ?? "";
  if (element.type === "feedback_buttons") {
    const first = button.parentElement.querySelector("button") === button;
    value = (first ? element.positive_button : element.negative_button).value;
  }
  return { button, block_id, action_id: element.action_id, value, element };
}
