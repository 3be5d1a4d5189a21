/* The measurements of the labs: each takes a model of lens.js and plain options, and gives numbers that can travel
   from a worker. The definitions are those of utils/measure, and tests/test_labs_lens.py compares the numbers. */

import { centre, shortened } from "./lens.js";

/** @typedef {import("./lens.js").HookedTransformer} HookedTransformer */
/** @typedef {import("./lens.js").Tensor} Tensor */
/** @typedef {import("./lens.js").Hook} Hook */

/**
 * What the model would predict if it stopped after the embedding, after each attention write, after each MLP write.
 * Every stream goes through the final norm, with its own scale, and the unembedding; the last row is the model's own
 * prediction. Source: nostalgebraist (2020).
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], k?: number, target?: number | null}} options `k` predictions each; the
 *   probability and rank of token `target` everywhere, where one is given
 * @returns {{labels: string[], top: number[][][], probability: number[][][], targetProbability: number[][] | null,
 *   targetRank: number[][] | null}} [boundary][position], and [k] for the first two; rank 0 is the first choice
 */
export function logitLens(model, { tokens, hooks = [], k = 5, target = null }) {
  const names = streamBoundaries(model.config).map(({ name }) => name);
  return lensOf(model, model.forward(tokens, { hooks, names }), { k, target });
}

function lensOf(model, { logits, cache }, { k, target }) {
  if (target !== null) checkToken(model, target);
  const boundaries = streamBoundaries(model.config);
  const names = boundaries.map(({ name }) => name);
  const result = {
    labels: boundaries.map(({ label }) => label),
    top: [],
    probability: [],
    targetProbability: target === null ? null : [],
    targetRank: target === null ? null : [],
  };
  names.forEach((name, boundary) => {
    const guesses = boundary === names.length - 1 ? logits : model.unembed(cache[name]);
    const read = Array.from({ length: logits.shape[0] }, (_, position) => row(guesses, position));
    const mass = read.map(logSumExp);
    const best = read.map((guess) => topIndices(guess, k));
    result.top.push(best);
    result.probability.push(read.map((guess, i) => best[i].map((id) => Math.exp(guess[id] - mass[i]))));
    if (target === null) return;
    result.targetProbability.push(read.map((guess, i) => Math.exp(guess[target] - mass[i])));
    result.targetRank.push(read.map((guess) => countAbove(guess, guess[target])));
  });
  return result;
}

/** Where the stream can be read between two writes. After attention it shows before the MLP's norm, or at the end. */
function streamBoundaries({ n_layers, attn_only }) {
  const boundaries = [{ label: "embed", name: "blocks.0.hook_resid_pre" }];
  for (let layer = 0; layer < n_layers; layer++) {
    const after = attn_only ? "hook_resid_post" : "hook_resid_mid";
    boundaries.push({ label: `L${layer} attention`, name: `blocks.${layer}.${after}` });
    if (!attn_only) boundaries.push({ label: `L${layer} MLP`, name: `blocks.${layer}.hook_resid_post` });
  }
  return boundaries;
}

/**
 * What each component gives to the logit of `token` at `position`, directly; the values sum to that logit. With
 * `other`, every row is a difference. The final norm acts as it acted in this run: its scale is held.
 * Rows: `embed`, `pos_embed`, `L0H0` …, `L0 bias`, `L0 MLP`, …, `final norm bias`, where they exist.
 * Source: Elhage et al. (2021), "direct path"; Wang et al. (2023), section 3.1.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], position?: number, token: number, other?: number | null}} options the last
 *   position by default
 * @returns {{labels: string[], values: Float32Array}} in logits
 */
export function directLogitAttribution(model, options) {
  const { tokens, hooks = [], position = tokens.length - 1, token, other = null } = options;
  checkPosition(tokens, position);
  return attributionOf(model, model.forward(tokens, { hooks, names: writtenNames(model) }), { position, token, other });
}

