/* Drawings of the lab of experts. An expert has a colour and, everywhere, its number. */

import { make } from "./controls.js";
import { barList, panel, percent, signed, visible } from "./views.js";

const COLOURS = 8; // in lab.css
const SHOWN = 5; // kinds of text on a card
const HERE = 12; // tokens of the reader's text on a card
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** An expert's number on its colour. */
function chip(expert, weight = null) {
  const node = make("span", { class: "dtrs-lab-expert" }, String(expert));
  paint(node, expert, weight);
  return node;
}

function paint(node, expert, weight = null) {
  node.textContent = String(expert);
  node.dataset.colour = String(expert % COLOURS);
  node.classList.toggle("dtrs-lab-unused", weight === 0);
}

/**
 * The tokens of a text with the two experts that read each. Tab reaches the selected one, arrow keys go to the others.
 * @param {{label: string, onSelect: function(number)}} options
 * @returns {{element: HTMLElement, update: function}} `update(tokens, selected)`: each has a `label`, a `route` of
 *   `{expert, weight}`, its `loss`, and the `change` of it or null
 */
export function routeStrip({ label, onSelect }) {
  const element = make("div", { class: "dtrs-lab-tokens dtrs-lab-routed", role: "group", "aria-label": label });
  let nodes = [];
  let chosen = 0;

  function choose(at, focus) {
    chosen = at;
    nodes.forEach(({ button }, index) => {
      button.setAttribute("aria-pressed", String(index === at));
      button.tabIndex = index === at ? 0 : -1;
    });
    if (focus) nodes[at].button.focus();
  }

  element.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = Math.min(nodes.length - 1, Math.max(0, chosen + step));
    if (to === chosen) return;
    choose(to, true);
    onSelect(to);
  });

  function tokenNode(at) {
    const text = make("span", { class: "dtrs-lab-token-text" });
    const route = make("span", { class: "dtrs-lab-route" });
    const value = make("span", { class: "dtrs-lab-token-value" });
    const button = make("button", { type: "button", class: "dtrs-lab-token" }, text, route, value);
    button.addEventListener("click", () => {
      choose(at);
      onSelect(at);
    });
    return { button, text, route, value };
  }

  function draw({ button, text, route: chips, value }, { label: word, route, loss, change }, at) {
    text.textContent = visible(word);
    while (chips.children.length > route.length) chips.lastChild.remove();
    while (chips.children.length < route.length) chips.append(chip(0));
    route.forEach(({ expert, weight }, place) => paint(chips.children[place], expert, weight));
    value.textContent = change === null ? "" : signed(change, 1);
    button.dataset.change = change === null || value.textContent === "±0" ? "" : change > 0 ? "worse" : "better";
    const experts = route.map(({ expert, weight }) => (weight === 0 ? `${expert} silenced` : expert)).join(" then ");
    const cost = change === null ? `loss ${loss.toFixed(2)}` : `loss ${loss.toFixed(2)}, changed by ${signed(change)}`;
    button.setAttribute("aria-label", `Token ${at + 1}: ${word}, experts ${experts}, ${cost}`);
  }

  function update(tokens, selected) {
    while (nodes.length > tokens.length) nodes.pop().button.remove();
    while (nodes.length < tokens.length) {
      nodes.push(tokenNode(nodes.length));
      element.append(nodes.at(-1).button);
    }
    tokens.forEach((token, at) => draw(nodes[at], token, at));
    choose(selected);
  }

  return { element, update };
}

/** One token's experts in every layer. `update(routes, layer)`: for each layer `{expert, weight}`; the layer shown. */
export function routeTable() {
  const head = make("tr");
  const rows = make("tbody");
  const element = make("table", { class: "dtrs-lab-outcome" }, make("thead", {}, head), rows);

  function update(routes, layer) {
    const titles = ["layer", "larger weight", "smaller weight"].slice(0, 1 + routes[0].length);
    head.replaceChildren(...titles.map((title) => make("th", { scope: "col" }, title)));
    const lines = routes.map((route, at) => {
      const cells = route.map(({ expert, weight }) => make("td", {}, chip(expert, weight), ` ${percent(weight)}`));
      const name = make("th", { scope: "row" }, at === layer ? `${at} (shown)` : String(at));
      return make("tr", {}, name, ...cells);
    });
    rows.replaceChildren(...lines);
  }

  return { element, update };
}

