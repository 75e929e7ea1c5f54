// Numbers and elements as people read them. Values from runs go in as text, never as markup.

const DASH = "–";

/** object[name], but nothing that every object has: names of hardware and words of an address may be anything. */
function get(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function percent(fraction, digits = 2) {
  return fraction === null || fraction === undefined ? DASH : (100 * fraction).toFixed(digits);
}

/** Divisor, unit and decimals that suit a time. */
function timeUnit(seconds) {
  if (seconds < 120) return [1, "s", seconds < 10 ? 1 : 0];
  return seconds < 7200 ? [60, "min", 1] : [3600, "h", 2];
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  const [divide, unit, digits] = timeUnit(seconds);
  return `${(seconds / divide).toFixed(digits)} ${unit}`;
}

/** A mean time and its standard error, in one unit. */
function durationText(spread) {
  if (spread === null || spread.sem === null) return duration(spread?.mean);
  const [divide, unit, digits] = timeUnit(spread.mean);
  return `${(spread.mean / divide).toFixed(digits)} ± ${(spread.sem / divide).toFixed(digits)} ${unit}`;
}

function money(dollars) {
  if (!Number.isFinite(dollars)) return DASH;
  const digits = dollars !== 0 && Math.abs(dollars) < 0.1 ? 4 : 2;
  return `$${dollars.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

function ratioText(ratio) {
  return ratio === null ? DASH : `${ratio.atLeast ? "≥ " : ""}${ratio.value.toFixed(2)}×`;
}

function savingText(ratio) {
  return ratio === null ? DASH : `${ratio.atLeast ? "≥ " : ""}${(100 * (1 - 1 / ratio.value)).toFixed(0)} %`;
}

/** 0.1 * 3 is no 0.30000000000000004 to people. */
function ssrText(run) {
  return run.ssr === undefined ? undefined : String(Number(run.ssr.toPrecision(6)));
}

function plusMinus(error, show) {
  return error === null ? "" : ` ± ${show(error)}`;
}

/** Plotly takes some markup in its texts: this leaves none. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** make("button", {class: "x", onclick: f}, "text", child): attributes as such, functions as listeners. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** Put new content into an element, and the focus back on what had it, known by its data-focus. */
function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  element.replaceChildren(...children.filter((child) => child !== null));
  if (focused === undefined) return;
  const again = [...element.querySelectorAll("[data-focus]")].find((child) => child.dataset.focus === focused);
  if (again) again.focus({ preventScroll: true });
}