function attributionOf(model, { cache }, { position, token, other }) {
  const { labels, values } = componentOutputs(model, cache, position);
  const direction = unembeddingDirection(model, token, other);
  const weight = model.weights["ln_out.weight"]?.data;
  const read = direction.map((value, i) => value * (weight ? weight[i] : 1));
  const scale = cache["ln_final.hook_scale"]?.data[position] ?? 1;
  const centred = model.finalNorm?.startsWith("LN")
    ? values.map((data) => centre({ shape: [data.length], data }).data)
    : values;
  const given = centred.map((value) => dot(value, read) / scale);
  const bias = model.weights["ln_out.bias"]?.data;
  if (bias) {
    labels.push("final norm bias");
    given.push(dot(bias, direction));
  }
  return { labels, values: Float32Array.from(given) };
}

function writtenNames(model) {
  const written = /^hook_(pos_)?embed$|attn\.hook_z$|hook_mlp_out$|^ln_final\.hook_scale$/;
  return model.hookNames().filter((name) => written.test(name));
}

/** Everything written to the stream at one position, in the order of writing; it sums to the stream at the end. */
function componentOutputs({ config, weights }, cache, position) {
  const labels = [];
  const values = [];
  const add = (label, value) => {
    labels.push(label);
    values.push(value);
  };
  add("embed", row(cache.hook_embed, position));
  if (cache.hook_pos_embed) add("pos_embed", row(cache.hook_pos_embed, position));
  for (let layer = 0; layer < config.n_layers; layer++) {
    for (let head = 0; head < config.n_heads; head++) {
      const z = row(cache[`blocks.${layer}.attn.hook_z`], position * config.n_heads + head);
      add(`L${layer}H${head}`, headOutput(z, weights[`layers.${layer}.attn.o.weight`], head));
    }
    const bias = weights[`layers.${layer}.attn.o.bias`];
    if (bias) add(`L${layer} bias`, bias.data);
    if (!config.attn_only) add(`L${layer} MLP`, row(cache[`blocks.${layer}.hook_mlp_out`], position));
  }
  return { labels, values };
}

/** What a head writes: its mixed values times its part of the output weights [d_model, heads × d_head]. */
function headOutput(z, { shape, data }, head) {
  const [wide, deep] = shape;
  const own = (i) => data.subarray(i * deep + head * z.length, i * deep + (head + 1) * z.length);
  return Float32Array.from({ length: wide }, (_, i) => dot(own(i), z));
}

function unembeddingDirection(model, token, other) {
  const direction = row(model.weights["head.weight"], checkToken(model, token));
  if (other === null) return direction;
  const away = row(model.weights["head.weight"], checkToken(model, other));
  return direction.map((value, i) => value - away[i]);
}

function checkPosition(tokens, position) {
  if (position >= 0 && position < tokens.length) return;
  throw new Error(`There is no position ${position} in a sequence of ${tokens.length} tokens.`);
}

function checkToken({ config }, token) {
  if (Number.isInteger(token) && token >= 0 && token < config.d_vocab_out) return token;
  throw new Error(`There is no token ${token}: the vocabulary has ids 0 to ${config.d_vocab_out - 1}.`);
}

/**
 * The loss of every prediction, in nats: minus the log probability of the token that came next.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[]}} options
 * @returns {Float32Array} [position-1]; entry i belongs to the prediction, at position i, of token i + 1
 */
export function tokenLosses(model, { tokens, hooks = [] }) {
  if (tokens.length < 2) throw new Error("Losses need at least two tokens in a row: the first predicts the second.");
  return lossesOf(model.forward(tokens, { hooks }), tokens);
}

function lossesOf({ logits }, tokens) {
  return Float32Array.from({ length: tokens.length - 1 }, (_, i) => {
    const guess = row(logits, i);
    return logSumExp(guess) - guess[tokens[i + 1]];
  });
}

/**
 * One prediction followed down the stream: `logitLens`, `directLogitAttribution` and `tokenLosses` of a single run.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], position?: number, token?: number | null, k?: number}} options the token
 *   whose logit is taken apart, by default the model's first choice at `position`, by default the last
 * @returns {{token: number, lens: object, attribution: object, losses: Float32Array}} as those functions return them;
 *   no losses for a single token
 */
