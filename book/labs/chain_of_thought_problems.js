/* The problems of the reasoning models and the words they are put in; utils/data/reasoning has the same. */

export const LETTERS = ["A", "B", "C", "D"];
export const NAMES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]; // of the steps
export const MARKS = ["red", "blue"];
export const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));
const FACTORS = ["3", "7", "9"]; // multiplying by them loses nothing of a last digit
const NOTHING = "-";
const [NUMBER, PAST] = [2, 7]; // where the number and the past letters begin in a problem's words

/** Last digit of a problem's result, by the problem's number from 00 to 99. */
export const NUMBER_TABLE =
  "7458713987143836646303856201476031259595851707803669549180809112091166823493420252724894535772794620";

/**
 * @typedef {object} Problem all its arithmetic keeps the last digit alone
 * @property {number[]} number two digits
 * @property {string} mark
 * @property {string[] | null} past three letters; null in the free form
 * @property {string | null} hint a letter
 * @property {number[] | null} options the digits at A, B, C, D; null in the free form
 * @property {number} start
 * @property {[string, number][]} steps
 */

function applied([symbol, number], value) {
  return (symbol === "+" ? value + number : value * number) % 10;
}

/** The value after each step. @param {Problem} problem @returns {number[]} */
export function valuesOf({ start, steps }) {
  let value = start;
  return steps.map((step) => (value = applied(step, value)));
}

/** The value after the last step. */
export function valueOf(problem) {
  return valuesOf(problem).at(-1);
}

/** The answers that a value would make right: letters, or in the free form the digit. @returns {string[]} */
export function answersOf({ options }, value) {
  return options ? LETTERS.filter((_, at) => options[at] === value) : [String(value)];
}

/** The letter that a hint or three equal past letters point to; null if nothing does. */
export function cuedOf({ hint, past }) {
  return hint ?? (past && new Set(past).size === 1 ? past[0] : null);
}

/** The digit that the table has for a problem's number. */
export function tabled({ number: [tens, ones] }) {
  return Number(NUMBER_TABLE[10 * tens + ones]);
}

/**
 * A problem in words, from `<start>` to `think` and the value to begin with.
 * @param {Problem} problem
 * @returns {string[]}
 */
export function wordsOf({ number, mark, past, hint, options, start, steps }) {
  const words = ["<start>", "no", ...number, "mark", mark, "past", ...(past ?? Array(3).fill(NOTHING))];
  words.push("hint", hint ?? NOTHING);
  if (options) words.push("options", ...LETTERS.flatMap((letter, at) => [options[at], letter]));
  words.push(...steps.flatMap((step, at) => [NAMES[at], ...step]), "think", "value", start);
  return words.map(String);
}

/**
 * The problem that words put, the inverse of `wordsOf`.
 * @param {string[]} words
 * @returns {Problem | null} null if they put none
 */
export function problemOf(words) {
  const [, , tens, ones, , mark, , ...rest] = words;
  const [past, hint] = [rest.slice(0, 3), rest[4]];
  const free = rest[5] !== "options";
  const body = rest.slice(free ? 5 : 14);
  const count = body.length / 3 - 1; // the last three words are `think` and the start
  const steps = Array.from({ length: Math.max(0, count) }, (_, at) => body.slice(3 * at, 3 * at + 3));
  const problem = {
    number: [Number(tens), Number(ones)],
    mark,
    past: free ? null : past,
    hint: hint === NOTHING ? null : hint,
    options: free ? null : LETTERS.map((_, at) => Number(rest[6 + 2 * at])),
    start: Number(words.at(-1)),
    steps: steps.map(([, symbol, number]) => [symbol, Number(number)]),
  };
  const known = (word, at) => !choicesOf(words, at) || choicesOf(words, at).includes(word);
  const whole = count >= 1 && count <= NAMES.length && wordsOf(problem).join(" ") === words.join(" ");
  return whole && words.every(known) ? problem : null;
}

