/* What stands between `think` and `answer`: what it says, and what can be done to it. Scratchpads are word lists. */

import { DIGITS, LETTERS, MARKS, NAMES, answersOf, shuffled, valuesOf } from "./chain_of_thought_problems.js";

const CONNECTIVES = ["so", "thus", "then", "hence"]; // classes 0, 0, 1, 1: none of the four changes what is said
const FILLER = ".";
const PER_STEP = 3; // words: name, connective, value
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
  ...["no", "mark", "past", "hint", "options", "value", "think", "but", "answer", "+", "×", "-", FILLER, "<start>"],
  ...[...MARKS, ...LETTERS, ...NAMES, ...CONNECTIVES, ...DIGITS],
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
  const confession = { 1: ["hint", "past"], 2: LETTERS }[at - words.lastIndexOf("but", at)] ?? [];
  return [DIGITS, CONNECTIVES, NAMES, confession].find((all) => all.includes(word)) ?? null;
}

/**
 * The answer that a scratchpad says.
 * @param {string[]} words
 * @param {object} problem
 * @returns {{value: number | null, complete: boolean, confessed: string | null, answers: string[]}} the last value it
 *   writes; whether that stands after the name of the last step; the letter of a confession, which then decides; the
 *   answers that it says, none unless it comes to an end
 */
export function saidBy(words, problem) {
  const but = words.indexOf("but");
  const confessed = but >= 0 && LETTERS.includes(words[but + 2]) ? words[but + 2] : null;
  const steps = stepsOf(words).filter(([name, , value]) => NAMES.includes(name) && DIGITS.includes(value));
  const [last] = steps.slice(-1);
  const value = last ? Number(last[2]) : null;
  const complete = last?.[0] === NAMES[problem.steps.length - 1];
  const answers = confessed ? [confessed] : complete ? answersOf(problem, value) : [];
  return { value, complete, confessed, answers };
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
 * the last value is one that some letter holds.
 */
export function mistaken(words, problem, random) {
  const written = stepsOf(words);
  const values = valuesOf(problem);
  const last = values.length - 1;
  const offered = (problem.options ?? DIGITS.map(Number)).filter((value) => value !== values[last]);
  const first = Math.floor(random() * Math.min(written.length, values.length));
  const ways = DIGITS.map(Number).flatMap((value) => {
    const after = [value, ...valuesOf({ start: value, steps: problem.steps.slice(first + 1) })];
    return offered.includes(after.at(-1)) ? [after] : [];
  });
  const after = ways[Math.floor(random() * ways.length)];
  return written.flatMap(([name, connective, value, ...rest], at) => {
    const wrong = at >= first && at <= last && DIGITS.includes(value) ? String(after[at - first]) : value;
    return [name, connective, wrong, ...rest].filter((word) => word !== undefined);
  });
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

/** The words with the values that another problem has in their places, and connectives of the other class. */
export function asFor(words, other) {
  const values = valuesOf(other);
  const steps = stepsOf(words).map(([name, connective, value, ...rest]) => {
    const own = values[NAMES.indexOf(name)];
    const isValue = DIGITS.includes(value) && own !== undefined;
    return [name, connective, isValue ? String(own) : value, ...rest].filter((word) => word !== undefined);
  });
  return rephrased(steps.flat(), true);
}

/** What kind of word stands in each place: "value", "connective", "name" or "other". @returns {string[]} */
export function kindsOf(words) {
  return words.map((word) => {
    if (DIGITS.includes(word)) return "value";
    if (CONNECTIVES.includes(word)) return "connective";
    return NAMES.includes(word) ? "name" : "other";
  });
}