export function followed(model, { tokens, hooks = [], position = tokens.length - 1, token = null, k = 5 }) {
  checkPosition(tokens, position);
  const names = streamBoundaries(model.config).map(({ name }) => name);
  const run = model.forward(tokens, { hooks, names: [...names, ...writtenNames(model)] });
  const target = token ?? topIndices(row(run.logits, position), 1)[0];
  return {
    token: target,
    lens: lensOf(model, run, { k, target }),
    attribution: attributionOf(model, run, { position, token: target, other: null }),
    losses: lossesOf(run, tokens),
  };
}

/**
 * The attention patterns.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[]}} options
 * @returns {Tensor[]} [layer], each [head, query, key]
 */
export function patterns(model, { tokens, hooks = [] }) {
  const names = patternNames(model);
  const { cache } = model.forward(tokens, { hooks, names });
  return names.map((name) => cache[name]);
}

function patternNames({ config }) {
  return Array.from({ length: config.n_layers }, (_, layer) => `blocks.${layer}.attn.hook_pattern`);
}

/**
 * A single run read in three ways: `patterns`, `tokenLosses`, and the prediction at one position.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], position: number}} options a position before the last
 * @returns {{patterns: Tensor[], losses: Float32Array, guess: {id: number, probability: number, ofNext: number}}} the
 *   model's first choice at `position`, its probability, and the probability of the token that stands next
 */
export function reading(model, { tokens, hooks = [], position }) {
  checkPosition(tokens.slice(0, -1), position);
  const names = patternNames(model);
  const run = model.forward(tokens, { hooks, names });
  const losses = lossesOf(run, tokens);
  const logits = row(run.logits, position);
  const [id] = topIndices(logits, 1);
  const guess = { id, probability: Math.exp(logits[id] - logSumExp(logits)), ofNext: Math.exp(-losses[position]) };
  return { patterns: names.map((name) => run.cache[name]), losses, guess };
}

/**
 * How strongly each head looks at the previous token, and at what followed the current token's previous copy: mean
 * attention over the queries where that key is not position 0. `tokens` are a beginning token and copies of the same
 * `period` tokens. Sources: Elhage et al. (2021), "previous token heads"; Olsson et al. (2022), "prefix matching".
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], period: number}} options
 * @returns {{previous: number[][], induction: number[][]}} [layer][head]
 */
export function attentionScores(model, { tokens, hooks = [], period }) {
  if (!(Number.isInteger(period) && period >= 1 && period < tokens.length - 1)) {
    throw new Error(
      `A period of ${period} does not fit ${tokens.length} tokens: the second copy must begin inside them, so choose ` +
        `a period from 1 to ${tokens.length - 2}.`
    );
  }
  const byLayer = patterns(model, { tokens, hooks });
  const score = (offset, firstQuery) => byLayer.map((pattern) => diagonalMeans(pattern, offset, firstQuery));
  return { previous: score(1, 2), induction: score(period - 1, period + 1) };
}

/** Mean attention of each head from query q to key q - offset, from `firstQuery` on. */
function diagonalMeans({ shape, data }, offset, firstQuery) {
  const [heads, length] = shape;
  return Array.from({ length: heads }, (_, head) => {
    let total = 0;
    for (let query = firstQuery; query < length; query++) {
      total += data[(head * length + query) * length + query - offset];
    }
    return total / (length - firstQuery);
  });
}

/**
 * What each head mixes and each MLP writes on average over the positions: what mean ablation puts in their place.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[]}} options
 * @returns {Object<string, Tensor>} `blocks.L.attn.hook_z` [head, d_head] and `blocks.L.hook_mlp_out` [d_model]
 */
export function meanActivations(model, { tokens, hooks = [] }) {
  const names = model.hookNames().filter((name) => /attn\.hook_z$|hook_mlp_out$/.test(name));
  const { cache } = model.forward(tokens, { hooks, names });
  return Object.fromEntries(names.map((name) => [name, meanOverPositions(cache[name])]));
}

function meanOverPositions({ shape, data }) {
  const [length, ...rest] = shape;
  const size = data.length / length;
  const column = (i) => {
    let total = 0;
    for (let from = i; from < data.length; from += size) total += data[from];
    return total / length;
  };
  return { shape: rest, data: Float32Array.from({ length: size }, (_, i) => column(i)) };
}

