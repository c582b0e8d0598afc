// The pages over the made-up world, for screenshots and axe: what the address says after `?` changes that world.
import { ConsoleError } from "../lib/errors";
import { fake, someWorld } from "./fake";
import { start } from "./start";

const asked = new URLSearchParams(location.search);
const world = someWorld(Date.now());
world.signedIn = !asked.has("out");
world.pinned = !asked.has("unpinned");
world.trusted = !asked.has("untrusted");
world.second = asked.has("second");
if (asked.has("empty")) world.servers = [];
const made = fake(world);
Object.assign(window, { made, world, ConsoleError });
void start(async () => made.facade);
