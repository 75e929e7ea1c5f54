// Each change of the state is one step of the browser's history: Back undoes it.

// Changes that come in rows, such as the keys of a number: a row of them is one step.
const IN_ROWS = new Set(["own", "target", "selected"]);
// A longer pause ends a row.
const PAUSE_MILLISECONDS = 1000;

export class AddressHistory {
  what = "";
  time = 0;

  /** After the user has gone to another step. */
  restart() {
    this.what = "";
  }

  /**
   * @param {string} address
   * @param {string} what has changed
   */
  keep(address, what) {
    const goesOn = what === this.what && IN_ROWS.has(what) && performance.now() - this.time < PAUSE_MILLISECONDS;
    this.what = what;
    this.time = performance.now();
    if (address === `${location.pathname}${location.search}${location.hash || "#"}`) return;
    try {
      if (goesOn) history.replaceState(null, "", address);
      else history.pushState(null, "", address);
    } catch {
      // Some browsers allow only so many changes a second; the next one has them all.
    }
  }
}