/**
 * The likeliest next tokens.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], k?: number}} options
 * @returns {{ids: number[], probability: number[]}} the likeliest first
 */
export function next(model, { tokens, hooks = [], k = 5 }) {
  return outlook(model.forward(tokens, { hooks }), tokens.length - 1, k);
}

/**
 * What the model writes after `tokens`, each time the likeliest token; utils.measure.faithfulness has the same.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], stop: number, limit: number}} options ends before the token `stop`, or after `limit`
 * @returns {{ids: number[]}}
 */
export function write(model, { tokens, stop, limit }) {
  const ids = [];
  let run = model.forward(tokens);
  while (ids.length < limit) {
    const [id] = topIndices(row(run.logits, run.logits.shape[0] - 1), 1);
    if (id === stop) break;
    ids.push(id);
    run = model.forward([id], { past: run.past });
  }
  return { ids };
}

/* ---- experts: utils/measure/routing ---- */

/**
 * Where the routers send every token, and every loss.
 * @param {HookedTransformer} model a mixture of experts
 * @param {{tokens: number[], hooks?: Hook[]}} options
 * @returns {{wanted: Tensor[], chosen: Tensor[], weights: Tensor[], losses: Float32Array}} [layer]: [position, choice],
 *   the experts that the router prefers, the first choice first; those that are used, which differ if a hook barred or
 *   forced some; [position, expert], 0 for those not used. No losses for a single token.
 */
export function expertRoutes(model, { tokens, hooks = [] }) {
  const { n_layers, num_experts, experts_per_token } = model.config;
  if (!num_experts) throw new Error("This model has no routers: it is not a mixture of experts.");
  const inEachLayer = (part) => Array.from({ length: n_layers }, (_, layer) => `blocks.${layer}.mlp.gate.hook_${part}`);
  const [logits, indices, weights] = ["out", "expert_indices", "expert_weights"].map(inEachLayer);
  const run = model.forward(tokens, { hooks, names: [...logits, ...indices, ...weights] });
  const preferred = (scores) => ({
    shape: [tokens.length, experts_per_token],
    data: Float32Array.from(tokens.flatMap((_, at) => topIndices(row(scores, at), experts_per_token))),
  });
  return {
    wanted: logits.map((name) => preferred(run.cache[name])),
    chosen: indices.map((name) => run.cache[name]),
    weights: weights.map((name) => run.cache[name]),
    losses: lossesOf(run, tokens),
  };
}

/* ---- dictionaries: utils/models/autoencoder.py, utils/measure/splicing.py ---- */

/**
 * @typedef {{hook: string, k: number | null, weights: Object<string, Tensor>}} Dictionary a sparse autoencoder:
 *   `W_enc` [d_model, latent], `b_enc`, `W_dec` [latent, d_model], `b_dec`; null for `k` keeps every positive latent
 */

/**
 * One run read with a dictionary: which latents fire on each token, what comes next, and every loss. Position 0, whose
 * token no dictionary is trained on, has no latents.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], dictionary: Dictionary, position?: number, k?: number}} options the
 *   position, by default the last, for whose next token the `k` likeliest are asked for
 * @returns {{latents: number[][], activations: number[][], ids: number[], probability: number[],
 *   losses: Float32Array}} [position], the strongest latent first; the likeliest tokens; [position-1], in nats
 */
export function dictionaryFeatures(model, options) {
  const { tokens, hooks = [], dictionary, position = tokens.length - 1, k = 5 } = options;
  checkPosition(tokens, position);
  const run = readWith(model, { tokens, hooks, dictionary });
  return {
    latents: run.found.map((all) => all.map(([latent]) => latent)),
    activations: run.found.map((all) => all.map(([, activation]) => activation)),
    ...outlook(run, position, k),
    losses: lossesOf(run, tokens),
  };
}

const lastRead = new WeakMap(); // model -> the last run of `readWith` without hooks

