// What `make bench` compares the console with: the web terminal that one writes in an afternoon, node-pty behind ws with
// xterm.js in front, and the flow control that xterm.js's own guide asks for. Called with the folder that has its
// packages, and a certificate with its key. Never: a part of the product.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";

const [folder, cert, key] = process.argv.slice(2);
const packages = createRequire(`${folder}/`);
const pty = packages("node-pty");
const { WebSocketServer } = packages("ws");

/** The window of our own holders: so much may be on its way to the screen. */
const WINDOW_BYTES = 1 << 20;

const FILES = {
  "/": ["text/html", readFileSync(new URL("peer.html", import.meta.url))],
  "/xterm.js": ["text/javascript", readFileSync(packages.resolve("@xterm/xterm"))],
  "/xterm.css": ["text/css", readFileSync(packages.resolve("@xterm/xterm/css/xterm.css"))],
};

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  const [type, body] = FILES[new URL(request.url, "https://localhost").pathname] ?? [];
  response.writeHead(body ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
});

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const query = new URL(request.url, "https://localhost").searchParams;
  const [cols, rows] = [Number(query.get("cols")), Number(query.get("rows"))];
  socket._socket.setNoDelay(true);
  const shell = pty.spawn("/bin/bash", ["--login"], { cols, rows, encoding: null, name: "xterm-256color" });
  let waiting = 0;
  shell.onData((data) => {
    waiting += data.length;
    if (waiting > WINDOW_BYTES) shell.pause();
    socket.send(data);
  });
  shell.onExit(() => socket.close());
  socket.on("message", (data, binary) => {
    if (binary) return shell.write(data);
    waiting -= Number(data.toString());
    if (waiting <= WINDOW_BYTES / 2) shell.resume();
  });
  socket.on("close", () => shell.kill());
});

server.listen(0, "127.0.0.1", () => process.stdout.write(`port ${server.address().port}\n`));
