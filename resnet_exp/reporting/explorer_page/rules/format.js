// Numbers as readable text.

/** @import { Ratio, Spread } from "../types.d.ts" */

/** What stands for a number that is not known. */
export const DASH = "–";

// Decimals that an error may add to its mean.
const MORE_DIGITS = 3;

/**
 * A fraction in percent, without the sign.
 * @param {number} fraction
 */
export function percent(fraction, digits = 2) {
  return (100 * fraction).toFixed(digits);
}

/**
 * The same with no more digits than it has: 76.6.
 * @param {number} fraction
 */
export function shortPercent(fraction) {
  return String(Number((100 * fraction).toPrecision(6)));
}

/**
 * Divisor, unit and decimals that suit a time.
 * @param {number} seconds
 * @returns {[divide: number, unit: string, digits: number]}
 */
function timeUnit(seconds) {
  if (seconds < 120) return [1, "s", seconds < 10 ? 1 : 0];
  return seconds < 7200 ? [60, "min", 1] : [3600, "h", 2];
}

/** @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  const [divide, unit, digits] = timeUnit(seconds);
  return `${(seconds / divide).toFixed(digits)} ${unit}`;
}

/**
 * A mean time and its standard error, in one unit.
 * @param {Spread | null} spread
 */
export function durationText(spread) {
  if (spread === null) return DASH;
  if (spread.sem === null) return duration(spread.mean);
  const [divide, unit, digits] = timeUnit(spread.mean);
  return `${withError(spread.mean / divide, spread.sem / divide, digits)} ${unit}`;
}

/** @param {number} dollars */
export function money(dollars) {
  return Number.isFinite(dollars) ? grouped(dollars, centDigits(dollars), "$") : DASH;
}

/** @param {number} dollars */
function centDigits(dollars) {
  return dollars !== 0 && Math.abs(dollars) < 0.1 ? 4 : 2;
}

/**
 * A mean cost and its standard error.
 * @param {Spread | null} spread
 */
export function moneyText(spread) {
  if (spread === null) return DASH;
  if (spread.sem === null) return money(spread.mean);
  return withError(spread.mean, spread.sem, centDigits(spread.mean), "$");
}

/**
 * A mean fraction and its standard error in percent, without the sign.
 * @param {Spread} spread
 */
export function percentText({ mean, sem }) {
  return sem === null ? percent(mean) : withError(100 * mean, 100 * sem, 2);
}

/**
 * "13.80 ± 0.04": both with as many decimals as it takes for an error that is not 0 to be seen. The report writes the same.
 * @param {number} mean
 * @param {number} error
 * @param {number} digits decimals at least
 */
function withError(mean, error, digits, before = "") {
  if (error === 0) return `${grouped(mean, digits, before)} ± ${before}0`;
  let more = digits;
  while (more < digits + MORE_DIGITS && error < 0.5 * 10 ** -more) more += 1;
  const least = 10 ** -more;
  const text = error < 0.5 * least ? `<${grouped(least, more, before)}` : grouped(error, more, before);
  return `${grouped(mean, more, before)} ± ${text}`;
}

/**
 * @param {number} value
 * @param {number} digits
 * @param {string} before
 */
function grouped(value, digits, before) {
  return before + value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {Ratio | null} ratio */
export function ratioText(ratio) {
  return ratio === null ? DASH : `${ratio.atLeast ? "≥ " : ""}${ratio.value.toFixed(2)}×`;
}

/**
 * The share of the baseline's cost that is saved.
 * @param {Ratio | null} ratio
 */
export function savingText(ratio) {
  return ratio === null ? DASH : `${ratio.atLeast ? "≥ " : ""}${Math.round(100 * (1 - 1 / ratio.value))} %`;
}

/**
 * A number without the noise of binary fractions: 0.3, not 0.30000000000000004, for 0.1 * 3.
 * @param {number} value
 */
export function shortNumber(value) {
  return String(Number(value.toPrecision(6)));
}

/**
 * "one run", "3 runs".
 * @param {number} count
 * @param {string} noun
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
