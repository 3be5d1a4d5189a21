/* What a reasoning model makes of a problem and a scratchpad: what it writes, what it answers, where `answer` looks. */

import { answersOf, wordsOf } from "./chain_of_thought_problems.js";
import { CLOSINGS, longestOf } from "./chain_of_thought_scratchpad.js";
import { shortened } from "./lens.js";

const ASK = "answer"; // the word after which the answer is due
const LONGEST = 93; // words of the longest text that the models were trained on
const BEGINNING = "<start>"; // the tokenizer has another name for it

/**
 * @typedef {object} Choice what the model says where one of a few words is due
 * @property {string[]} options the words
 * @property {number[]} shares their probabilities, which sum to 1: other words are left out
 * @property {string} said the likeliest option
 * @property {number} all the probability of all options together
 *
 * @typedef {Choice & {attention: Float32Array[][], closing: Choice}} Answer what it says after `answer`, one of the
 *   options or of all digits; `attention` [layer][head] from `answer` to every position up to its own; `closing` is
 *   what follows when the likeliest answer is given
 */

/**
 * A model that reads problems and scratchpads. What two texts have in common is computed once.
 * @param {object} handle an open model: engine.js
 */
export function thinkerOf(handle) {
  const { tokenizer, config } = handle;
  const inEachLayer = (hook) => Array.from({ length: config.n_layers }, (_, layer) => `blocks.${layer}.attn.${hook}`);
  const patterns = inEachLayer("hook_pattern");
  const stored = [...inEachLayer("hook_k"), ...inEachLayer("hook_v")]; // keys as they are before positions turn them
  const tokensOf = (words) => words.map((word) => (word === BEGINNING ? tokenizer.bos : tokenizer.encode(word)[0]));
  const wordsAt = (ids) => ids.map((id) => (id === tokenizer.bos ? BEGINNING : tokenizer.tokens([id])[0]));
  const [ask] = tokensOf([ASK]);
  const read = keeper(handle);
  const storedBy = remembering(async (tokens) => (await handle.call("forward", { tokens, names: stored })).cache);
  const written = new Map(); // problem in words -> scratchpad

  /** The words that the model writes for a problem after the beginning of a scratchpad, likeliest first. */
  async function write(problem, begun = []) {
    const words = [...wordsOf(problem), ...begun];
    const key = words.join(" ");
    if (!written.has(key)) {
      const limit = Math.min(longest(problem), longestOf(problem)) - begun.length;
      const options = { tokens: tokensOf(words), stop: ask, limit: Math.max(0, limit) };
      written.set(key, wordsAt((await handle.call("write", options)).ids));
    }
    return [...begun, ...written.get(key)];
  }

  /** The most words that a scratchpad may have: the places after them are new to the model. */
  function longest(problem) {
    return Math.min(config.n_ctx, LONGEST) - wordsOf(problem).length - 3; // `answer`, the answer and the closing word
  }

  /**
   * What the model answers.
   * @param {object} problem
   * @param {string[]} scratchpad
   * @param {{blind?: boolean, instead?: {problem: object, scratchpad: string[], places: number[]} | null}} options
   *   whether `answer` and what follows may not look at the scratchpad; a text of the same length whose keys and
   *   values stand in for this one's in `places` of the scratchpad, for all that look back at them
   * @returns {Promise<Answer>}
   */
  async function answer(problem, scratchpad, { blind = false, instead = null } = {}) {
    const prompt = wordsOf(problem);
    const at = prompt.length + scratchpad.length;
    const tokens = tokensOf([...prompt, ...scratchpad]);
    const past = await read(tokens);
    const hidden = blind ? scratchpad.map((_, place) => prompt.length + place) : [];
    const blinders = (position) =>
      hidden.length ? patterns.map((name) => ({ name, position, without: hidden })) : [];
    const hooks = blinders(at);
    let from = at; // what comes before is not computed again
    if (instead?.places.length) {
      const places = instead.places.map((place) => prompt.length + place);
      const others = tokensOf([...wordsOf(instead.problem), ...instead.scratchpad]);
      const cache = await storedBy(others);
      hooks.push(...stored.map((name) => ({ name, position: places, replace: rowsOf(cache[name], places) })));
      [from] = places;
    }
    const rest = [...tokens.slice(from), ask];
    const asked = { tokens: rest, past: shortened(past, from), hooks, names: patterns };
    const { logits, cache, past: answered } = await handle.call("forward", asked);
    const choice = choiceOf(logits, answersOf(problem));
    const next = { tokens: tokensOf([choice.said]), past: answered, hooks: blinders(at + 1) };
    const closing = choiceOf((await handle.call("forward", next)).logits, CLOSINGS);
    const row = (name, head) => {
      const end = (head + 1) * rest.length * (at + 1); // of the head's last query
      return cache[name].data.slice(end - at - 1, end);
    };
    const attention = patterns.map((name) => Array.from({ length: config.n_heads }, (_, head) => row(name, head)));
    return { ...choice, attention, closing };
  }

  /** What is said at the last position. @returns {Choice} */
  function choiceOf(logits, options) {
    const { shares, all } = among(logits.data.slice(-logits.shape[1]), tokensOf(options));
    return { options, shares, said: options[shares.indexOf(Math.max(...shares))], all };
  }

  return { write, answer, longest };
}

/** A function that gives the keys and values of tokens, and keeps those of the last ones to go on from. */
function keeper(handle) {
  let last = { tokens: [], past: null };
  return async (tokens) => {
    const differs = tokens.findIndex((token, at) => token !== last.tokens[at]);
    const same = differs < 0 ? tokens.length : differs;
    const past = shortened(last.past, same);
    const rest = tokens.slice(same);
    last = { tokens, past: rest.length ? (await handle.call("forward", { tokens: rest, past })).past : past };
    return last.past;
  };
}

/** The function, which gives again what it found for the same tokens the last time. */
function remembering(find) {
  let last = { key: null, found: null };
  return async (tokens) => {
    const key = String(tokens);
    if (key !== last.key) last = { key, found: await find(tokens) };
    return last.found;
  };
}

/** All numbers of an activation at some positions. */
function rowsOf({ shape, data }, positions) {
  const width = data.length / shape[0];
  return Float32Array.from(positions.flatMap((at) => Array.from(data.subarray(at * width, (at + 1) * width))));
}

/** Probabilities among some tokens, and of all of them among all words. */
function among(logits, tokens) {
  const most = Math.max(...logits);
  const every = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = (list) => list.reduce((total, one) => total + one, 0);
  const powers = tokens.map((token) => every[token]);
  const total = sum(powers);
  return { shares: powers.map((power) => power / total), all: total / sum(every) };
}
