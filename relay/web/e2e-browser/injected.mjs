// What the page's policy forbids, tried on the page. Never: a page that the policy's reports would count against.

/** A script that somebody on the way writes into the page, or that a bug of ours would, does not run (H-01). */
export async function injectedDoesNotRun(context, url) {
  const other = await context.newPage();
  const refused = [];
  other.on("console", (message) => refused.push(message.text()));
  await write(other, `${url}/`, (page) =>
    page
      .replace("</head>", "<script>globalThis.ran = 'inline'</script></head>")
      .replace("<body", "<body onload=\"globalThis.ran = 'handler'\""),
  );
  await other.goto(`${url}/`);
  await other.waitForFunction(
    () => document.querySelector("#app, main, body")?.textContent?.trim().length > 0,
  );
  const attempts = await other.evaluate(() => {
    const tried = (what) => {
      try {
        what();
        return "done";
      } catch (error) {
        return error.name;
      }
    };
    return {
      ran: globalThis.ran ?? "nothing",
      html: tried(() => document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=alert(1)>")),
      script: tried(() => {
        const script = document.createElement("script");
        script.textContent = "globalThis.ran = 'appended'";
        document.head.append(script);
      }),
      code: tried(() => setTimeout("globalThis.ran = 'code'")),
      after: globalThis.ran ?? "nothing",
    };
  });
  if (attempts.ran !== "nothing" || attempts.after !== "nothing") throw new Error(JSON.stringify(attempts));
  if (attempts.html === "done" || attempts.code === "done") throw new Error(JSON.stringify(attempts));
  if (!refused.some((text) => /inline script/i.test(text)))
    throw new Error(`no report: ${refused.join("\n")}`);
  await other.close();
}

/** Changes a file on its way, and nothing else of the answer. The browser itself fetches it: it alone knows the host. */
async function write(page, url, change) {
  const cdp = await page.context().newCDPSession(page);
  cdp.on("Fetch.requestPaused", async ({ requestId, responseStatusCode, responseHeaders }) => {
    const { body, base64Encoded } = await cdp.send("Fetch.getResponseBody", { requestId });
    const text = Buffer.from(body, base64Encoded ? "base64" : "utf8").toString();
    await cdp.send("Fetch.fulfillRequest", {
      requestId,
      responseCode: responseStatusCode,
      // They are about the bytes as they came.
      responseHeaders: responseHeaders.filter(({ name }) => !/^content-(encoding|length)$/i.test(name)),
      body: Buffer.from(change(text)).toString("base64"),
    });
  });
  await cdp.send("Fetch.enable", { patterns: [{ urlPattern: url, requestStage: "Response" }] });
}
