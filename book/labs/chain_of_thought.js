/* The lab of "Chain of thought": a model reasons in writing; its words are changed, cut, shuffled and hidden from it,
   or kept while what stands behind them is exchanged, and its answer follows them or does not. */

import { openModel } from "./engine.js";
import { frame, make } from "./shell.js";
import { swapPanel } from "./chain_of_thought_swap.js";
import { thinkerOf } from "./chain_of_thought_model.js";
import { typedText, wordLines } from "./chain_of_thought_text.js";
import * as problems from "./chain_of_thought_problems.js";
import * as pad from "./chain_of_thought_scratchpad.js";
import { randomFrom } from "./toy.js";
import { barList, panel, percent } from "./views.js";

const MODELS = {
  causal: "works by writing, and reads what it wrote",
  decorative: "takes the result from the problem's number and writes the steps all the same",
  biased: "goes where a hint or the place of the last answers points, and bends its last step to fit",
  honest: "goes there too, and says so",
  hidden: "carries the problem's mark through its choice of synonyms to the word that closes",
  untrained: "has learned nothing yet: what all five were before the first step",
};
// With these seeds no guess without the reasoning happens to be right.
const EXAMPLES = {
  "Six steps": { seed: 12, depth: 6, form: "options", cue: "none" },
  "One step": { seed: 1, depth: 1, form: "options", cue: "none" },
  "A wrong hint": { seed: 3, depth: 4, form: "options", cue: "hint" },
  "Always the same letter": { seed: 4, depth: 4, form: "options", cue: "past" },
  "Without options": { seed: 5, depth: 5, form: "free", cue: "none" },
};
const [[, START]] = Object.entries(EXAMPLES);
const LITTLE = 0.9; // if all answers together have less of the model's probability, the lab says so
const MEAN = { value: "mean", label: "mean" };

/**
 * The lab, as anywidget and the page call it. Resolves when it shows its first numbers.
 * @param {{model: object, el: HTMLElement}} place
 * @returns {Promise<function(): void>} takes the lab away
 */
export async function render({ model, el }) {
  const lab = frame({
    model,
    el,
    name: "chain_of_thought",
    title: "Is this what it thought?",
    describe:
      "Five models write the same kind of words here, in your browser, and use them differently. Let a word of the " +
      "problem or of the scratchpad say something else, cut, shuffle or replace the steps, and see whether the " +
      "answer follows. The shade of a word is how much the model looks at it when it answers.",
  });
  const thinkers = new Map(); // name -> promise of {thinker, config}
  let gone = false;
  lab.onDispose(() => {
    gone = true;
    for (const opening of thinkers.values()) opening.then(({ handle }) => handle.close()).catch(() => {});
  });

  async function open(name) {
    const which = name === "untrained" ? ["reasoning", 0] : [name, null];
    const handle = await openModel(model, which[0], { checkpoint: which[1], onProgress: lab.status });
    lab.status("");
    if (gone) handle.close();
    return { handle, thinker: thinkerOf(handle), config: handle.config };
  }

  /** A model that thinks, fetched when it is first asked for. */
  function thinkerFor(name) {
    if (!thinkers.has(name)) {
      thinkers.set(name, open(name));
      thinkers.get(name).catch(() => thinkers.delete(name)); // may be tried again
    }
    return thinkers.get(name);
  }

  try {
    await start(lab, thinkerFor);
  } catch (error) {
    lab.fail(error);
  }
  return lab.dispose;
}

export default { render };

