// `npm run e2e`: against a real relay and agent, which must have been built before.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["e2e/**/*.e2e.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // A test goes on where the one before it stopped, so one alone cannot be tried again: tests/make/web.sh runs all.
    retry: 0,
  },
});
