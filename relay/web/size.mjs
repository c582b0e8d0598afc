// `npm run size`: what a browser fetches, gzipped, fonts apart. Fails beyond what was promised, and when something that
// only tests use is in it. `--json`: as numbers.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const FIRST_KB_MAX = 90;
const TERMINAL_KB_MAX = 200;
/** What the first look at metrics fetches beyond the list of servers: 22 kB of it draw charts. */
const METRICS_KB_MAX = 70;
/** Said by the made-up world alone. */
const MADE_UP = "ACME Logistics";

const page = readFileSync("dist/index.html", "utf8");
const assets = readdirSync("dist/assets").filter((name) => /\.(js|css)$/.test(name));
const text = (name) => readFileSync(`dist/assets/${name}`, "utf8");

/** The files that the page and what it imports need at once. */
function needed(source, into) {
  for (const name of assets) {
    const named = new RegExp(
      `(?:/assets/|from\\s*["'\`]\\./|import\\s*["'\`]\\./)${name.replaceAll(".", "\\.")}["'\`]`,
    );
    if (into.has(name) || !named.test(source)) continue;
    into.add(name);
    needed(text(name), into);
  }
  return into;
}

const kb = (names) =>
  [...names].reduce((all, name) => all + gzipSync(text(name), { level: 9 }).length, gzipSync(page).length) /
  1000;

/** What is needed at once together with files of these names. */
function together(names) {
  const all = new Set(needed(page, new Set()));
  for (const name of assets.filter((one) => names.some((start) => one.startsWith(`${start}-`)))) {
    all.add(name);
    needed(text(name), all);
  }
  return kb(all);
}

// The first sight is the sign-in, with the list of servers behind it. A terminal needs its page besides, all that is sealed, and the question before a passkey's
// touch, but no sign-in. What nobody waits for is left out: the other language, searching, the words to compare, a second signature, the
// other rooms; and drawing by WebGL, the widths of emoji and typed letters before their echoes, which are fetched behind the
// terminal and said by themselves.
const first = together(["SignIn", "Servers", "english"]);
const terminal = ["Server", "view", "TouchDialog", "shells", "own_keys", "english"];
const whole = together(terminal);
const behind = together([...terminal, "addon-webgl", "addon-unicode-graphemes", "local_echo"]) - whole;
// What is sealed comes with the list of servers, before anybody can look at one's metrics.
const listed = ["SignIn", "Servers", "english", "shells"];
const metrics = together([...listed, "Metrics", "plot", "metrics", "english.rooms"]) - together(listed);
const madeUp = assets.filter((name) => text(name).includes(MADE_UP));
const lines = [
  `first load ${first.toFixed(1)} kB gz (at most ${FIRST_KB_MAX})`,
  `with the terminal ${whole.toFixed(1)} kB gz (at most ${TERMINAL_KB_MAX}), and ${behind.toFixed(1)} kB behind it`,
  `metrics ${metrics.toFixed(1)} kB gz more than the list of servers (at most ${METRICS_KB_MAX})`,
];
// For `make bench`.
if (process.argv.includes("--json")) lines.splice(0, 3, JSON.stringify({ first, whole, behind, metrics }));
process.stdout.write(`${lines.join("\n")}\n`);
for (const name of madeUp) process.stdout.write(`${name} holds the made-up world\n`);
process.exitCode =
  first > FIRST_KB_MAX || whole > TERMINAL_KB_MAX || metrics > METRICS_KB_MAX || madeUp.length > 0 ? 1 : 0;
