// What axe-core finds wrong with a page as it stands. Never: a rule that is switched off.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** One line for each violation. */
export async function violations(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  return result.violations.map((violation) => {
    const nodes = violation.nodes.map((node) => `${node.target.join(" ")} (${node.any[0]?.message ?? ""})`);
    return `axe ${violation.id}: ${nodes.join(", ")}`;
  });
}
