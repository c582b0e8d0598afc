// The pages over a made-up world, built as they are shipped but for their first line of code, so that the policy is tried
// on what it will meet. `npx vite --config e2e-ui/vite.config.ts` serves them while one works on them.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { withoutPolicy } from "../policy.ts";

export default defineConfig({
  plugins: [
    svelte(),
    withoutPolicy(),
    {
      name: "made-up-world",
      transformIndexHtml: {
        order: "pre",
        handler: (page) => page.replace("/src/main.ts", "/src/ui/fake-main.ts"),
      },
    },
  ],
  build: {
    outDir: "../../target/console-fake",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2023",
  },
  server: { fs: { allow: ["../.."] } },
});