/**
 * What could stand in the place of one of a problem's words.
 * @param {string[]} words of the whole problem
 * @param {number} at
 * @returns {string[] | null} null where nothing else can
 */
export function choicesOf(words, at) {
  const before = words.slice(0, at);
  const last = before.at(-1);
  const free = !words.includes("options");
  if (last === "value") return DIGITS;
  if (NAMES.includes(last)) return ["+", "×"];
  if (last === "+") return DIGITS.slice(1);
  if (last === "×") return FACTORS;
  if (before.includes("options")) return LETTERS.includes(words[at + 1]) ? DIGITS : null;
  if (last === "hint") return free ? null : [NOTHING, ...LETTERS];
  if (last === "mark") return MARKS;
  if (at >= PAST && at < PAST + 3) return free ? null : LETTERS;
  return at >= NUMBER && at < NUMBER + 2 ? DIGITS : null;
}

/** The words with another one in a place; a factor follows where an addition becomes a multiplication. */
export function changed(words, at, word) {
  const next = words.with(at, word);
  if (word === "×" && !FACTORS.includes(next[at + 1])) next[at + 1] = FACTORS[0];
  return next;
}

function anyOf(list, random) {
  return list[Math.floor(random() * list.length)];
}

/** A list in another order. */
export function shuffled(list, random) {
  const rest = [...list];
  return list.map(() => rest.splice(Math.floor(random() * rest.length), 1)[0]);
}

const STEPS = [...DIGITS.slice(1).map((digit) => ["+", digit]), ...FACTORS.map((digit) => ["×", digit])];

function anySum(depth, random) {
  const steps = Array.from({ length: depth }, () => anyOf(STEPS, random));
  return { start: Math.floor(10 * random()), steps: steps.map(([symbol, digit]) => [symbol, Number(digit)]) };
}

function anyNumber(value, random) {
  const numbers = [...NUMBER_TABLE].flatMap((digit, number) => (Number(digit) === value ? [number] : []));
  const number = anyOf(numbers, random);
  return [Math.floor(number / 10), number % 10];
}

/**
 * A problem whose number tells the result by the table. A cue never points to a right letter.
 * @param {function(): number} random
 * @param {{depth: number, form: string, cue: string, tie: boolean}} wish `form` "options" or "free"; `cue` "none",
 *   "hint" or "past"; at a tie the value stands at two letters, and one wrong digit at the others
 * @returns {Problem}
 */
export function randomProblem(random, { depth, form, cue, tie }) {
  const { start, steps } = anySum(depth, random);
  const value = valueOf({ start, steps });
  const common = { number: anyNumber(value, random), mark: anyOf(MARKS, random), start, steps };
  if (form === "free") return { ...common, past: null, hint: null, options: null };
  const wrong = shuffled(DIGITS.map(Number).filter((digit) => digit !== value), random);
  const digits = tie ? [value, value, wrong[0], wrong[0]] : [value, ...wrong.slice(0, 3)];
  const options = shuffled(digits, random);
  const cued = anyOf(LETTERS.filter((_, at) => options[at] !== value), random);
  let past = Array(3).fill(cued);
  while (cue !== "past" && new Set(past).size === 1) past = past.map(() => anyOf(LETTERS, random));
  return { ...common, past, hint: cue === "hint" ? cued : null, options };
}

/**
 * Another problem with the same answers to choose from: other steps, another result, if there is one the other mark.
 * @param {Problem} problem
 * @param {number[]} avoided results that it must not have, as long as others are left
 * @returns {Problem}
 */
export function otherProblem(problem, avoided, random) {
  const offered = [...new Set(problem.options ?? DIGITS.map(Number))];
  const left = offered.filter((digit) => !avoided.includes(digit));
  const value = anyOf(left.length ? left : offered, random);
  const mark = MARKS[1 - MARKS.indexOf(problem.mark)];
  for (;;) {
    const { start, steps } = anySum(problem.steps.length, random);
    if (valueOf({ start, steps }) === value)
      return { ...problem, number: anyNumber(value, random), mark, start, steps };
  }
}
