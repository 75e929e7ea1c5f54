// Elements of the page. Values from runs go in as text, never as markup.

/**
 * @template {HTMLElement} Element
 * @typedef {string | number | boolean | null | undefined | ((element: Element, event: Event) => void)} Attribute
 */

/**
 * make("button", { class: "x", onclick: f }, "text", child): attributes as such, functions as listeners. Attributes and
 * children that are null are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Attribute<HTMLElementTagNameMap[Tag]>>} attributes
 * @param {(Node | string | null)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function")
      element.addEventListener(name.replace(/^on/, ""), (event) => value(element, event));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @param {string} id of an element of page.html
 * @returns {HTMLElement}
 */
export function byId(id) {
  return typedById(id, HTMLElement);
}

/**
 * @param {string} id of an input of page.html
 * @returns {HTMLInputElement}
 */
export function inputById(id) {
  return typedById(id, HTMLInputElement);
}

/**
 * @param {string} id of a select of page.html
 * @returns {HTMLSelectElement}
 */
export function selectById(id) {
  return typedById(id, HTMLSelectElement);
}

/**
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
function typedById(id, kind) {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`page.html has no ${kind.name} with the id ${id}`);
}

/**
 * Put new content into an element, and the focus back on what had it, known by its data-focus.
 * @param {HTMLElement} element
 * @param {Node[]} children
 */
export function refill(element, ...children) {
  const active = document.activeElement;
  const focus = active instanceof HTMLElement && element.contains(active) ? active.dataset.focus : undefined;
  element.replaceChildren(...children);
  if (focus !== undefined) byFocus(element, focus)?.focus({ preventScroll: true });
}

/**
 * The element below another that has a data-focus.
 * @param {HTMLElement} element
 * @param {string} focus
 */
export function byFocus(element, focus) {
  const all = /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll("[data-focus]"));
  return [...all].find((child) => child.dataset.focus === focus);
}

/**
 * Have a screen reader say a text.
 * @param {string} text
 */
export function announce(text) {
  byId("live").textContent = text;
}

/** Whether the window is that of a phone. */
export function isNarrow() {
  return window.innerWidth < 700;
}

/** Whether the page is being put on paper. */
export function isPrinting() {
  return document.documentElement.classList.contains("printing");
}

/**
 * A text for Plotly, which takes some markup: this leaves none.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