const VERBS = { silence: "silence", bar: "bar", force: "force" };

/**
 * The experts of a layer: each can be chosen, and marked.
 * @param {{label: string, onSelect: function(number), onSwitch: function(number)}} options
 * @returns {{element: HTMLElement, update: function}} `update({shares, selected, marked, act})`: of the tokens that go
 *   to each; an expert; a list of experts; what marks do
 */
export function expertTiles({ label, onSelect, onSwitch }) {
  const element = make("div", { class: "dtrs-lab-tiles dtrs-lab-experts", role: "group", "aria-label": label });
  let tiles = [];

  function tile(expert) {
    const note = make("span", { class: "dtrs-lab-tile-note" });
    const pick = make("button", { type: "button", class: "dtrs-lab-pick" }, chip(expert), note);
    pick.addEventListener("click", () => onSelect(expert));
    const flip = make("button", { type: "button", class: "dtrs-lab-switch" });
    flip.addEventListener("click", () => onSwitch(expert));
    return { node: make("div", { class: "dtrs-lab-tile" }, pick, flip), pick, flip, note };
  }

  function update({ shares, selected, marked, act }) {
    if (tiles.length !== shares.length) {
      tiles = shares.map((_, expert) => tile(expert));
      element.replaceChildren(...tiles.map(({ node }) => node));
    }
    tiles.forEach(({ node, pick, flip, note }, expert) => {
      const isMarked = marked.includes(expert);
      note.textContent = percent(shares[expert]);
      pick.setAttribute("aria-pressed", String(expert === selected));
      pick.setAttribute("aria-label", `Expert ${expert}, ${note.textContent} of the tokens: show its card`);
      flip.textContent = isMarked ? `✓ ${VERBS[act]}` : VERBS[act];
      flip.setAttribute("aria-label", `${VERBS[act]} expert ${expert}`);
      flip.setAttribute("aria-pressed", String(isMarked));
      node.classList.toggle("dtrs-lab-off", isMarked);
    });
  }

  return { element, update };
}

/**
 * What an expert does, here and on held-out text.
 * @returns {{element: HTMLElement, update: function}} `update({layer, expert, here, total, card, cards, piece,
 *   usual})`: the tokens that it reads here, of how many; its card of CARDS with what is true of all, or null; a token's
 *   label; the share of tokens that an expert gets if all get the same
 */
