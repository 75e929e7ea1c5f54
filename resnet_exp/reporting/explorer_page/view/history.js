// Each change of the state is one step of the browser's history: Back undoes it.

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
   * @param {boolean} inRow whether it may be one of several changes, such as the keys of a number: they are one step
   */
  keep(address, what, inRow) {
    const goesOn = inRow && what === this.what && performance.now() - this.time < PAUSE_MILLISECONDS;
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