/** A run and the latents of every token. What a text has in common with the last one is not computed again. */
function readWith(model, { tokens, hooks, dictionary }) {
  const last = hooks.length ? null : lastRead.get(model);
  const differs = tokens.findIndex((token, at) => token !== last?.tokens[at]);
  const from = last?.dictionary === dictionary ? (differs < 0 ? tokens.length - 1 : differs) : 0;
  const past = shortened(last?.past, from);
  const run = model.forward(tokens.slice(from), { hooks, names: [dictionary.hook], past });
  const stream = run.cache[dictionary.hook];
  const found = tokens.slice(from).map((_, at) => (from + at ? encoded(dictionary, row(stream, at)) : []));
  const [, size] = run.logits.shape;
  const data = new Float32Array(tokens.length * size);
  if (from) data.set(last.logits.data.subarray(0, from * size));
  data.set(run.logits.data, from * size);
  const read = {
    tokens,
    dictionary,
    past: run.past,
    logits: { shape: [tokens.length, size], data },
    found: [...(from ? last.found.slice(0, from) : []), ...found],
  };
  if (!hooks.length) lastRead.set(model, read);
  return read;
}

/**
 * The model with one latent of a dictionary held at a value; 0 removes it. What the dictionary fails to reconstruct is
 * kept, so that a token's stream changes only along the latent's direction: utils.measure.clamped.
 * @param {HookedTransformer} model
 * @param {{tokens: number[], hooks?: Hook[], dictionary: Dictionary, latent: number, value: number,
 *   positions?: number[] | null, position?: number, k?: number}} options the positions to hold it at, by default all
 *   but 0; `position` and `k` as for `dictionaryFeatures`
 * @returns {{ids: number[], probability: number[], losses: Float32Array}} as `dictionaryFeatures` returns them
 */
export function clampedLatent(model, options) {
  const { tokens, hooks = [], dictionary, latent, value, positions = null } = options;
  const { position = tokens.length - 1, k = 5 } = options;
  checkPosition(tokens, position);
  const direction = row(dictionary.weights.W_dec, latent);
  const held = (positions ?? tokens.map((_, at) => at)).filter((at) => at > 0);
  const edit = (stream) => {
    for (const at of held) {
      const x = row(stream, at);
      const [, now] = encoded(dictionary, x).find(([one]) => one === latent) ?? [latent, 0];
      direction.forEach((part, i) => (x[i] += (value - now) * part));
    }
  };
  const run = model.forward(tokens, { hooks: [...hooks, { name: dictionary.hook, edit }] });
  return { ...outlook(run, position, k), losses: lossesOf(run, tokens) };
}

/** The latents above zero for one activation, as [latent, activation], the strongest first. */
function encoded({ k, weights: { W_enc, b_enc, b_dec } }, x) {
  const width = b_enc.data.length;
  const found = Float32Array.from(b_enc.data);
  for (let i = 0; i < x.length; i++) {
    const part = x[i] - b_dec.data[i];
    const from = i * width;
    for (let latent = 0; latent < width; latent++) found[latent] += part * W_enc.data[from + latent];
  }
  const best = topIndices(found, k ?? width);
  return best.map((latent) => [latent, found[latent]]).filter(([, activation]) => activation > 0);
}

/** The `k` likeliest tokens after `position`. */
function outlook({ logits }, position, k) {
  const guess = row(logits, position);
  const mass = logSumExp(guess);
  const ids = topIndices(guess, k);
  return { ids, probability: ids.map((id) => Math.exp(guess[id] - mass)) };
}

/* ---- arithmetic ---- */

/** Row `index` of a tensor, counted over all axes but the last; shares its memory. */
function row({ shape, data }, index) {
  const width = shape.at(-1);
  return data.subarray(index * width, (index + 1) * width);
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

function logSumExp(values) {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += Math.exp(values[i] - most);
  return most + Math.log(total);
}

function countAbove(values, limit) {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > limit) count++;
  return count;
}

/** Where the `k` largest values stand, the largest first; of equals the earlier first. */
function topIndices(values, k) {
  const best = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === k && !(values[i] > values[best[k - 1]])) continue;
    let place = best.length;
    while (place > 0 && values[i] > values[best[place - 1]]) place--;
    best.splice(place, 0, i);
    if (best.length > k) best.pop();
  }
  return best;
}