export function expertCard() {
  const reads = make("p", {});
  const rate = make("p", { class: "dtrs-lab-note" });
  const common = make("p", {});
  const kindsTitle = make("p", { class: "dtrs-lab-note" });
  const kinds = barList({ label: "Kinds of text that it reads", format: percent });
  const lossTitle = make("p", { class: "dtrs-lab-note" });
  const losses = barList({ label: "What its silence costs, by kind of text", isSigned: true });
  const known = make("div", { class: "dtrs-lab-panel" }, rate, common, kindsTitle, kinds.element, lossTitle);
  known.append(losses.element);
  const features = featureList();
  known.append(features.element);
  const { element, title } = panel("", reads, known);

  function update({ layer, expert, here, total, card, cards, piece, usual }) {
    title.replaceChildren(chip(expert), ` Expert ${expert} of layer ${layer}`);
    const some = here.slice(0, HERE).map((word) => `“${visible(word)}”`).join(" ");
    const rest = here.length > HERE ? ` and ${here.length - HERE} more` : "";
    reads.textContent = here.length
      ? `Here it reads ${here.length} of ${total} tokens: ${some}${rest}.`
      : `Here it reads none of ${total} tokens.`;
    known.hidden = !card;
    if (card) describe(card, cards, { piece, usual });
  }

  function describe(card, cards, { piece, usual }) {
    const quoted = (ids) => ids.map((id) => `“${piece(id)}”`).join(" ");
    const count = cards.tokens.toLocaleString("en");
    rate.textContent =
      `On ${count} held-out tokens it reads ${percent(card.share)}; an even share would be ${percent(usual)}. ` +
      kindsOf(card, cards);
    common.textContent = card.common.length
      ? `Its commonest tokens: ${quoted(card.common)}. Those it gets beyond its share: ${quoted(card.own)}.`
      : "";
    kindsTitle.textContent = "The texts its tokens are from, and how often it reads a token of each:";
    const order = (values) => values.map((_, at) => at).sort((a, b) => values[b] - values[a]).slice(0, SHOWN);
    kinds.update(
      order(card.sources).map((at) => ({
        label: cards.sources[at],
        value: card.sources[at],
        note: `${percent(card.rates[at])} of it`,
      })),
      { max: 1 },
    );
    lossTitle.textContent =
      `What breaks without it: the loss changes by ${signed(card.cost, 3)} nats per token when it is silenced, most on`;
    losses.update(order(card.costs.map(Math.abs)).map((at) => ({ label: cards.sources[at], value: card.costs[at] })));
    features.update(card, cards);
  }

  /** Kinds of token, by their letters. */
  function kindsOf({ classes }, { classes: names }) {
    const most = classes.map((share, at) => [share, names[at]]).sort((a, b) => b[0] - a[0]);
    const named = most.slice(0, 3).filter(([share]) => share > 0);
    return named.length ? `Of these: ${named.map(([share, name]) => `${name} ${percent(share)}`).join(", ")}.` : "";
  }

  return { element, update };
}

/** What a dictionary finds inside an expert. `update(card, cards)`: as in CARDS. */
function featureList() {
  const about = make("p", { class: "dtrs-lab-note" });
  const list = make("ul", { class: "dtrs-lab-features", "aria-label": "Features" });
  const origin = make(
    "details",
    { class: "dtrs-lab-help" },
    make("summary", {}, "How they were chosen"),
    make(
      "div",
      {},
      "The held-out documents are cut in two halves. The first half chooses: of the latents that fire on at least 40 " +
        "tokens in at least 12 documents, and whose direction is not nearly that of one hidden unit (no cosine above " +
        "0.9), for each kind of text the purest, and of these the purest four. The numbers and the examples are from " +
        "the second half. The examples are the strongest, one to a document, and need not be typical: the share is " +
        "that of all tokens on which the latent fires.",
    ),
  );
  const element = make("div", { class: "dtrs-lab-panel" }, about, list, origin);

  function update({ features, counted }, { sources }) {
    list.hidden = origin.hidden = !features;
    about.textContent = features
      ? `Features: latents of a dictionary trained on its hidden units that fire on one kind of text, counted on ` +
        `${counted.toLocaleString("en")} held-out tokens that it reads. Strongest examples, the token in bold:`
      : "Features: no dictionary was trained for the experts of this layer and model.";
    list.replaceChildren(...(features ?? []).map((feature) => line(feature, sources)));
  }

  function line({ latent, fires, source, share, contexts }, sources) {
    const name = make("p", {}, `Latent ${latent}: on ${fires.toLocaleString("en")} tokens, ${percent(share)} `);
    name.append(`of them ${sources[source]}`);
    const examples = contexts.map((one) => example(one, sources));
    return make("li", {}, name, make("ul", { class: "dtrs-lab-contexts" }, ...examples));
  }

  function example([source, before, token, after], sources) {
    const words = (text) => text.replaceAll("\n", "⏎");
    const context = make("span", { class: "dtrs-lab-context" }, words(before), make("strong", {}, words(token)));
    context.append(words(after));
    return make("li", {}, context, make("span", { class: "dtrs-lab-note" }, sources[source]));
  }

  return { element, update };
}
