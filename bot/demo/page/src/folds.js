// Which containers a person opened or closed. A growing reply is drawn anew many times, with new block_ids and
// changing titles ("… GetSlowLog" → "✓ GetSlowLog · 1.8 s"), so a fold is known by its title without sign and duration.

const choices = new Map();

/** The part of a container's title that stays the same while its call runs and ends. */
export function foldName(title) {
  return (title ?? "")
    .replace(/:[a-z0-9_+-]+:/g, "")
    .replace(/^[^\p{L}\p{N}]+/u, "")
    .replace(/ · [\d.,]+ ?(?:ms|s|m|min|秒|分)(?: [\d.]+ ?(?:s|秒))?$/u, "")
    .trim();
}

/** React keys for a list of blocks that survive rewrites: the type and, for containers, the title, then its ordinal. */
export function stableKeys(blocks) {
  const seen = new Map();
  return blocks.map((block) => {
    const name = block.type === "container" ? `container ${foldName(block.title?.text)}` : block.type;
    const ordinal = seen.get(name) ?? 0;
    seen.set(name, ordinal + 1);
    return `${name}#${ordinal}`;
  });
}

export const chosenFold = (path) => choices.get(path);
export const chooseFold = (path, open) => choices.set(path, open);
