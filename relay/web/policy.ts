import type { Plugin } from "vite";

/** While one works on the pages, Vite brings styles and scripts of its own along, which the page's policy forbids. */
export function withoutPolicy(): Plugin {
  return {
    name: "without-policy",
    apply: "serve",
    transformIndexHtml: (page) => page.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ""),
  };
}
