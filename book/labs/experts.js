/* The lab of "Experts": where the routers of a mixture of experts send every token of a text, and what each token costs
   when experts are silenced, barred or forced. */

import { openModel } from "./engine.js";
import { CARDS } from "./experts_cards.js";
import { expertCard, expertTiles, routeStrip, routeTable } from "./experts_views.js";
import { filesOf } from "./files.js";
import { frame, make } from "./shell.js";
import { panel, signed } from "./views.js";

const PROSE = {
  Mixed:
    "The town was built by the river.\nDie Datei wird mit dem Befehl gelesen.\nLe fichier est dans le répertoire.\n" +
    "if self.name is None:\n    return self.data",
  English: "The first railway in the country was opened in 1842, and the second",
  German: "Die Datei wird gelesen, wenn der Benutzer sie mit dem Befehl",
  French: "Le fichier est lu quand la commande est dans le répertoire de",
  Code: 'def get_queryset(self, request):\n    """Return all objects."""\n    return self.',
  "A web address": "https://www.example.org/index.html?page=2&",
  Base64: "VGhlIHJpdmVyIGNhcnJpZWQgdGhlIGJvYXQu", // of: The river carried the boat.
};
// Sequences of utils.data.planted: a task, then questions, each followed by the task's answer.
const SYMBOLS = {
  "Task 1": "task1 d γ j β r n b ζ b ζ d γ e t n u o y d γ e t",
  "Task 2": "task2 n o j e j e z α p p n o w l δ a u z m v m v",
  "Task 3": "task3 r w v x x q q z β k f ε r w r w w ζ γ o l v",
  "Task 4": "task4 z β y a j b δ e q u q u α r z β k z ε y z β",
};
const MODELS = {
  trained: { name: "experts", about: "the model of the chapter", examples: PROSE },
  untrained: { name: "experts", step: 0, about: "the same before its first step", examples: PROSE },
  unbalanced: {
    name: "experts-unbalanced",
    about: "trained without the loss that evens out the experts' load, for fewer steps",
    examples: PROSE,
  },
  planted: {
    name: "experts-planted",
    about:
      "a small one that was taught whom to send where: by the symbol in layer 0, by the task in layer 1, " +
      "and not at all in layer 2",
    examples: SYMBOLS,
  },
};
const LONGEST = 63; // tokens of the text, so that a change is answered at once
const ACTS = [
  { value: "silence", label: "write nothing" },
  { value: "bar", label: "cannot be chosen" },
  { value: "force", label: "get every token" },
];
const DONE = { silence: "silenced", bar: "barred", force: "forced" };
const STILL = 0.005; // nats: a smaller change of a token's loss is none

/**
 * The lab, as anywidget and the page call it. Resolves when it shows its first numbers.
 * @param {{model: object, el: HTMLElement}} place
 * @returns {Promise<function(): void>} takes the lab away
 */
export async function render({ model, el }) {
  const lab = frame({
    model,
    el,
    name: "experts",
    title: "Who reads this token?",
    describe:
      "A transformer with eight experts in each layer runs here, in your browser. Its routers send every token to " +
      "two of them. See whom they choose in a text of your own; then silence an expert, or force all tokens to two " +
      "of them, and see what it costs. The loss says by how much, in nats, each next token surprises the model.",
  });
  const opened = new Map(); // key of MODELS -> promise of {handle, cards}
  let gone = false;
  lab.onDispose(() => {
    gone = true;
    for (const opening of opened.values()) opening.then(({ handle }) => handle.close()).catch(() => {});
  });

  async function open(key) {
    const { name, step = null } = MODELS[key];
    const handle = await openModel(model, name, { checkpoint: step, onProgress: lab.status });
    lab.status("");
    if (gone) handle.close();
    const { checkpoints } = await filesOf(model).json(`weights/${name}/config.json`);
    const cards = CARDS[name]?.sha256 === checkpoints[handle.checkpoint] ? CARDS[name] : null;
    return { handle, cards };
  }

  /** A model and its cards, fetched when it is first asked for. */
  function modelFor(key) {
    if (!opened.has(key)) {
      opened.set(key, open(key));
      opened.get(key).catch(() => opened.delete(key)); // may be tried again
    }
    return opened.get(key);
  }

  try {
    await start(lab, modelFor);
  } catch (error) {
    lab.fail(error);
  }
  return lab.dispose;
}

