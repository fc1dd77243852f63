// Making elements. Text only ever gets into the page as text: names, domains
// and command lines come from outside.

/** Makes an element with a class and children; a string becomes a text node. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  if (className !== "") e.className = className;
  e.append(...children);
  return e;
}

/** The element with the id, which the page's HTML holds. */
export function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const e = document.getElementById(id);
  if (!(e instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return e;
}

/** Sets the text, if it differs: an unchanged node costs no layout. */
export function setText(e: HTMLElement, text: string): void {
  if (e.textContent !== text) e.textContent = text;
}

/** Sets an attribute, if it differs. */
export function setAttribute(e: Element, name: string, value: string): void {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}
