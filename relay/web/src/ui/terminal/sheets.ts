// xterm.js writes its rules into <style> elements and colours into style attributes, which a policy without
// 'unsafe-inline' refuses. It gets elements that do the same in ways which the policy allows: a constructed style sheet,
// and the object model's own style. Never: a text that becomes anything but style.

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

function setAttribute(this: HTMLElement, name: string, value: string): void {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

/** A letter of a terminal that draws with elements. */
function letterElement(element: HTMLElement): HTMLElement {
  element.setAttribute = setAttribute;
  return element;
}

/** From now on, in this document, `createElement` makes such elements for "style" and "span". */
export function constructStyles(document: Document): void {
  if (Object.hasOwn(document, "createElement")) return;
  const native = document.createElement.bind(document);
  const create = (name: string, options?: ElementCreationOptions) => {
    if (name === "style") return sheetElement(document);
    const element = native(name, options);
    return name === "span" ? letterElement(element) : element;
  };
  Object.defineProperty(document, "createElement", { value: create, configurable: true });
}
