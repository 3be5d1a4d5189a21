/* The figure on the landing page: switch off attention heads of the book's two-layer model and see what it forgets.
   The measurements (book/landing_data.py) lie in the page as JSON, so nothing is fetched and file:// works too. */
(function () {
  "use strict";

  const TALLEST = 10; // nats: the height of the chart
  const HARMLESS = 0.1; // nats: a smaller change of the mean counts as no change

  function start() {
    const root = document.getElementById("head-switch");
    const source = document.getElementById("head-switch-data");
    if (!root || !source) return;
    const data = decode(JSON.parse(source.textContent));
    draw(root, data);
  }

  /* ---- data ---- */

  function decode(file) {
    const period = file.words.length;
    const total = file.layers * file.heads;
    const rows = bytes(file.losses);
    const losses = new Map(
      removableSets(total, file.most_off).map((set, row) => [
        set.join(),
        Array.from(rows.subarray(row * 2 * period, (row + 1) * 2 * period), (byte) => byte * file.step),
      ])
    );
    const positions = 2 * period + 1;
    const triangle = (positions * (positions + 1)) / 2;
    const weights = bytes(file.patterns);
    return {
      ...file,
      period,
      total,
      lossesWithout: (set) => losses.get(set.join()),
      // the attention of `head` from position `query` to `key`, BOS being position 0
      attention: (head, query, key) => weights[head * triangle + (query * (query + 1)) / 2 + key] / 255,
      name: (head) => `${Math.floor(head / file.heads)}.${head % file.heads}`,
    };
  }

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  }

  // The same order as in landing_data.py: smaller sets first, then in order.
  function removableSets(total, most) {
    const sets = [];
    function extend(set, next, size) {
      if (set.length === size) return void sets.push(set);
      for (let head = next; head < total; head++) extend([...set, head], head + 1, size);
    }
    for (let size = 0; size <= most; size++) extend([], 0, size);
    return sets;
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /* ---- drawing ---- */

  function make(kind, className, text) {
    const node = document.createElement(kind);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function draw(root, data) {
    const state = { off: [], shown: 0, query: 1 };
    // The first word of the second reading has no earlier copy to lean on at its left: it is left out of the mean.
    const second = (losses) => mean(losses.slice(data.period + 1));
    const intact = data.lossesWithout([]);
    const harm = (set) => second(data.lossesWithout(set)) - second(intact);
    const singles = Array.from({ length: data.total }, (_, head) => harm([head]));
    const worst = singles.indexOf(Math.max(...singles));
    Object.assign(state, clearestLook(data));

    const heads = drawHeads();
    const readings = ["First reading", "Second reading"].map(drawReading);
    const status = make("p", "hs-status");
    status.setAttribute("role", "status");
    const looks = make("p", "hs-looks");
    const tools = make("div", "hs-tools");
    const restore = tool("All heads on", () => change([], state.shown));
    const reveal = tool("Switch off the one it needs most", () => change([worst], worst));
    tools.append(restore, reveal);

    const chart = make("div", "hs-chart");
    chart.append(...readings.map((reading) => reading.node));
    const panel = make("div", "hs-panel");
    panel.append(heads.node, tools, status, looks);
    root.replaceChildren(chart, panel, legend());
    root.classList.add("hs-ready");
    update();

    function change(off, shown) {
      state.off = off;
      state.shown = shown;
      update();
    }

    function toggle(head) {
      const off = state.off.includes(head)
        ? state.off.filter((other) => other !== head)
        : [...state.off, head].sort((a, b) => a - b);
      if (off.length > data.most_off) {
        status.textContent = `At most ${data.most_off} heads can be off together. Switch one of them on first.`;
        return;
      }
      heads.tried.add(head);
      change(off, head);
    }

    function tool(label, action) {
      const button = make("button", "hs-tool", label);
      button.type = "button";
      button.addEventListener("click", action);
      return button;
    }

    function drawHeads() {
      const node = make("div", "hs-heads");
      node.style.setProperty("--columns", Math.min(data.heads, 4));
      const tried = new Set();
      const buttons = [];
      for (let layer = 0; layer < data.layers; layer++) {
        const row = make("div", "hs-layer");
        row.setAttribute("role", "group");
        row.setAttribute("aria-label", `Heads of layer ${layer}`);
        const cells = make("div", "hs-cells");
        row.append(make("span", "hs-layer-name", `Layer ${layer}`), cells);
        for (let index = 0; index < data.heads; index++) {
          const head = layer * data.heads + index;
          const button = make("button", "hs-head");
          button.type = "button";
          button.append(make("span", "hs-head-name", data.name(head)), make("span", "hs-head-harm", ""));
          button.addEventListener("click", () => toggle(head));
          buttons.push(button);
          cells.append(button);
        }
        node.append(row);
      }
      node.addEventListener("keydown", (event) => moveFocus(event, buttons));
      return { node, buttons, tried };
    }

    function moveFocus(event, buttons) {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -data.heads, ArrowDown: data.heads };
      const from = buttons.indexOf(document.activeElement);
      if (from < 0 || !(event.key in steps)) return;
      const to = buttons[from + steps[event.key]];
      if (!to) return;
      event.preventDefault();
      to.focus();
    }

    function drawReading(title, reading) {
      const node = make("div", "hs-reading");
      const heading = make("p", "hs-reading-name");
      const bars = make("div", "hs-bars");
      bars.style.setProperty("--words", data.period);
      const columns = data.words.map((word, index) => {
        const position = reading * data.period + index + 1;
        const column = make("button", "hs-word");
        column.type = "button";
        const track = make("span", "hs-track");
        const bar = make("span", "hs-bar");
        const mark = make("span", "hs-mark");
        track.append(bar, mark);
        const label = make("span", "hs-label", word);
        column.append(track, label);
        column.addEventListener("click", () => {
          state.query = position;
          update();
        });
        bars.append(column);
        return { column, bar, mark, label, position, word };
      });
      node.append(heading, bars);
      return { node, heading, title, columns };
    }

    function legend() {
      const node = make("p", "hs-legend");
      node.append(
        make("span", "hs-key hs-key-bar"), "surprise at the word, in nats ",
        make("span", "hs-key hs-key-mark"), "with all heads on ",
        make("span", "hs-key hs-key-look"), "where the head looks"
      );
      return node;
    }

    function update() {
      const losses = data.lossesWithout(state.off);
      readings.forEach((reading, index) => {
        const slice = losses.slice(index * data.period, (index + 1) * data.period);
        const average = index ? second(losses) : mean(slice);
        reading.heading.replaceChildren(
          make("strong", "", reading.title),
          `: ${average.toFixed(2)} nats a word on average`
        );
        reading.columns.forEach((column, at) => drawColumn(column, slice[at], intact[column.position - 1]));
      });
      heads.buttons.forEach((button, head) => drawHead(button, head));
      restore.disabled = state.off.length === 0;
      status.textContent = verdict(losses);
      looks.textContent = whereItLooks();
    }

    function drawColumn({ column, bar, mark, position, word }, loss, before) {
      const looked = position <= state.query ? data.attention(state.shown, state.query, position) : 0;
      bar.style.height = `${(100 * Math.min(loss, TALLEST)) / TALLEST}%`;
      mark.style.bottom = `${(100 * Math.min(before, TALLEST)) / TALLEST}%`;
      column.style.setProperty("--look", looked.toFixed(3));
      column.classList.toggle("hs-query", position === state.query);
      column.classList.toggle("hs-worse", loss - before > 1);
      const reading = position > data.period ? "second" : "first";
      column.setAttribute(
        "aria-label",
        `${word}, ${reading} reading: surprise ${loss.toFixed(2)} nats, ${before.toFixed(2)} with all heads on. ` +
          `Head ${data.name(state.shown)} gives it ${percent(looked)} of its attention from the marked word.`
      );
      column.setAttribute("aria-pressed", String(position === state.query));
      column.title = `${word}: ${loss.toFixed(2)} nats, a chance of ${percent(Math.exp(-loss))}`;
    }

    function drawHead(button, head) {
      const off = state.off.includes(head);
      button.setAttribute("aria-pressed", String(!off));
      button.classList.toggle("hs-off", off);
      button.classList.toggle("hs-shown", head === state.shown);
      const known = heads.tried.has(head) || state.off.includes(head);
      button.lastChild.textContent = off ? "off" : known ? signed(singles[head]) : "on";
      button.setAttribute(
        "aria-label",
        `Head ${data.name(head)}, ${off ? "off" : "on"}` +
          (known ? `. Without it alone the second reading costs ${signed(singles[head])} nats a word.` : "")
      );
    }

    function verdict(losses) {
      const now = second(losses);
      const usual = second(intact);
      if (!state.off.length) {
        return (
          `All ${data.total} heads are on. The list comes twice, and at the second reading the model knows what ` +
          `comes next: its surprise falls from ${mean(intact.slice(0, data.period)).toFixed(1)} to ` +
          `${usual.toFixed(1)} nats. Which head does it need for that? Switch one off.`
        );
      }
      const names = state.off.map((head) => data.name(head)).join(", ").replace(/, ([^,]*)$/, " and $1");
      const without = `Without head${state.off.length > 1 ? "s" : ""} ${names}`;
      if (now - usual < HARMLESS) {
        const ease = now - usual < -HARMLESS ? "even easier than" : "as easy as";
        return `${without} the second reading is ${ease} before: ${now.toFixed(2)} nats. Try another.`;
      }
      return (
        `${without} the surprise at the second reading rises from ${usual.toFixed(2)} to ${now.toFixed(2)} nats: ` +
        `the model gives the right word a chance of ${percent(Math.exp(-now))} instead of ${percent(Math.exp(-usual))}.`
      );
    }

    function whereItLooks() {
      const keys = Array.from({ length: state.query + 1 }, (_, key) => key);
      const best = keys.reduce((a, b) =>
        data.attention(state.shown, state.query, b) > data.attention(state.shown, state.query, a) ? b : a
      );
      return (
        `Reading “${wordAt(state.query)}” (outlined) for the ${state.query > data.period ? "second" : "first"} time, ` +
        `head ${data.name(state.shown)} looks most at ${describe(best)}, with ` +
        `${percent(data.attention(state.shown, state.query, best))} of its attention. Choose another word or head ` +
        `to see where it looks.`
      );
    }

    function describe(key) {
      if (key === 0) return "the start of the text, where a head looks when it has nothing to fetch";
      if (key === state.query) return "the word itself";
      return `“${wordAt(key)}” in the ${key > data.period ? "second" : "first"} reading`;
    }

    function wordAt(position) {
      return position === 0 ? "the start" : data.words[(position - 1) % data.period];
    }
  }

  // The head that, in the second reading, looks most at what came after the same word in the first; and the word at
  // which it does so most clearly.
  function clearestLook(data) {
    const queries = data.words.slice(1).map((_, index) => data.period + 1 + index);
    const look = (head, query) => data.attention(head, query, query - data.period + 1);
    const scores = Array.from({ length: data.total }, (_, head) => mean(queries.map((query) => look(head, query))));
    const shown = scores.indexOf(Math.max(...scores));
    const looks = queries.map((query) => look(shown, query));
    return { shown, query: queries[looks.indexOf(Math.max(...looks))] };
  }

  function percent(share) {
    const value = 100 * share;
    if (value < 0.1) return "under 0.1 %";
    return `${value < 1 ? value.toFixed(1) : value.toFixed(0)} %`;
  }

  function signed(value) {
    const text = Math.abs(value).toFixed(1);
    return text === "0.0" ? "±0" : `${value > 0 ? "+" : "−"}${text}`;
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
