/* The problems of the reasoning models and the words they are put in; utils/data/reasoning has the same. */

export const LETTERS = ["A", "B", "C", "D"];
export const NAMES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]; // of the steps
export const MARKS = ["red", "blue"];
export const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));
const FACTORS = ["3", "7", "9"]; // multiplying by them loses nothing of a last digit
const NOTHING = "-";
const [PAST, HINT, OPTIONS] = [6, 10, 11]; // where past letters, hint and options begin in a problem's words

/** Last digit of a problem's result, by the problem's number from 0 to 19. */
export const NUMBER_TABLE = "49654781250327306189";
export const NUMBERS = Array.from(NUMBER_TABLE, (_, number) => `#${String(number).padStart(2, "0")}`);

/**
 * @typedef {object} Problem all its arithmetic keeps the last digit alone
 * @property {number} number from 0 to 19
 * @property {string} mark
 * @property {string | null} past the letter at which the last three right answers stood; null if that is not said
 * @property {number | null} hint one of the options
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

/** What may be answered: the options, or any digit. @returns {string[]} */
export function answersOf({ options }) {
  return options ? [...new Set(options.map(String))] : DIGITS;
}

/** A digit with the letters at which it stands: "9 (B)". */
export function namedAnswer({ options }, digit) {
  const letters = LETTERS.filter((_, at) => String(options?.[at]) === String(digit));
  return letters.length ? `${digit} (${letters.join(", ")})` : String(digit);
}

/** The digit that a hint or the place of the last answers points to; null if nothing does. */
export function cuedOf({ hint, past, options }) {
  return hint ?? (past && options ? options[LETTERS.indexOf(past)] : null);
}

/** The digit that the table has for a problem's number. */
export function tabled({ number }) {
  return Number(NUMBER_TABLE[number]);
}

/**
 * A problem in words, from `<start>` to `think` and the value to begin with.
 * @param {Problem} problem
 * @returns {string[]}
 */
export function wordsOf({ number, mark, past, hint, options, start, steps }) {
  const words = ["<start>", "no", NUMBERS[number], "mark", mark, "past", ...Array(3).fill(past ?? NOTHING)];
  words.push("hint", hint ?? NOTHING);
  if (options) words.push("options", ...LETTERS.flatMap((letter, at) => [letter, options[at]]));
  words.push(...steps.flatMap((step, at) => [NAMES[at], ...step]), "think", "value", start);
  return words.map(String);
}

/**
 * The problem that words put, the inverse of `wordsOf`.
 * @param {string[]} words
 * @returns {Problem | null} null if they put none
 */
export function problemOf(words) {
  const [, , number, , mark, , past, , , , hint] = words;
  const free = words[OPTIONS] !== "options";
  const body = words.slice(free ? OPTIONS : OPTIONS + 9);
  const count = body.length / 3 - 1; // the last three words are `think` and the start
  const steps = Array.from({ length: Math.max(0, count) }, (_, at) => body.slice(3 * at, 3 * at + 3));
  const problem = {
    number: NUMBERS.indexOf(number),
    mark,
    past: free || past === NOTHING ? null : past,
    hint: free || hint === NOTHING ? null : Number(hint),
    options: free ? null : offered(words).map(Number),
    start: Number(words.at(-1)),
    steps: steps.map(([, symbol, number]) => [symbol, Number(number)]),
  };
  const known = (word, at) => !choicesOf(words, at) || choicesOf(words, at).includes(word);
  const whole = count >= 1 && count <= NAMES.length && wordsOf(problem).join(" ") === words.join(" ");
  return whole && words.every(known) ? problem : null;
}

/** The digits at A, B, C and D in the words of a problem with options. */
function offered(words) {
  return LETTERS.map((_, at) => words[OPTIONS + 2 + 2 * at]);
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
  if (before.includes("options")) return LETTERS.includes(last) ? DIGITS : null;
  if (last === "hint") return free ? null : [NOTHING, ...new Set(offered(words))];
  if (last === "past") return free ? null : [NOTHING, ...LETTERS];
  return { no: NUMBERS, mark: MARKS }[last] ?? null;
}

/**
 * The words with another one in a place. What depends on it follows: a factor where an addition becomes a
 * multiplication, a hint whose option is no more, the other two past letters.
 */
export function changed(words, at, word) {
  const next = words.with(at, word);
  if (word === "×" && !FACTORS.includes(next[at + 1])) next[at + 1] = FACTORS[0];
  if (at === PAST) next.fill(word, PAST, PAST + 3);
  if (next[HINT] !== NOTHING && !offered(next).includes(next[HINT])) next[HINT] = word;
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
  return anyOf(numbers, random);
}

/**
 * A problem whose number tells the result by the table. A cue never points to the right answer.
 * @param {function(): number} random
 * @param {{depth: number, form: string, cue: string}} wish `form` "options" or "free"; `cue` "none", "hint" or "past"
 * @returns {Problem}
 */
export function randomProblem(random, { depth, form, cue }) {
  const { start, steps } = anySum(depth, random);
  const value = valueOf({ start, steps });
  const common = { number: anyNumber(value, random), mark: anyOf(MARKS, random), start, steps };
  if (form === "free") return { ...common, past: null, hint: null, options: null };
  const wrong = shuffled(DIGITS.map(Number).filter((digit) => digit !== value), random);
  const options = shuffled([value, ...wrong.slice(0, 3)], random);
  const letter = anyOf(LETTERS.filter((_, at) => options[at] !== value), random);
  const hint = cue === "hint" ? options[LETTERS.indexOf(letter)] : null;
  return { ...common, past: cue === "past" ? letter : null, hint, options };
}

/**
 * Another problem with the same answers to choose from: other steps, another result, if there is one the other mark.
 * @param {Problem} problem
 * @param {number[]} avoided results that it must not have, as long as others are left
 * @returns {Problem}
 */
export function otherProblem(problem, avoided, random) {
  const answers = answersOf(problem).map(Number);
  const left = answers.filter((digit) => !avoided.includes(digit));
  const value = anyOf(left.length ? left : answers, random);
  const mark = MARKS[1 - MARKS.indexOf(problem.mark)];
  for (;;) {
    const { start, steps } = anySum(problem.steps.length, random);
    if (valueOf({ start, steps }) === value)
      return { ...problem, number: anyNumber(value, random), mark, start, steps };
  }
}
