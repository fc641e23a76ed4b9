// Builds ../static (index.html, app.js, app.css, THIRD_PARTY_NOTICES.txt), the same bytes every time:
//   npm ci && npm run build            writes into ../static
//   npm run build -- --outdir DIR      writes into DIR, to compare
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { outdir: { type: "string", default: path.join(here, "..", "static") } } });
const outdir = path.resolve(values.outdir);

/** Packages whose code slack-blocks-to-jsx carries inside its own build; installed here for their licence only. */
const CARRIED = ["@yozora/ast"];

/**
 * The library hangs its styles on an id; a page with many messages has many of them, so a class does it here.
 * Its reset then loses weight too (:where), or it would beat the library's own utility classes.
 */
const stylesByClass = {
  name: "styles-by-class",
  setup({ onLoad }) {
    onLoad({ filter: /slack-blocks-to-jsx[\\/]dist[\\/]style\.css$/ }, async (file) => ({
      contents: (await readFile(file.path, "utf8"))
        .replaceAll("#slack_blocks_to_jsx", ".slack_blocks_to_jsx")
        .replaceAll(".slack_blocks_to_jsx.styles_enabled", ":where(.slack_blocks_to_jsx.styles_enabled)"),
      loader: "css",
    }));
  },
};

/** Names of the npm packages that gave code or styles to the bundle. */
function packagesIn(metafile) {
  const names = Object.keys(metafile.inputs)
    .map((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
    .filter(Boolean);
  return [...new Set([...names, ...CARRIED])].sort();
}

async function noticeOf(name) {
  const folder = path.join(here, "node_modules", name);
  const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const licenceFile = (await readdir(folder)).sort().find((file) => /^licen[cs]e/i.test(file));
  if (!about.license) throw new Error(`${name} names no licence`);
  const text = licenceFile ? await readFile(path.join(folder, licenceFile), "utf8") : `Licence: ${about.license} (the package has no licence file)\n`;
  const carried = CARRIED.includes(name) ? " (and the other @yozora packages, inside slack-blocks-to-jsx)" : "";
  return `${name} ${about.version}${carried} · ${about.license}\n\n${text.replace(/\r\n/g, "\n").trim()}\n`;
}

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.js" },
  outdir,
  bundle: true,
  minify: true,
  metafile: true,
  format: "iife",
  target: ["chrome109", "firefox115", "safari16.4"],
  charset: "utf8",
  jsx: "automatic",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [stylesByClass],
  logLevel: "warning",
});

const packages = packagesIn(result.metafile);
const notices = await Promise.all(packages.map(noticeOf));
const intro = "The page of das-bot's local workspace contains code of these packages.\n";
await mkdir(outdir, { recursive: true });
await writeFile(path.join(outdir, "THIRD_PARTY_NOTICES.txt"), [intro, ...notices].join(`\n${"-".repeat(78)}\n\n`));
await copyFile(path.join(here, "src", "index.html"), path.join(outdir, "index.html"));
console.log(`${packages.length} packages bundled into ${path.relative(process.cwd(), outdir) || outdir}`);
