// What a call that writes a message carries, in the types of Slack's SDK. Its own BlocksChunk and plan take any
// object for a block; here only the blocks it knows pass.
import type { KnownBlock, MarkdownTextChunk, PlanUpdateChunk, TaskUpdateChunk } from "@slack/types";

export interface KnownBlocksChunk {
  type: "blocks";
  blocks: KnownBlock[];
}
export type KnownChunk = KnownBlocksChunk | MarkdownTextChunk | PlanUpdateChunk | TaskUpdateChunk;
export interface Payload {
  blocks?: KnownBlock[];
  chunks?: KnownChunk[];
}
