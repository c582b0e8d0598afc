// A real OpenID provider (oidc-provider) on this machine, for the relay's tests. Whoever comes is signed in at once as
// "pat", or is asked first; everything else is as the package does it.
//
// Arguments: client id, client secret, and `asks` for a page with a yes and a no. Says its issuer in one line; ends with
// its standard input.

import http from "node:http";
import Provider from "oidc-provider";

const [clientId, clientSecret, asks] = process.argv.slice(2);
const redirect = "http://localhost/oidc/callback";
const QUESTION = `<!doctype html><html lang="en"><title>Work</title><form method="post">
  <button>I am pat</button> <button formaction="?no">I am not</button></form></html>`;
const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirect] }],
    pkce: { required: () => true },
    claims: { email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/person/${interaction.uid}` },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@example.com`,
        email_verified: true,
        preferred_username: id,
        groups: ["sre"],
      }),
    }),
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  });
  // The relay's port is known only after it knows this provider.
  provider.Client.prototype.redirectUriAllowed = (uri) => {
    const asked = new URL(uri);
    asked.port = "";
    return asked.href === redirect;
  };
  const handle = provider.callback();
  server.on("request", (request, response) => {
    if (!request.url.startsWith("/person/")) {
      handle(request, response);
    } else if (asks && request.method === "GET") {
      response.setHeader("content-type", "text/html");
      response.end(QUESTION);
    } else {
      const said = request.url.endsWith("?no") ? { error: "access_denied" } : { login: { accountId: "pat" } };
      provider.interactionFinished(request, response, said);
    }
  });
  process.stdout.write(`${issuer}\n`);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
