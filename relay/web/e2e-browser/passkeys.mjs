// A person's authenticator: Chromium's virtual one, which makes and uses real WebAuthn credentials and verifies its holder
// as told. Never: a signature that no credential of it has made.

/** Gives a page an authenticator that is touched at once, and counts the touches. */
export async function authenticator(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const counts = { made: 0, used: 0 };
  cdp.on("WebAuthn.credentialAdded", () => {
    counts.made += 1;
  });
  cdp.on("WebAuthn.credentialAsserted", () => {
    counts.used += 1;
  });
  return {
    counts,
    touches: () => counts.made + counts.used,
    credentials: async () => (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    add: (credential) => cdp.send("WebAuthn.addCredential", { authenticatorId, credential }),
    remove: (credentialId) => cdp.send("WebAuthn.removeCredential", { authenticatorId, credentialId }),
    /** Whether its holder shows a finger, a face or a number. */
    verified: (isUserVerified) => cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
  };
}
