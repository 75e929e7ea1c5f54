// What an hour of each machine costs: on demand, spot or as recorded, each with its date, and boxes for own prices.

/** One row an instance: its price, where it is from, and a box for another one. */
function priceRow(page, state, hardware, update) {
  const run = page.runs.find((each) => each.hardware === hardware && each.usd_per_node_hour !== undefined);
  const box = make("input", {
    type: "number", min: 0, step: "any", inputmode: "decimal", "data-focus": `price ${hardware}`, name: `price ${hardware}`,
    "aria-label": `price of an hour of ${hardware}, in dollars`, placeholder: "none",
    value: hourly(page, state, run || { hardware }) ?? "", class: get(state.own, hardware) === undefined ? "" : "own",
    // With each key, and this column stays as it is: a redraw when the box is left would take the click that leaves it.
    oninput: (event) => {
      const price = Number(event.target.value);
      event.target.classList.toggle("own", price > 0);
      update({ own: (now) => withPrice(now.own, hardware, price) });
    },
  });
  return make("div", { class: "price" },
    make("label", {}, make("span", { class: "name" }, hardware), make("span", { class: "dollars" }, "$", box, "/h")),
    make("p", { class: "small" }, listedText(get(page.prices, hardware) || {}, run)));
}

function withPrice(prices, hardware, price) {
  const own = { ...prices };
  delete own[hardware];
  return price > 0 ? { ...own, [hardware]: price } : own;
}

function listedText(price, run) {
  const listed = [];
  const from = (source) => (source ? ` (${source})` : "");
  if (price.usd_per_node_hour) listed.push(`${money(price.usd_per_node_hour)} on demand, ${price.date}${from(price.source)}`);
  if (price.spot_usd_per_node_hour) {
    listed.push(`${money(price.spot_usd_per_node_hour)} spot, ${price.spot_date}${from(price.spot_source)}`);
  }
  if (run) listed.push(`${money(run.usd_per_node_hour)} recorded, ${run.price_date || "undated"}`);
  return listed.join("; ") || "no price is known";
}

function drawPrices(page, state, update) {
  if (document.activeElement.matches("#prices input")) return;
  const chosen = Object.keys(state.own).length;
  const undo = make("button", { type: "button", "data-focus": "reset prices", onclick: () => update({ own: {} }) }, "Undo own prices");
  refill(byId("prices"),
    labelled("Prices", choice("prices", CHOICES.prices, state, update)),
    folded("prices", `Price of an hour${chosenCount(chosen)}`, [
      ...inDataset(page, state, "hardware").map((hardware) => priceRow(page, state, hardware, update)),
      ...(chosen ? [undo] : []),
    ]));
}

/** The price of an hour that a cost rests on, and its day. */
function priceText(page, state, run) {
  const used = hourly(page, state, run);
  if (used === undefined) return "";
  const price = get(page.prices, run.hardware) || {};
  const recorded = state.prices === "recorded" || (price.usd_per_node_hour ?? null) === null;
  let day = price.date;
  if (get(state.own, run.hardware) !== undefined) day = "your price";
  else if (state.prices === "spot") day = `spot, ${price.spot_date}`;
  else if (recorded) day = `recorded, ${run.price_date || "undated"}`;
  return `at ${money(used)} an hour${run.nodes > 1 ? " a node" : ""} (${day})`;
}
