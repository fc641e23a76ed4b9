// Writes ../../data/slack_types.schema.json, with the notice of the package it was made from:
//   npm ci && npm run build
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createGenerator } from "ts-json-schema-generator";

const here = path.dirname(fileURLToPath(import.meta.url));
const types = path.join(here, "node_modules", "@slack", "types");
const { version } = JSON.parse(await readFile(path.join(types, "package.json"), "utf8"));
const licence = (await readFile(path.join(types, "LICENSE"), "utf8")).trim();

const schema = createGenerator({
  path: path.join(here, "payload.ts"),
  tsconfig: path.join(here, "tsconfig.json"),
  type: "Payload",
  jsDoc: "none",
}).createSchema("Payload");
const notice = `Made from @slack/types ${version} by tests/judges/slack_types.\n\n${licence}`;
const target = path.join(here, "..", "..", "data", "slack_types.schema.json");
await writeFile(target, `${JSON.stringify({ $comment: notice, ...schema }, null, 1)}\n`);
console.log(`${path.relative(process.cwd(), target)}: ${Object.keys(schema.definitions).length} definitions`);