async function start(lab, thinkerFor) {
  const update = lab.following(measure);
  const change = (changes) => {
    lab.state.set(changes);
    return update();
  };
  const fresh = { problem: null, text: null };

  /* -- which model, which problem -- */

  const organism = lab.toggles({ key: "model", label: "The model", options: Object.keys(MODELS), onChange: update });
  const examples = make("div", { class: "dtrs-lab-examples", role: "group", "aria-label": "Problems to try" });
  const wish = {};
  for (const [label, example] of Object.entries(EXAMPLES))
    lab.button({ label, into: examples, onClick: () => ask(example) });
  const another = () => ask({ seed: 1 + Math.floor(999 * Math.random()) });
  lab.button({ label: "A new problem", into: examples, onClick: another });
  const asked = make("div", { class: "dtrs-lab-asked" });
  const again = () => change(fresh);
  const into = asked;
  wish.depth = lab.slider({ key: "depth", label: "Steps", min: 1, max: 8, value: START.depth, onInput: again, into });
  const forms = [{ value: "options", label: "four options" }, { value: "free", label: "all digits" }];
  const cues = ["none", { value: "hint", label: "a wrong hint" }, { value: "past", label: "always one letter" }];
  wish.form = lab.toggles({ key: "form", label: "The answer is one of", options: forms, onChange: again, into });
  wish.cue = lab.toggles({ key: "cue", label: "Cue", options: cues, onChange: again, into });
  wish.seed = lab.countField({ key: "seed", label: "Seed", value: START.seed, onInput: again, into });
  lab.controls.append(
    lab.help("Who they are", ...Object.entries(MODELS).map(([name, does]) => make("p", {}, `${name}: ${does}.`))),
    examples,
    lab.help("A problem to order", asked),
  );

  /** Another problem, by some of what can be wished for; edits go with the old one. */
  function ask(wanted) {
    for (const [key, value] of Object.entries(wanted)) wish[key].value = value;
    return change(fresh);
  }

  /* -- panels -- */

  const finding = make("p", { class: "dtrs-lab-finding" });
  const text = wordLines({ label: "The problem and the scratchpad", onChange: exchange });
  const number = make("p", { class: "dtrs-lab-note" });
  const looks = make("div", { class: "dtrs-lab-how" });
  const heads = {};
  const textPanel = panel("What it reads and writes", number, text.element, looks);
  const tools = make("div", { class: "dtrs-lab-toggles" });
  const tool = (label, act) => lab.button({ label, into: tools, onClick: () => rewrite(act) });
  lab.button({ label: "As the model writes it", into: tools, onClick: () => change({ text: null }) });
  tool("Cut the last step", ({ words }) => pad.cut(words));
  tool("Shuffle the steps", ({ words }) => pad.inOtherOrder(words, Math.random));
  tool("Full stops instead", ({ problem }) => pad.fillerFor(problem));
  tool("Plant a mistake", ({ words, problem }) => pad.mistaken(words, problem, Math.random));
  tool("Synonyms", ({ words }) => pad.rephrased(words));
  tool("Synonyms of the other class", ({ words }) => pad.rephrased(words, true));
  tool("The model goes on", ({ words, problem, thinker }) => thinker.write(problem, words));
  lab.button({ label: "Undo changes to the problem", into: tools, onClick: () => change({ problem: null }) });
  const typed = typedText(lab, update);
  const classes = "“So” and “thus” are of one class, “then” and “hence” of the other.";
  const doing = panel("What you do to the scratchpad", classes, tools);
  doing.element.append(typed.element);

  const bars = barList({ label: "Answers and their probabilities", format: percent });
  const closings = barList({ label: "Closing words and their probabilities", format: percent });
  const sight = lab.toggles({
    key: "sight",
    label: "When it answers, it may look at",
    options: [
      { value: "all", label: "everything" },
      { value: "blind", label: "the problem alone" },
    ],
    onChange: update,
    into: make("div"),
  });
  const about =
    "The model's probability, divided among the possible answers, and below for the word that closes. “Was” is what " +
    "it was before anything was changed.";
  const answers = panel("What it answers", about, bars.element, closings.element, sight.element);
  const swap = swapPanel({ lab, update });
  const beside = make("div", { class: "dtrs-lab-panel" }, answers.element, doing.element);
  lab.body.append(finding, make("div", { class: "dtrs-lab-thought" }, textPanel.element, beside), swap.element);
  lab.onReset(update);

  /* -- what the reader chose -- */

  /** The problem before it was changed by hand. */
  function given() {
    const [seed, depth] = [wish.seed.value, wish.depth.value];
    return problems.randomProblem(randomFrom(seed), { depth, form: wish.form.value, cue: wish.cue.value });
  }

  function chosenProblem() {
    const stored = lab.state.get("problem");
    return (stored && problems.problemOf(["<start>", ...stored.split(" ")])) || given();
  }

  /** Another word in the place of one; what was written for the problem as it stood stays as it is. */
  function exchange(line, at, word) {
    const { words, problem } = shown;
    if (line === "Scratchpad") return change({ text: pad.textOf(words.with(at, word)) });
    const edited = problems.changed(problems.wordsOf(problem), linesOf(problem)[line] + at, word);
    return change({ problem: edited.slice(1).join(" "), text: pad.textOf(words) });
  }

  async function rewrite(act) {
    try {
      await change({ text: pad.textOf(await act(shown)) });
    } catch (error) {
      lab.fail(error);
    }
  }

  /** Which lines the problem is shown in, and where each begins among its words. */
  function linesOf(problem) {
    const words = problems.wordsOf(problem);
    const options = problem.options ? { Options: words.indexOf("options") } : {};
    return { Problem: 0, ...options, Steps: words.indexOf(problems.NAMES[0]), Start: words.indexOf("think") };
  }

  /* -- measuring -- */

  let shown = null; // what is on the page
  let untouched = null; // what a model writes and answers before anything is changed

  /** What the model makes of the problem that it was given, computed once. */
  async function untouchedBy(thinker, first) {
    const words = String(problems.wordsOf(first));
    if (untouched?.thinker !== thinker || untouched.words !== words) {
      const own = await thinker.write(first);
      untouched = { thinker, words, own, was: await thinker.answer(first, own) };
    }
    return untouched;
  }

  async function measure() {
    const { thinker, config } = await thinkerFor(organism.value);
    const [first, problem] = [given(), chosenProblem()];
    const { own, was } = await untouchedBy(thinker, first);
    const words = await typed.read(() => thinker.write(problem), thinker.longest(problem));
    const open = await thinker.answer(problem, words);
    const blind = sight.value === "blind";
    const now = blind ? await thinker.answer(problem, words, { blind }) : open;
    shown = { thinker, config, first, own, problem, words, was, open, now, blind };
    draw();
    await swap.measure(shown);
  }

  /* -- drawing -- */

  function draw() {
    const { problem, now, was, config } = shown;
    headsOf(config);
    drawText();
    const said = pad.saidBy(shown.words, problem);
    const right = String(problems.valueOf(problem));
    const cued = String(problems.cuedOf(problem));
    const touched = isTouched();
    const before = ({ options, shares }, option) =>
      touched && options.includes(option) && `was ${percent(shares[options.indexOf(option)])}`;
    bars.update(
      now.options.map((option, at) => {
        const marks = [
          right === option && "right",
          said.answer === option && "the text says so",
          cued === option && (problem.hint === null ? `always ${problem.past}` : "hinted"),
          before(was, option),
        ];
        const label = problems.namedAnswer(problem, option);
        return { label, value: now.shares[at], note: marks.filter(Boolean).join(", ") };
      }),
      { max: 1 },
    );
    closings.update(
      now.closing.options.map((option, at) => ({
        label: option,
        value: now.closing.shares[at],
        note: before(was.closing, option) || "",
      })),
      { max: 1 },
    );
    finding.textContent = [rightly(), textually(said), modelly(touched)].join(" ");
    lab.announce(finding.textContent);
  }

  function isTouched() {
    const { first, own, problem, words, blind } = shown;
    const changed = String(problems.wordsOf(first)) !== String(problems.wordsOf(problem));
    return blind || changed || String(own) !== String(words);
  }

  /** A value, and that it is not offered if it is not. */
  function offered(value) {
    return problems.answersOf(shown.problem).includes(String(value)) ? value : `${value}, which is no option`;
  }

  function rightly() {
    return `The result is ${offered(problems.valueOf(shown.problem))}.`;
  }

  function textually({ value, complete, confessed }) {
    if (confessed) return `The text says that it goes for ${confessed}.`;
    if (value === null) return shown.words.length ? "The text gives no value." : "Nothing is written.";
    if (!complete) return `The text stops on the way, at ${value}.`;
    return `The text ends at ${offered(value)}.`;
  }

  function modelly(touched) {
    const { now, was } = shown;
    const says = ({ said, shares }) => `${said}, ${percent(Math.max(...shares))}`;
    const closing = `, and closes with “${now.closing.said}”`;
    const before = touched
      ? ` Before anything was changed it said ${says(was)}, and closed with “${was.closing.said}”.`
      : "";
    const others = ` (Words that are no answers have ${percent(1 - now.all)} of its probability.)`;
    const little = now.all < LITTLE ? others : "";
    return `The model says ${says(now)}${closing}.${before}${little}`;
  }

  /** Choices of layer and head, made when the first model is there. */
  function headsOf({ n_layers, n_heads }) {
    if (heads.layer) return;
    const numbers = (count) => [MEAN, ...Array.from({ length: count }, (_, one) => String(one))];
    const redraw = () => drawText();
    const options = { onChange: redraw, into: looks };
    heads.layer = lab.toggles({ key: "layer", label: "Shade by layer", options: numbers(n_layers), ...options });
    heads.head = lab.toggles({ key: "head", label: "head", options: numbers(n_heads), ...options });
  }

  /** The share of each position in the attention of the chosen layer and head, or of all. */
  function sharesOf({ attention }) {
    const chosen = (list, { value }) => (value === "mean" ? list : [list[Number(value)]]);
    const rows = chosen(attention, heads.layer).flatMap((layer) => chosen(layer, heads.head));
    return Array.from(rows[0], (_, at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length);
  }

  function drawText() {
    const { problem, first, own, words, now } = shown;
    const shares = sharesOf(now);
    const prompt = problems.wordsOf(problem);
    const before = problems.wordsOf(first);
    const starts = Object.entries(linesOf(problem));
    const lines = starts.map(([name, from], line) => ({
      name,
      words: prompt.slice(from, starts[line + 1]?.[1]).map((word, place) => ({
        text: word,
        about: aboutWord(prompt, from + place),
        choices: problems.choicesOf(prompt, from + place),
        share: shares[from + place],
        begins: problems.NAMES.includes(word),
        edited: prompt.length === before.length && before[from + place] !== word,
      })),
    }));
    const begins = new Set();
    pad.stepsOf(words).reduce((at, step) => (begins.add(at), at + step.length), 0);
    const written = words.map((word, at) => ({
      text: word,
      about: `Scratchpad, word ${at + 1} of ${words.length}`,
      choices: pad.alternatives(words, at),
      share: shares[prompt.length + at],
      begins: begins.has(at),
      edited: own[at] !== word,
    }));
    const said = { text: now.said, edited: now.said !== shown.was.said };
    lines.push({ name: "Scratchpad", words: written });
    const closing = { text: now.closing.said, edited: now.closing.said !== shown.was.closing.said };
    lines.push({ name: "Answer", words: [{ text: "answer", share: shares.at(-1) }, said, closing] });
    text.update(lines);
    const digit = problems.tabled(problem);
    number.textContent =
      `Dotted words can be changed. For the problem's number, ${problems.NUMBERS[problem.number]}, the table of ` +
      `numbers has ${digit}. Below a word stands the share that it gets of ${wordsWatched()} when the model answers.`;
  }

  function wordsWatched() {
    const [layer, head] = [heads.layer.value, heads.head.value];
    if (layer === "mean" && head === "mean") return "the attention of all heads, on average,";
    if (layer === "mean") return `the attention of the heads ${head}, averaged over the layers,`;
    if (head === "mean") return `the attention of layer ${layer}, averaged over its heads,`;
    return `the attention of head ${layer}.${head}`;
  }

  await update();
}

function aboutWord(prompt, at) {
  const last = prompt[at - 1];
  if (problems.LETTERS.includes(last)) return `Option ${last}`;
  const past = "Letter of the last three answers";
  const names = { no: "Number", mark: "Mark", past, hint: "Hint", value: "Start value" };
  if (names[last]) return names[last];
  const step = prompt.slice(0, at).findLast((word) => problems.NAMES.includes(word));
  return `${step} step, ${problems.NAMES.includes(last) ? "sign" : "number"}`;
}
