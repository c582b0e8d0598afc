// How the console is built: static files with hashed names, nothing inline, so that a strict
// content security policy can forbid everything else.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { withoutPolicy } from "./policy.ts";
import { texts } from "./texts.ts";

// A relay on this computer that `npm run dev` sends API calls to.
const relay = process.env.RELAY ?? "http://127.0.0.1:8440";

export default defineConfig({
  plugins: [svelte(), texts(), withoutPolicy()],
  // Components are tested as a browser runs them.
  ...(process.env.VITEST ? { resolve: { conditions: ["browser"] } } : {}),
  build: {
    outDir: "dist",
    assetsDir: "assets",
    // A data: URL would need an exception in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    target: "es2023",
  },
  server: {
    // The list of words is proto's.
    fs: { allow: ["../.."] },
    proxy: { "/api": { target: relay, ws: true, secure: false } },
  },
  test: {
    include: ["src/**/*.test.ts"],
    // Thousands of signatures, on a machine that does other things too.
    testTimeout: 30_000,
    environment: "node",
  },
});
