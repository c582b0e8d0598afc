// `npm run e2e`: against a real relay and agent, which must have been built before.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["e2e/**/*.e2e.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // As .config/nextest.toml: machines are shared and noisy.
    retry: 1,
  },
});