export default { render };

async function start(lab, modelFor) {
  const update = lab.following(measure);
  const change = (changes) => {
    lab.state.set(changes);
    return update();
  };
  const look = (changes) => {
    lab.state.set(changes);
    draw();
  };

  /* -- which model, which text -- */

  const chosen = lab.toggles({ key: "model", label: "The model", options: Object.keys(MODELS), onChange: update });
  lab.controls.append(
    lab.help("Who they are", ...Object.entries(MODELS).map(([key, { about }]) => make("p", {}, `${key}: ${about}.`))),
  );
  const texts = new Map(); // examples -> {element, field}

  /** The field for the texts that a model reads, made when its tokenizer is there. */
  function textFor({ examples }, { tokenizer, config }) {
    if (!texts.has(examples)) {
      const element = make("div", { class: "dtrs-lab-reader" });
      lab.controls.append(element);
      const isSymbols = examples === SYMBOLS;
      const field = lab.textField({
        key: isSymbols ? "symbols" : "text",
        label: isSymbols ? "A task, then symbols and their answers; other words are left out" : "Your text",
        value: Object.values(examples)[0],
        maxTokens: Math.min(LONGEST, config.n_ctx - 1), // one place is the beginning token's
        encode: isSymbols ? (words) => knownWords(words, tokenizer) : (words) => tokenizer.encode(words),
        onInput: update,
        into: element,
      });
      const row = make("div", { class: "dtrs-lab-examples", role: "group", "aria-label": "Texts to try" });
      const read = (example) => {
        lab.state.set({ token: null });
        field.value = example; // calls update
      };
      for (const [label, example] of Object.entries(examples))
        lab.button({ label, into: row, onClick: () => read(example) });
      element.append(row);
      texts.set(examples, { element, field });
    }
    for (const [kind, { element }] of texts) element.hidden = kind !== examples;
    return texts.get(examples).field;
  }

  /* -- panels -- */

  const finding = make("p", { class: "dtrs-lab-finding" });
  const strip = routeStrip({ label: "The tokens of the text", onSelect: (at) => look({ token: at, expert: null }) });
  const layers = make("div", { class: "dtrs-lab-how" });
  const layerButtons = lab.toggles({
    key: "layer",
    label: "Layer",
    options: ["0", "1", "2", "3"],
    value: "3",
    onChange: () => look({ expert: null }),
    into: layers,
  });
  const about =
    "Below each token the expert of its larger weight, then the other one; they help to predict the next token. With " +
    "experts switched off or forced, the change of the token's own loss in nats. Select a token.";
  const reading = panel("Whom the router chooses", about, layers, strip.element);
  const table = routeTable();
  const routes = panel("", "In every layer, with the weights that the two experts' outputs get.", table.element);

  const tiles = expertTiles({
    label: "The experts of the layer",
    onSelect: (expert) => look({ expert }),
    onSwitch: flip,
  });
  const how = make("div", { class: "dtrs-lab-how" });
  const act = lab.toggles({
    key: "act",
    label: "The experts you mark, in any layer,",
    options: ACTS,
    onChange: update,
    into: how,
  });
  lab.button({ label: "Unmark all", into: how, onClick: () => change({ marked: null }) });
  const doing = panel("", "The share of the text's tokens that go to each. Choose one for its card, or mark it.");
  doing.element.append(tiles.element, how);
  const card = expertCard();
  lab.body.append(
    finding,
    reading.element,
    doing.element,
    make("div", { class: "dtrs-lab-columns" }, routes.element, card.element),
  );
  lab.onReset(update);

  /* -- what the reader chose -- */

  /** Marked experts of every layer that the model has: layer -> [expert], in order. */
  function markedIn({ n_layers, num_experts }) {
    const pairs = lab.state.get("marked").split(",").map((one) => one.split(".").map(Number));
    const known = ([layer, expert]) => layer >= 0 && layer < n_layers && expert >= 0 && expert < num_experts;
    return Array.from({ length: n_layers }, (_, layer) =>
      pairs.filter((pair) => known(pair) && pair[0] === layer).map(([, expert]) => expert).sort(),
    );
  }

  function flip(expert) {
    const name = `${layerOf(shown.config)}.${expert}`;
    const all = lab.state.get("marked").split(",").filter(Boolean);
    const rest = all.filter((one) => one !== name);
    if (rest.length === all.length) rest.push(name);
    return change({ marked: rest.join(",") || null });
  }

  function layerOf({ n_layers }) {
    return Math.min(Number(layerButtons.value), n_layers - 1);
  }

  function tokenOf(count) {
    const stored = lab.state.get("token", "");
    return /^\d+$/.test(stored) ? Math.min(Number(stored), count - 1) : Math.floor(count / 3);
  }

  /** The edits that the marks ask for, what they are in words, and why a layer is left as it is. */
  function editsFor(config) {
    const { num_experts, experts_per_token } = config;
    const everyone = Array.from({ length: num_experts }, (_, expert) => expert);
    const hooks = [];
    const words = [];
    const remarks = [];
    markedIn(config).forEach((experts, layer) => {
      if (!experts.length) return;
      const others = everyone.filter((expert) => !experts.includes(expert));
      const name = `blocks.${layer}.mlp.hook_expert_weights`;
      if (act.value === "force" && experts.length !== experts_per_token)
        return void remarks.push(`To force experts of layer ${layer}, mark ${experts_per_token} of them.`);
      if (act.value === "bar" && others.length < experts_per_token)
        return void remarks.push(`In layer ${layer}, leave at least ${experts_per_token} to choose from.`);
      if (act.value === "silence")
        hooks.push({ name, scale: Float32Array.from(everyone, (one) => Number(others.includes(one))) });
      else hooks.push({ name, without: act.value === "bar" ? experts : others });
      words.push(`${experts.length > 1 ? "experts" : "expert"} ${listed(experts)} of layer ${layer}`);
    });
    return { hooks, doing: words.length ? `${listed(words)} ${DONE[act.value]}` : "", remark: remarks.join(" ") };
  }

  /* -- measuring -- */

  let shown = null; // what is on the page
  let kept = { wanted: "", plain: null }; // the run without edits, kept while only marks change

  async function measure() {
    const { handle, cards } = await modelFor(chosen.value);
    const { config, tokenizer } = handle;
    const field = textFor(MODELS[chosen.value], handle);
    if (!field.tokens.length) return void (finding.textContent = "Type a word that the model knows.");
    const tokens = [tokenizer.bos, ...field.tokens];
    const wanted = `${chosen.value} ${tokens}`;
    if (kept.wanted !== wanted) kept = { wanted, plain: await handle.call("expertRoutes", { tokens }) };
    const { plain } = kept;
    const edits = editsFor(config);
    const changed = edits.hooks.length ? await handle.call("expertRoutes", { tokens, hooks: edits.hooks }) : null;
    shown = { config, cards, tokenizer, tokens, plain, changed, edits, labels: tokenizer.tokens(tokens.slice(1)) };
    draw();
  }

  /* -- drawing -- */

  function draw() {
    if (!shown) return;
    const { config, cards, tokenizer, labels, plain, changed } = shown;
    const layer = layerOf(config);
    const token = tokenOf(labels.length);
    const now = changed ?? plain;
    const used = act.value === "silence" ? now.wanted : now.chosen; // what is silenced was chosen all the same
    [...layerButtons.element.querySelectorAll("button")].forEach((node, at) => {
      node.hidden = at >= config.n_layers;
      node.setAttribute("aria-pressed", String(at === layer)); // the last one, where the model has fewer
    });
    const routed = routesIn(used[layer], now.weights[layer]);
    const changes = changed ? plain.losses.map((loss, at) => changed.losses[at] - loss) : null;
    const drawn = (label, at) => {
      const cost = { loss: plain.losses[at], change: changes?.[at] ?? null };
      return { label, route: routed[at + 1], ...cost };
    };
    strip.update(labels.map(drawn), token);
    routes.title.textContent = `The way of “${labels[token]}”, token ${token + 1}`;
    table.update(used.map((experts, one) => routesIn(experts, now.weights[one])[token + 1]), layer);

    const marked = markedIn(config)[layer];
    const read = Array.from({ length: config.num_experts }, (_, expert) => readBy(routed, expert));
    const expert = chosenExpert(config, routed[token + 1]);
    doing.title.textContent = `The experts of layer ${layer}`;
    const shares = read.map(({ length }) => length / labels.length);
    tiles.update({ shares, selected: expert, marked, act: act.value });
    card.update({
      layer,
      expert,
      here: read[expert].map((at) => labels[at - 1]),
      total: labels.length,
      card: cards?.layers[layer][expert] ?? null,
      cards,
      piece: (id) => tokenizer.tokens([id])[0],
      usual: config.experts_per_token / config.num_experts,
    });
    finding.textContent = [costs(changes), shown.edits.remark].filter(Boolean).join(" ");
    lab.announce(finding.textContent);
  }

  /** The expert that the reader chose, or the first of the selected token. */
  function chosenExpert({ num_experts }, route) {
    const stored = lab.state.get("expert", "");
    return /^\d+$/.test(stored) && Number(stored) < num_experts ? Number(stored) : route[0].expert;
  }

  function costs(changes) {
    const { plain, changed, labels, edits } = shown;
    const was = mean(plain.losses).toFixed(2);
    if (!changed) return `The loss on this text is ${was} nats per token. Mark an expert to see it change.`;
    const is = mean(changed.losses).toFixed(2);
    const verb = is === was ? "stays" : Number(is) > Number(was) ? "rises" : "falls";
    const course = verb === "stays" ? `at ${is}` : `from ${was} to ${is}`;
    const most = changes.reduce((best, one, at) => (Math.abs(one) > Math.abs(changes[best]) ? at : best), 0);
    const where = Math.abs(changes[most]) > STILL ? `, most on “${labels[most]}” (${signed(changes[most])})` : "";
    return `With ${edits.doing}, the loss on this text ${verb} ${course} nats per token${where}.`;
  }

  await update();
}

/** A layer's routes: for each position its experts and their weights, 0 for what is silenced. */
function routesIn(chosen, weights) {
  const [length, choices] = chosen.shape;
  const [, experts] = weights.shape;
  return Array.from({ length }, (_, at) =>
    Array.from(chosen.data.subarray(at * choices, (at + 1) * choices), (expert) => ({
      expert,
      weight: weights.data[at * experts + expert],
    })),
  );
}

/** The positions of the text, from 1 on, that go to an expert. */
function readBy(routed, expert) {
  const reads = (route) => route.some((one) => one.expert === expert);
  return routed.map((route, at) => (at > 0 && reads(route) ? at : 0)).filter(Boolean);
}

/** The ids of the words that a list of words has. */
function knownWords(text, tokenizer) {
  return text.split(/\s+/).flatMap((word) => {
    try {
      return tokenizer.encode(word);
    } catch {
      return [];
    }
  });
}

function listed(words) {
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : String(words[0]);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
