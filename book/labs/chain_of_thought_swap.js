/* The second view of the lab: the words stay, and their keys and values come from another problem's run. */

import { make } from "./shell.js";
import { answersOf, otherProblem, valueOf, wordsOf } from "./chain_of_thought_problems.js";
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
  const strip = tokenStrip({ label: "The words of the scratchpad", onSelect: (at) => change({ place: at }) });
  const other = make("p", { class: "dtrs-lab-note" });
  const sentence =
    "Every word that was read is kept as a key and a value in each head, and the answer reads those, not the words. " +
    "Here the words stay, and the keys and values of the shaded ones are taken from a run on another problem.";
  const { element } = panel("The same words, another memory", sentence);
  element.append(verdict, make("div", { class: "dtrs-lab-columns" }, bars.element, how), other, strip.element);

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
    bars.update(
      now.options.map((option, at) => ({
        label: problem.options ? `${option}: ${problem.options[at]}` : option,
        value: now.shares[at],
        note: `was ${percent(open.shares[at])}`,
      })),
      { max: 1 },
    );
    strip.update(words, {
      selected: place,
      shades: words.map((_, at) => Number(places.includes(at))),
      values: words.map((word, at) => (theirs[at] === word ? "" : theirs[at])),
    });
    drawWords({ problem, donor, words, places, open, now });
  }

  function drawWords({ problem, donor, words, places, open, now }) {
    const value = valueOf(donor);
    const letters = answersOf(problem, value);
    const result = problem.options ? `${value} (${letters.join(" and ")})` : `${value}`;
    const share = ({ said, shares }) => `${said}, ${percent(Math.max(...shares))}`;
    const moves = open.said !== now.said;
    const before = percent(Math.max(...open.shares));
    const change = moves ? `goes from ${share(open)}, to ${share(now)}` : `stays ${share(now)}; it was ${before}`;
    verdict.textContent = words.length
      ? `No word has changed; behind ${places.length} of ${words.length} words stands what a run on a problem with ` +
        `the result ${result} left there. The answer ${change}.`
      : "Nothing is written, so there is nothing to swap.";
    const text = wordsOf(donor).slice(1).join(" ");
    const below = says.value === "own" ? " Below a word stands what the other run read in its place." : "";
    other.textContent = `The other run's problem: ${text}.${below}`;
  }

  return { element, measure };
}
