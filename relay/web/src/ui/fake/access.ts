// Accounts of the made-up world: signing in, the first run, joining, one's own account, other people's.
import { ConsoleError } from "../../lib/errors";
import type { Access, Facade, Joining, OwnAccount, People, Resetting, Setup } from "../../lib/facade";
import type { Sign } from "./sign";
import { commandOf } from "./visits";
import { DAY, HOUR, KEY_WORDS, ME, print, soon, type World } from "./world";

export function fakeAccess(world: World): Access {
  return {
    async ways() {
      return {
        password: true,
        passkey: true,
        providers: [{ id: "corp", name: "ACME 单点登录" }],
        setupOpen: world.setupOpen,
        ...(world.inside ? { inside: world.inside } : {}),
      };
    },
    passkeys: async () => world.passkeys,
    async passkey() {
      await soon();
      world.signedIn = true;
    },
    async provider() {
      await soon();
      throw new ConsoleError("oidc_away", "ACME 单点登录");
    },
    returned: () => undefined,
  };
}

export function fakeSetup(world: World, sign: Sign): Setup {
  return {
    async look(code) {
      await soon();
      if (code === "wrong") throw new ConsoleError("setup_wrong");
      return { relay: "relay.acme.example", deviceAllowed: true };
    },
    async begin(_code, wish) {
      await soon();
      if (wish.account === "taken") throw new ConsoleError("name_taken");
      world.signedIn = true;
      world.tenant = false;
      world.pinned = false;
      world.customer = wish.customer;
    },
    async makeKey() {
      await soon();
      refuseOnce(world);
      return {
        name: "cloud-doctor-recovery-acme.txt",
        text: "Cloud Doctor recovery key of ACME Logistics\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n-----END OPENSSH PRIVATE KEY-----\n",
      };
    },
    async finish(token) {
      await sign({
        kind: "log",
        entry: {
          kind: "genesis",
          customer: world.customer,
          roots: [{ name: ME, fingerprint: print("E"), kind: "passkey" }],
          recovery: { name: ME, fingerprint: print("R"), kind: "ssh" },
        },
      });
      world.tenant = true;
      world.pinned = true;
      world.root = true;
      world.servers = [];
      return commandOf(world, token, "own");
    },
  };
}

function refuseOnce(world: World) {
  const { refuses } = world;
  world.refuses = false;
  if (refuses) throw new ConsoleError("passkey_cancelled");
}

export function fakeJoining(world: World): Joining {
  return {
    async look(token) {
      await soon();
      if (token === "over") throw new ConsoleError("invitation_over");
      return {
        customer: world.customer,
        by: "olga@acme.example",
        account: "peggy@acme.example",
        role: "engineer",
        expiresAt: Date.now() + DAY,
        deviceAllowed: token === "trial",
      };
    },
    async begin() {
      await soon();
      world.signedIn = true;
      world.pinned = true;
      world.admin = false;
      world.root = false;
      world.keys = [];
    },
    async offer() {
      await soon();
      const trusted = { engineer: Date.now() + DAY, root: false };
      if (world.letsIn) world.keys = world.keys.map((key) => ({ ...key, trusted }));
    },
  };
}

export function fakeResetting(world: World): Resetting {
  return {
    async look(code) {
      await soon();
      if (code === "over") throw new ConsoleError("reset_over");
      return { account: ME, passkey: true };
    },
    async finish() {
      await soon();
      refuseOnce(world);
      world.signedIn = true;
    },
  };
}

export function fakeAccount(world: World): OwnAccount {
  let codesLeft = 8;
  return {
    passkeys: async () => world.passkeysForSigningIn,
    async addPasskey(label) {
      await soon();
      world.passkeysForSigningIn = [
        ...world.passkeysForSigningIn,
        { id: `p${Date.now()}`, label, madeAt: Date.now() },
      ];
    },
    async removePasskey(id) {
      const rest = world.passkeysForSigningIn.filter((one) => one.id !== id);
      if (rest.length === 0) throw new ConsoleError("last_way");
      world.passkeysForSigningIn = rest;
    },
    password: async () => ({ set: true, totp: world.totp, codesLeft }),
    async changePassword(current) {
      await soon();
      if (current !== "right") throw new ConsoleError("sign_in_refused");
    },
    beginTotp: async () => ({
      secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
      address: "otpauth://totp/Cloud%20Doctor:eve%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    }),
    async finishTotp(code) {
      if (code !== "123456") throw new ConsoleError("code_refused");
      world.totp = true;
      codesLeft = 8;
      return Array.from({ length: 8 }, (_, at) => `k7qx-${1000 + at * 777}-t4zd`);
    },
    async endTotp(code) {
      if (code !== "123456") throw new ConsoleError("code_refused");
      world.totp = false;
    },
    signIns: async () => world.signIns,
    async endSignIn(id) {
      world.signIns = world.signIns.filter((one) => one.id !== id);
    },
    async endOtherSignIns() {
      world.signIns = world.signIns.filter((one) => one.current);
    },
  };
}

export function fakePeople(world: World): People {
  return {
    accounts: async () => world.accounts,
    async remove(name) {
      world.accounts = world.accounts.filter((one) => one.name !== name);
    },
    async reset(name) {
      await soon();
      world.accounts = world.accounts.map((one) => (one.name === name ? { ...one, ways: [] } : one));
      return {
        link: "https://relay.acme.example/#/reset/K7QX9M-2P4TZD-8RWN3J-5V6BCF",
        expiresAt: Date.now() + HOUR / 4,
      };
    },
    invitations: async () => world.invitations,
    async invite({ account, role, seconds }) {
      await soon();
      const expiresAt = Date.now() + seconds * 1000;
      world.invitations = [...world.invitations, { id: `i${Date.now()}`, account, role, by: ME, expiresAt }];
      return {
        link: `https://relay.acme.example/#/join/${"Zk0q3vJ8m1x2c5b7n9a4s6d8f0g1h3j5k7l9p".repeat(2)}`,
        expiresAt,
      };
    },
    async withdraw(id) {
      world.invitations = world.invitations.filter((one) => one.id !== id);
    },
  };
}

export function fakeKeys(world: World): Facade["keys"] {
  const make = (kind: "passkey" | "device", label: string) => {
    const key = {
      id: `k${world.keys.length}`,
      kind,
      label,
      fingerprint: print("N"),
      openssh: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6q1mV0 peggy@acme.example",
      words: KEY_WORDS,
      here: true,
      madeAt: Date.now() - HOUR,
      trusted: { root: false },
    };
    world.keys = [...world.keys, key];
    return key;
  };
  return {
    list: async () => world.keys,
    async makePasskey(label) {
      await soon();
      if (!world.passkeys) throw new ConsoleError("passkey_missing");
      refuseOnce(world);
      return make("passkey", label);
    },
    makeDevice: async () => make("device", "Chromium on Linux"),
    async forget(id) {
      world.keys = world.keys.filter((one) => one.id !== id);
    },
  };
}
