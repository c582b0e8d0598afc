// xterm.js writes its rules into <style> elements, which a policy without 'unsafe-inline' refuses. While it makes one,
// it gets an element whose text becomes a constructed style sheet, which the policy allows.

function sheetElement(document: Document): HTMLElement {
  const element = document.createElement("span");
  const sheet = new CSSStyleSheet();
  element.hidden = true;
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, "textContent", {
    get: () => "",
    set: (rules: string) => sheet.replaceSync(rules),
  });
  const remove = element.remove.bind(element);
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    remove();
  };
  return element;
}

/** From now on, in this document, `createElement("style")` makes such elements. Nothing else of ours makes any. */
export function constructStyles(document: Document): void {
  if (Object.hasOwn(document, "createElement")) return;
  const native = document.createElement.bind(document);
  const create = (name: string, options?: ElementCreationOptions) =>
    name === "style" ? sheetElement(document) : native(name, options);
  Object.defineProperty(document, "createElement", { value: create, configurable: true });
}
