/* The second view of the lab: the words stay, and their keys and values come from another problem's run. */

import { make } from "./shell.js";
import { namedAnswer, otherProblem, valueOf, wordsOf } from "./chain_of_thought_problems.js";
import { asFor, kindsOf, saidBy } from "./chain_of_thought_scratchpad.js";
import { randomFrom } from "./toy.js";
import { barList, panel, percent, tokenStrip } from "./views.js";

const PARTS = [
  { value: "all", label: "all words" },
  { value: "value", label: "values" },
  { value: "connective", label: "connectives" },
  { value: "rest", label: "the other words" },
  { value: "one", label: "the chosen word" },
];
const TEXTS = [
  { value: "own", label: "its own steps" },
  { value: "same", label: "these very words" },
];

/**
 * @param {{lab: object, update: function()}} place the frame, and what measures anew
 * @returns {{element: HTMLElement, measure: function}} `measure({thinker, problem, words, open})` takes what the lab
 *   shows, `open` being the answer to it with everything in sight, and draws
 */
export function swapPanel({ lab, update }) {
  const verdict = make("p", { class: "dtrs-lab-verdict" });
  const how = make("div", { class: "dtrs-lab-panel" });
  const part = lab.toggles({ key: "part", label: "Swapped behind", options: PARTS, onChange: update, into: how });
  const says = lab.toggles({ key: "says", label: "The other run reads", options: TEXTS, onChange: update, into: how });
  lab.button({ label: "Another run", into: how, onClick: () => change({ other: seed() + 1 }) });
  const bars = barList({ label: "Answers with the swapped memory", format: percent });
  const closings = barList({ label: "Closing words with the swapped memory", format: percent });
  const strip = tokenStrip({ label: "The words of the scratchpad", onSelect: (at) => change({ place: at }) });
  const other = make("p", { class: "dtrs-lab-note" });
  const sentence =
    "Every word that was read is kept as a key and a value in each head, and the answer reads those, not the words. " +
    "Here the words stay, and the keys and values of the shaded ones are taken from a run on another problem.";
  const { element } = panel("The same words, another memory", sentence);
  const said = make("div", { class: "dtrs-lab-panel" }, bars.element, closings.element);
  element.append(verdict, make("div", { class: "dtrs-lab-columns" }, said, how), other, strip.element);

  function change(changes) {
    lab.state.set(changes);
    return update();
  }

  function seed() {
    const stored = Number(lab.state.get("other", "1"));
    return Number.isSafeInteger(stored) && stored > 0 ? stored : 1;
  }

  async function measure({ thinker, problem, words, open }) {
    const avoided = [valueOf(problem), saidBy(words, problem).value];
    const donor = otherProblem(problem, avoided, randomFrom(seed()));
    const theirs = says.value === "own" ? asFor(words, donor) : words;
    const place = Math.min(Math.max(0, Math.trunc(Number(lab.state.get("place", "0"))) || 0), words.length - 1);
    const kinds = kindsOf(words);
    const isChosen = {
      all: () => true,
      one: (at) => at === place,
      rest: (at) => !["value", "connective"].includes(kinds[at]),
    };
    const chosen = isChosen[part.value] ?? ((at) => kinds[at] === part.value);
    const places = words.map((_, at) => at).filter(chosen);
    const instead = { problem: donor, scratchpad: theirs, places };
    const now = await thinker.answer(problem, words, { instead });
    const row = (choice, was) => (option, at) => ({
      label: namedAnswer(problem, option),
      value: choice.shares[at],
      note: `was ${percent(was.shares[at])}`,
    });
    bars.update(now.options.map(row(now, open)), { max: 1 });
    closings.update(now.closing.options.map(row(now.closing, open.closing)), { max: 1 });
    strip.update(words, {
      selected: place,
      shades: words.map((_, at) => Number(places.includes(at))),
      values: words.map((word, at) => (theirs[at] === word ? "" : theirs[at])),
    });
    drawWords({ problem, donor, words, places, open, now });
  }

  function drawWords({ problem, donor, words, places, open, now }) {
    const result = namedAnswer(problem, valueOf(donor));
    const share = ({ said, shares }) => `${said}, ${percent(Math.max(...shares))}`;
    const moved = (was, is) =>
      was.said !== is.said
        ? `goes from ${share(was)}, to ${share(is)}`
        : `stays ${share(is)}; it was ${percent(Math.max(...was.shares))}`;
    verdict.textContent = words.length
      ? `No word has changed; behind ${places.length} of ${words.length} words stands what a run on a problem with ` +
        `the result ${result} left there. The answer ${moved(open, now)}. ` +
        `The closing word ${moved(open.closing, now.closing)}.`
      : "Nothing is written, so there is nothing to swap.";
    const text = wordsOf(donor).slice(1).join(" ");
    const below = says.value === "own" ? " Below a word stands what the other run read in its place." : "";
    other.textContent = `The other run's problem: ${text}.${below}`;
  }

  return { element, measure };
}
