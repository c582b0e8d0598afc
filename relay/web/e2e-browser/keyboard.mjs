// A person without a mouse: only keys, and the focus is always somewhere. Never: a click.

/** Presses Tab, or `by`, until what is wanted has the focus. */
export async function tabTo(page, wanted, by = "Tab") {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press(by);
    const here = await page.evaluate(
      (selector) => document.activeElement?.matches(selector) === true,
      wanted,
    );
    if (here) return;
  }
  throw new Error(`Tab never reached ${wanted}`);
}

/** What has the focus, once it matches. */
export async function focused(page, selector) {
  await page.waitForFunction((wanted) => document.activeElement?.matches(wanted) === true, selector);
}
