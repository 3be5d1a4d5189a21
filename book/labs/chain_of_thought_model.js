/* What a reasoning model makes of a problem and a scratchpad: what it writes, what it answers, where `answer` looks. */

import { DIGITS, LETTERS, wordsOf } from "./chain_of_thought_problems.js";
import { shortened } from "./lens.js";

const ASK = "answer"; // the word after which the answer is due
const BEGINNING = "<start>"; // the tokenizer has another name for it

/**
 * @typedef {object} Answer what the model says after `answer`
 * @property {string[]} options what it may say: letters, or digits in the free form
 * @property {number[]} shares their probabilities, which sum to 1: other words are left out
 * @property {string} said the likeliest option
 * @property {number} all the probability of all options together
 * @property {Float32Array[][]} attention [layer][head], from `answer` to every position up to its own
 */

/**
 * A model that reads problems and scratchpads. What two texts have in common is computed once.
 * @param {object} handle an open model: engine.js
 */
export function thinkerOf(handle) {
  const { tokenizer, config } = handle;
  const patterns = Array.from({ length: config.n_layers }, (_, layer) => `blocks.${layer}.attn.hook_pattern`);
  const tokensOf = (words) => words.map((word) => (word === BEGINNING ? tokenizer.bos : tokenizer.encode(word)[0]));
  const wordsAt = (ids) => ids.map((id) => (id === tokenizer.bos ? BEGINNING : tokenizer.tokens([id])[0]));
  const [ask] = tokensOf([ASK]);
  const read = { now: keeper(handle), other: keeper(handle) };
  const written = new Map(); // problem in words -> scratchpad

  /** The words that the model writes for a problem after the beginning of a scratchpad, likeliest first. */
  async function write(problem, begun = []) {
    const words = [...wordsOf(problem), ...begun];
    const key = words.join(" ");
    if (!written.has(key)) {
      const limit = Math.min(longest(problem), 3 * problem.steps.length + 3) - begun.length;
      const options = { tokens: tokensOf(words), stop: ask, limit: Math.max(0, limit) };
      written.set(key, wordsAt((await handle.call("write", options)).ids));
    }
    return [...begun, ...written.get(key)];
  }

  /** The most words that a scratchpad may have. */
  function longest(problem) {
    return config.n_ctx - wordsOf(problem).length - 1; // one place is that of `answer`
  }

  /**
   * What the model answers.
   * @param {object} problem
   * @param {string[]} scratchpad
   * @param {{blind?: boolean, instead?: {problem: object, scratchpad: string[], places: number[]} | null}} options
   *   whether `answer` may not look at the scratchpad; a text of the same length whose keys and values stand in for
   *   this one's in `places` of the scratchpad
   * @returns {Promise<Answer>}
   */
  async function answer(problem, scratchpad, { blind = false, instead = null } = {}) {
    const prompt = wordsOf(problem);
    const at = prompt.length + scratchpad.length;
    let past = await read.now(tokensOf([...prompt, ...scratchpad]));
    if (instead) {
      const donor = await read.other(tokensOf([...wordsOf(instead.problem), ...instead.scratchpad]));
      past = swapped(past, donor, instead.places.map((place) => prompt.length + place));
    }
    const hidden = blind ? scratchpad.map((_, place) => prompt.length + place) : [];
    const hooks = hidden.length ? patterns.map((name) => ({ name, position: at, without: hidden })) : [];
    const { logits, cache } = await handle.call("forward", { tokens: [ask], past, hooks, names: patterns });
    const options = problem.options ? LETTERS : DIGITS;
    const { shares, all } = among(logits.data, tokensOf(options));
    const row = (name, head) => cache[name].data.slice(head * (at + 1), (head + 1) * (at + 1));
    return {
      options,
      shares,
      said: options[shares.indexOf(Math.max(...shares))],
      all,
      attention: patterns.map((name) => Array.from({ length: config.n_heads }, (_, head) => row(name, head))),
    };
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

/** Keys and values, of which those at some positions are another run's. */
function swapped(past, other, positions) {
  const from = (own, others) => {
    const mixed = own.slice();
    const width = own.length / past.length;
    for (const at of positions) mixed.set(others.subarray(at * width, (at + 1) * width), at * width);
    return mixed;
  };
  const layers = past.layers.map(({ k, v }, layer) => ({
    k: from(k, other.layers[layer].k),
    v: from(v, other.layers[layer].v),
  }));
  return { length: past.length, layers };
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
