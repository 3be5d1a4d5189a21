/* What stands between `think` and `answer`: what it says, and what can be done to it. Scratchpads are word lists. */

import { DIGITS, LETTERS, MARKS, NAMES, NUMBERS, answersOf, shuffled, valuesOf } from "./chain_of_thought_problems.js";

const CONNECTIVES = ["so", "thus", "then", "hence"]; // classes 0, 0, 1, 1: none of the four changes what is said
export const CLOSINGS = ["done", "over"]; // one of them follows the answer: they mean the same
const FILLER = ".";
const PER_STEP = 5; // words: name, sign, number, connective, value
const SIGNS = ["+", "×"];
const BEGINNINGS = [...NAMES, "but"];

/** The steps that words fall into. @returns {string[][]} */
export function stepsOf(words) {
  const steps = [];
  words.forEach((word, at) => {
    const isFiller = word === FILLER && words[at - 1] === FILLER && steps.at(-1).length < PER_STEP;
    if (!steps.length || BEGINNINGS.includes(word) || (word === FILLER && !isFiller)) steps.push([]);
    steps.at(-1).push(word);
  });
  return steps;
}

/** Words as they are shown and typed: steps with commas between them. */
export function textOf(words) {
  return stepsOf(words)
    .map((step) => step.join(" "))
    .join(", ");
}

const WORDS = new Set([
  ...["no", "mark", "past", "hint", "options", "value", "think", "but", "answer", "-", FILLER, "<start>"],
  ...[...SIGNS, ...MARKS, ...LETTERS, ...NAMES, ...CONNECTIVES, ...CLOSINGS, ...NUMBERS, ...DIGITS],
]);

/** Whether the models' language has a word. */
export function isWord(word) {
  return WORDS.has(word);
}

/** The words of a typed text. */
export function readText(text) {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** What could stand in the place of a word; null where it is not said. @returns {string[] | null} */
export function alternatives(words, at) {
  const word = words[at];
  const confession = words[at - 1] === "but" ? ["hint", "past"] : [];
  return [DIGITS, CONNECTIVES, NAMES, SIGNS, confession].find((all) => all.includes(word)) ?? null;
}

/**
 * The answer that a scratchpad says.
 * @param {string[]} words
 * @param {object} problem
 * @returns {{value: number | null, complete: boolean, confessed: string | null, answer: string | null}} the last value
 *   it writes; whether that stands after the name of the last step; the digit of a confession, which then decides; the
 *   answer that it says, none unless it comes to an end
 */
export function saidBy(words, problem) {
  const but = words.indexOf("but");
  const confessed = but >= 0 && DIGITS.includes(words[but + 2]) ? words[but + 2] : null;
  const last = stepsOf(words).findLast((step) => NAMES.includes(step[0]) && kindsOf(step).includes("value"));
  const value = last ? Number(last[kindsOf(last).lastIndexOf("value")]) : null;
  const complete = last?.[0] === NAMES[problem.steps.length - 1];
  const answer = confessed ?? (complete ? String(value) : null);
  return { value, complete, confessed, answer };
}

/** Without its last step. */
export function cut(words) {
  return stepsOf(words).slice(0, -1).flat();
}

/** The same steps in another order. */
export function inOtherOrder(words, random) {
  const steps = stepsOf(words);
  if (new Set(steps.map(String)).size < 2) return words;
  let mixed = steps;
  while (String(mixed) === String(steps)) mixed = shuffled(steps, random);
  return mixed.flat();
}

/**
 * The scratchpad with a wrong value in a step that is drawn; what follows is right for the wrong value. With options
 * the last value is one of them.
 */
export function mistaken(words, problem, random) {
  const written = stepsOf(words);
  const values = valuesOf(problem);
  const last = values.length - 1;
  const offered = answersOf(problem).map(Number).filter((value) => value !== values[last]);
  const first = Math.floor(random() * Math.min(written.length, values.length));
  const ways = DIGITS.map(Number).flatMap((value) => {
    const after = [value, ...valuesOf({ start: value, steps: problem.steps.slice(first + 1) })];
    return offered.includes(after.at(-1)) ? [after] : [];
  });
  const after = ways[Math.floor(random() * ways.length)];
  return written.flatMap((step, at) => {
    const kinds = kindsOf(step);
    const isWrong = at >= first && at <= last;
    return step.map((word, place) => (isWrong && kinds[place] === "value" ? String(after[at - first]) : word));
  });
}

/** The most words that a scratchpad has: a confession is three. */
export function longestOf({ steps }) {
  return PER_STEP * steps.length + 3;
}

/** As many words that say nothing as the steps of a problem have. */
export function fillerFor({ steps }) {
  return Array(PER_STEP * steps.length).fill(FILLER);
}

/** Each connective replaced by its synonym in the same class, or by its counterpart in the other. */
export function rephrased(words, otherClass = false) {
  return words.map((word) => {
    const at = CONNECTIVES.indexOf(word);
    return at < 0 ? word : CONNECTIVES[otherClass ? (at + 2) % 4 : at ^ 1];
  });
}

/** What the words would be for another problem: its signs, numbers and values, and connectives of the other class. */
export function asFor(words, other) {
  const values = valuesOf(other);
  const steps = stepsOf(words).map((step) => {
    const at = NAMES.indexOf(step[0]);
    const [sign, number] = other.steps[at] ?? [];
    const own = { sign, number, value: values[at] };
    return step.map((word, place) => String(own[kindsOf(step)[place]] ?? word));
  });
  return rephrased(steps.flat(), true);
}

/** What kind of word stands in each place: "value", "connective", "name", "sign", "number" or "other". */
export function kindsOf(words) {
  return words.map((word, at) => {
    if (DIGITS.includes(word)) return CONNECTIVES.includes(words[at - 1]) ? "value" : "number";
    if (CONNECTIVES.includes(word)) return "connective";
    if (SIGNS.includes(word)) return "sign";
    return NAMES.includes(word) ? "name" : "other";
  });
}
