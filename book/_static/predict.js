/* Predict first, in the page: a range before the measurement, the comparison after it, the tally at the end.
   Answers stay in this browser. Without scripts the questions and the measured values stand as plain text. */
(() => {
  "use strict";

  const KEY = "dtrs.predictions";
  const AIM = 0.8;

  /* What the reader has said: id → {low, high} or {seen: true}. Kept by the browser where it allows that. */
  const memory = {
    entries: {},
    lasting: true,
    load() {
      try {
        const stored = JSON.parse(window.localStorage.getItem(KEY) || "{}");
        for (const [id, entry] of Object.entries(stored || {})) {
          const committed = entry && Number.isFinite(entry.low) && Number.isFinite(entry.high);
          if (committed) this.entries[id] = { low: entry.low, high: entry.high };
          else if (entry && entry.seen === true) this.entries[id] = { seen: true };
        }
      } catch (error) {
        this.lasting = !(error instanceof DOMException); // damaged text is replaced by the next answer
      }
    },
    save() {
      try {
        window.localStorage.setItem(KEY, JSON.stringify(this.entries));
      } catch {
        this.lasting = false;
      }
    },
    committed(id) {
      const entry = this.entries[id];
      return entry && "low" in entry ? entry : null;
    },
    seen(id) {
      return Boolean(this.entries[id] && this.entries[id].seen);
    },
  };

  const all = (selector) => [...document.querySelectorAll(selector)];
  const short = (value) => String(Number(value.toPrecision(6))).replace("-", "\u2212");
  const holds = (range, actual) => range.low <= actual && actual <= range.high;

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  /* The form under a question. */
  const showForm = (box) => {
    const { id, unit } = box.dataset;
    const form = box.querySelector("form");
    const status = box.querySelector(".dtrs-status");
    const [low, high] = form.querySelectorAll("input");
    const range = memory.committed(id);
    const closed = Boolean(range) || memory.seen(id);
    box.querySelector(".dtrs-paper").hidden = true;
    form.hidden = memory.seen(id);
    for (const input of [low, high]) input.readOnly = closed;
    form.querySelector("button").hidden = closed;
    status.classList.remove("dtrs-problem");
    if (range) {
      low.value = range.low;
      high.value = range.high;
      const keeps = memory.lasting ? "" : " This browser keeps nothing, so it lasts until you leave the page.";
      status.textContent = `You said ${short(range.low)} to ${short(range.high)}${unit ? ` ${unit}` : ""}.${keeps}`;
    } else {
      status.textContent = closed ? "You have seen the measurement, so this one is not counted." : "";
    }
  };

  const commit = (box) => {
    const inputs = [...box.querySelectorAll("input")];
    const [low, high] = inputs.map((input) => input.valueAsNumber);
    const sound = Number.isFinite(low) && Number.isFinite(high) && low <= high;
    for (const input of inputs) input.setAttribute("aria-invalid", String(!sound));
    if (!sound) {
      const status = box.querySelector(".dtrs-status");
      status.classList.add("dtrs-problem");
      status.textContent =
        low > high ? "The first number is the lower end of your range: swap them." : "Two numbers are needed.";
      inputs[0].focus();
      return;
    }
    memory.entries[box.dataset.id] = { low, high };
    memory.save();
    showEverything();
  };

  /* The measured value, closed until the reader has committed or asks for it. */
  const showReveal = (box) => {
    const { id } = box.dataset;
    const range = memory.committed(id);
    const status = box.querySelector(".dtrs-status");
    status.className = "dtrs-status";
    status.textContent = "";
    if (range) {
      const inside = holds(range, Number(box.dataset.actual));
      status.classList.add(inside ? "dtrs-inside" : "dtrs-outside");
      status.textContent =
        `${inside ? "\u2713" : "\u2717"} Your range, ${short(range.low)} to ${short(range.high)}: ` +
        `the measured value lies ${inside ? "inside" : "outside"} it.`;
      box.querySelector("details").open = true;
    }
  };

  const noteSeen = (box) => {
    const { id } = box.dataset;
    const asked = all(".dtrs-predict").some((other) => other.dataset.id === id);
    if (!asked || !box.querySelector("details").open || memory.committed(id) || memory.seen(id)) return;
    memory.entries[id] = { seen: true };
    memory.save();
    showEverything();
  };

  /* The tally at the end of a chapter. */
  const judgement = (hits, count) => {
    const aim = AIM * count;
    const said =
      `${hits} of ${count} ${count === 1 ? "range" : "ranges"} held the measured value; ` +
      `80 % of ${count} is ${aim.toFixed(1)}.`;
    if (count < 4) return `${said} With so few, luck decides: go on predicting.`;
    if (hits >= aim + 1 || hits === count) {
      return `${said} You know more than your ranges admit, or were lucky: try narrower ones.`;
    }
    if (hits < aim - 1) return `${said} You were surer than you should have been: make the ranges wider.`;
    return `${said} That is about as well calibrated as one can tell from ${count}.`;
  };

  const ofChapter = (selector, slug) => all(selector).filter((box) => box.dataset.id.startsWith(`${slug}.`));

  const showCalibration = (box) => {
    const { slug } = box.dataset;
    const reveals = ofChapter(".dtrs-reveal", slug);
    const scored = reveals.filter((reveal) => memory.committed(reveal.dataset.id));
    const status = box.querySelector(".dtrs-status");
    box.querySelector("p").hidden = scored.length > 0;
    status.replaceChildren();
    if (scored.length > 0) {
      const list = element("ul");
      let hits = 0;
      for (const reveal of scored) {
        const range = memory.committed(reveal.dataset.id);
        const inside = holds(range, Number(reveal.dataset.actual));
        hits += Number(inside);
        list.append(
          element(
            "li",
            `${inside ? "\u2713 inside" : "\u2717 outside"}: you said ${short(range.low)} to ${short(range.high)}, ` +
              `measured ${reveal.dataset.actual}`,
          ),
        );
      }
      status.append(list, element("p", judgement(hits, scored.length)));
    }
    const touched = reveals.some((reveal) => memory.entries[reveal.dataset.id]);
    box.querySelector(".dtrs-again")?.remove();
    if (touched) {
      const again = element("button", "Forget my answers in this chapter", "dtrs-again");
      again.type = "button";
      again.addEventListener("click", () => forget(slug));
      box.append(again);
    }
  };

  const forget = (slug) => {
    for (const reveal of ofChapter(".dtrs-reveal", slug)) {
      delete memory.entries[reveal.dataset.id];
      reveal.querySelector("details").open = false;
    }
    memory.save();
    for (const box of ofChapter(".dtrs-predict", slug)) box.querySelector("form").reset();
    showEverything();
    ofChapter(".dtrs-predict", slug)[0]?.querySelector("input").focus();
  };

  const showEverything = () => {
    all(".dtrs-predict").forEach(showForm);
    all(".dtrs-reveal").forEach(showReveal);
    all(".dtrs-calibration").forEach(showCalibration);
  };

  const start = () => {
    memory.load();
    for (const box of all(".dtrs-predict")) {
      const form = box.querySelector("form");
      form.noValidate = true; // the sentence below the form says more than the browser's bubble
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        commit(box);
      });
    }
    for (const box of all(".dtrs-reveal")) {
      box.querySelector("details").addEventListener("toggle", () => noteSeen(box));
    }
    showEverything();
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
