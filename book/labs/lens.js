/* A transformer in the page whose every activation can be read and edited.

   The models are those of TransformerLens' `boot_native`, and Mixtral's: same configuration fields, same weight names,
   same names and shapes of activations (without the batch axis), same effect of hooks. No dependencies; runs on the
   page or in a worker. The documentation is book/lens_js.md, and tests/test_labs_lens.py holds it to TransformerLens'
   numbers. */

import { applyHook } from "./lens_hooks.js";
import * as mixtral from "./lens_mixtral.js";
import {
  ACTIVATIONS,
  affine,
  attentionPattern,
  attentionScores,
  centre,
  chosenExperts,
  divide,
  joined,
  linear,
  mixedExperts,
  mixedValues,
  product,
  rootMeanSquare,
  rotated,
  rotation,
  route,
  routes,
  rows,
  softmax,
  sum,
} from "./lens_parts.js";

export { centre } from "./lens_parts.js";
export { parseSafetensors } from "./lens_weights.js";

/**
 * @typedef {{shape: number[], data: Float32Array}} Tensor numbers in row-major order
 * @typedef {number | number[]} Index one index, or several
 * @typedef {object} Hook an edit of one activation, as plain data: exactly one of `replace`, `add`, `scale`, `hold`,
 *   `without`, `edit`
 * @property {string} name an activation of `hookNames()`
 * @property {Index} [head] the heads to edit; all by default
 * @property {Index} [position] the positions to edit (queries, for patterns), from the first token on; all by default
 * @property {number | Float32Array} [replace] what to write instead
 * @property {number | Float32Array} [add] what to add
 * @property {number | Float32Array} [scale] what to multiply by
 * @property {{along: Float32Array, at: number}} [hold] moves each row along a vector until their dot product is `at`
 * @property {number[]} [without] for patterns: keys that lose their weight, as if their scores were minus infinity; the
 *   other keys of a row share it. For the weights of experts: those that the router cannot choose; others are chosen
 * @property {(tensor: Tensor) => void} [edit] changes a copy of the whole activation in place
 * @typedef {{length: number, layers: {k: Float32Array, v: Float32Array}[]}} Past keys and values of earlier tokens
 */

// The fields that the computation reads, with TransformerBridgeConfig's defaults.
const DEFAULTS = {
  act_fn: "relu",
  attn_only: false,
  eps: 1e-5,
  final_rms: false,
  gated_mlp: false,
  n_key_value_heads: null,
  num_experts: 0,
  normalization_type: "LN",
  positional_embedding_type: "standard",
  rotary_base: 10000,
  rotary_dim: null,
};
// Fields that would change the computation in a way that is not written here.
const ONLY = {
  attention_dir: "causal",
  attn_scale: -1,
  attn_scores_soft_cap: -1,
  output_logits_soft_cap: -1,
  rope_scaling: null,
  use_attn_scale: true,
};
const LOWEST = -3.4028234663852886e38; // the score of later keys in Mixtral, as in TransformerLens
const NORMS = ["LN", "LNPre", "RMS", "RMSPre", null];
const SIZES = ["n_layers", "n_heads", "d_model", "d_head", "d_vocab", "n_ctx"];

function normalised(given) {
  const config = { ...DEFAULTS, ...given };
  for (const [field, value] of Object.entries(ONLY)) {
    if ((config[field] ?? value) !== value) {
      throw new Error(`lens.js runs models with ${field} = ${value} only; this one has ${config[field]}.`);
    }
  }
  config.n_heads ??= Math.floor(config.d_model / config.d_head);
  config.n_key_value_heads ??= config.n_heads;
  config.d_mlp ||= 4 * config.d_model;
  config.d_vocab_out = config.d_vocab_out > 0 ? config.d_vocab_out : config.d_vocab;
  config.rotary_dim ??= config.d_head;
  if (config.num_experts && !(config.experts_per_token >= 1 && config.experts_per_token <= config.num_experts)) {
    throw new Error(`A token cannot go to ${config.experts_per_token} of ${config.num_experts} experts.`);
  }
  for (const field of SIZES) {
    if (!(Number.isInteger(config[field]) && config[field] > 0)) {
      throw new Error(`The configuration needs a positive whole number as ${field}, not ${config[field]}.`);
    }
  }
  const known = (field, choices) => {
    if (!choices.includes(config[field])) {
      throw new Error(`lens.js knows no ${field} ${config[field]}; it knows ${choices.map(String).join(", ")}.`);
    }
  };
  known("normalization_type", NORMS);
  known("positional_embedding_type", ["standard", "rotary"]);
  if (!config.attn_only) known("act_fn", Object.keys(ACTIVATIONS));
  if (config.n_heads % config.n_key_value_heads) {
    throw new Error(`${config.n_heads} heads cannot share ${config.n_key_value_heads} keys and values evenly.`);
  }
  return config;
}

/** Name and shape of every weight: of a NativeModel, with a few of its own for experts; Mixtral has no biases. */
function weightShapes(config) {
  const { d_model, d_head, d_mlp, n_heads, n_key_value_heads, normalization_type, num_experts } = config;
  const shapes = new Map([["tok_embed.weight", [config.d_vocab, d_model]]]);
  const affine = (name, wide, deep) => {
    shapes.set(`${name}.weight`, [wide, deep]);
    if (!num_experts) shapes.set(`${name}.bias`, [wide]);
  };
  const norm = (name, kind) => {
    if (kind === "LN" || kind === "RMS") shapes.set(`${name}.weight`, [d_model]);
    if (kind === "LN") shapes.set(`${name}.bias`, [d_model]);
  };
  if (config.positional_embedding_type === "standard") shapes.set("pos.weight", [config.n_ctx, d_model]);
  for (let layer = 0; layer < config.n_layers; layer++) {
    const at = `layers.${layer}`;
    norm(`${at}.ln1`, normalization_type);
    affine(`${at}.attn.q`, n_heads * d_head, d_model);
    affine(`${at}.attn.k`, n_key_value_heads * d_head, d_model);
    affine(`${at}.attn.v`, n_key_value_heads * d_head, d_model);
    affine(`${at}.attn.o`, d_model, n_heads * d_head);
    if (config.attn_only) continue;
    norm(`${at}.ln2`, normalization_type);
    if (num_experts) {
      shapes.set(`${at}.mlp.router.weight`, [num_experts, d_model]);
      shapes.set(`${at}.mlp.experts.gate_up`, [num_experts, 2 * d_mlp, d_model]);
      shapes.set(`${at}.mlp.experts.down`, [num_experts, d_model, d_mlp]);
    } else if (config.gated_mlp) {
      shapes.set(`${at}.mlp.gate.weight`, [d_mlp, d_model]).set(`${at}.mlp.in.weight`, [d_mlp, d_model]);
      shapes.set(`${at}.mlp.out.weight`, [d_model, d_mlp]);
    } else {
      affine(`${at}.mlp.fc_in`, d_mlp, d_model);
      affine(`${at}.mlp.fc_out`, d_model, d_mlp);
    }
  }
  norm("ln_out", finalNorm(config));
  return shapes.set("head.weight", [config.d_vocab_out, d_model]);
}

function finalNorm({ normalization_type: kind, final_rms }) {
  if (!final_rms) return kind;
  return kind === "LNPre" || kind === "RMSPre" ? "RMSPre" : "RMS";
}

function checkWeights(config, weights) {
  const shapes = weightShapes(config);
  for (const [name, shape] of shapes) {
    if (!(name in weights)) throw new Error(`The weights lack ${name}: they belong to another configuration.`);
    if (String(weights[name].shape) !== String(shape)) {
      throw new Error(`${name} has the shape [${weights[name].shape}], but the configuration asks for [${shape}].`);
    }
  }
  const stray = Object.keys(weights).find((name) => !shapes.has(name));
  if (stray) throw new Error(`The weights hold ${stray}, which the configuration has no place for.`);
}

/**
 * Every point at which the run can be watched, in the order of the run.
 * @returns {Map<string, {names: string[], axes: string[], fixed?: string}>} by TransformerLens' own name; `names`
 *   begins with it and goes on with its aliases, `fixed` says why the point cannot be edited
 */
function listPoints(config) {
  const points = new Map();
  const ROW = ["position", "width"];
  const HEADS = ["position", "head", "width"];
  const PATTERN = ["head", "position", "key"];
  const isMixtral = config.num_experts > 0;
  const TURNS = "holds what the positions turn by, which nothing can change";
  const add = (name, alias = null, axes = ROW, fixed = undefined) =>
    points.set(name, { names: alias ? [name, alias] : [name], axes, fixed });
  const norm = (name, kind, alias) => {
    add(`${name}.hook_in`, alias);
    if (kind) {
      add(`${name}.hook_scale`);
      add(`${name}.hook_normalized`);
    }
    add(`${name}.hook_out`);
  };
  add("embed.hook_in", null, ["position"], "holds the token ids: run other tokens instead");
  add("embed.hook_out", "hook_embed");
  if (config.positional_embedding_type === "standard") {
    add("pos_embed.hook_in", null, ["position"], "holds the numbers of the positions, which nothing can change");
    add("pos_embed.hook_out", "hook_pos_embed");
  }
  if (isMixtral) {
    add("rotary_emb.hook_in", null, ROW, "is not used: edit hook_embed instead");
    for (const part of ["cos", "sin"]) add(`rotary_emb.hook_${part}`, null, ROW, TURNS);
  }
  for (let layer = 0; layer < config.n_layers; layer++) {
    const at = `blocks.${layer}`;
    add(`${at}.hook_in`, `${at}.hook_resid_pre`);
    norm(`${at}.ln1`, config.normalization_type);
    add(`${at}.attn.hook_in`);
    for (const letter of ["q", "k", "v"]) {
      add(`${at}.attn.${letter}.hook_in`);
      add(`${at}.attn.${letter}.hook_out`, `${at}.attn.hook_${letter}`, HEADS);
    }
    if (isMixtral) {
      for (const part of ["cos", "sin"]) add(`${at}.attn.hook_${part}`, null, ROW, TURNS);
      for (const letter of ["q", "k"]) add(`${at}.attn.hook_rot_${letter}`, null, HEADS);
      add(`${at}.attn.hook_attn_scores`, null, PATTERN);
    }
    add(`${at}.attn.hook_pattern`, null, PATTERN);
    add(`${at}.attn.o.hook_in`, `${at}.attn.hook_z`, HEADS);
    add(`${at}.attn.o.hook_out`);
    add(`${at}.attn.hook_out`, `${at}.hook_attn_out`);
    const copy = `is a copy of the pattern here, as in TransformerLens: edit ${at}.attn.hook_pattern instead`;
    if (!isMixtral) add(`${at}.attn.hook_attn_scores`, null, PATTERN, copy);
    if (!config.attn_only) norm(`${at}.ln2`, config.normalization_type, `${at}.hook_resid_mid`);
    if (isMixtral) {
      const weights = `${at}.mlp.gate.hook_expert_weights`;
      add(`${at}.mlp.hook_in`, `${at}.mlp.hook_pre`);
      add(`${at}.mlp.gate.hook_in`);
      add(`${at}.mlp.gate.hook_out`, null, ROW, `is only looked at after the choice: edit ${weights} instead`);
      add(weights, `${at}.mlp.hook_expert_weights`, ["position", "expert"]);
      const chosen = `follows from the weights: edit ${weights} instead`;
      add(`${at}.mlp.gate.hook_expert_indices`, `${at}.mlp.hook_expert_indices`, ROW, chosen);
      add(`${at}.mlp.hook_out`, `${at}.hook_mlp_out`);
      points.get(`${at}.mlp.hook_out`).names.push(`${at}.mlp.hook_post`);
    } else if (!config.attn_only) {
      add(`${at}.mlp.hook_in`);
      if (config.gated_mlp) {
        add(`${at}.mlp.gate.hook_in`);
        add(`${at}.mlp.gate.hook_out`, `${at}.mlp.hook_pre`);
      }
      add(`${at}.mlp.in.hook_in`);
      add(`${at}.mlp.in.hook_out`, `${at}.mlp.${config.gated_mlp ? "hook_pre_linear" : "hook_pre"}`);
      add(`${at}.mlp.out.hook_in`, `${at}.mlp.hook_post`);
      add(`${at}.mlp.out.hook_out`);
      add(`${at}.mlp.hook_out`, `${at}.hook_mlp_out`);
    }
    add(`${at}.hook_out`, `${at}.hook_resid_post`);
  }
  norm("ln_final", finalNorm(config));
  add("unembed.hook_in");
  add("unembed.hook_out", "hook_unembed");
  return points;
}

/** A transformer as TransformerLens' `boot_native` builds it, or a Mixtral. */
export class HookedTransformer {
  #points; // by TransformerLens' own name
  #byName; // the same by every name
  #rotation; // cosines and sines [position, pair], for rotary positions

  /**
   * @param {object} config the fields of a TransformerBridgeConfig ("architecture" in a model's config.json) or, with
   *   `model_type` "mixtral", of a MixtralConfig
   * @param {Object<string, Tensor>} weights as `parseSafetensors` gives, by the names of TransformerLens' NativeModel
   *   or of a Hugging Face MixtralForCausalLM
   * @throws {Error} if a field asks for something that is not written here, or the weights do not fit
   */
  constructor(config, weights) {
    const { model_type: family } = config;
    if (family !== undefined && family !== "mixtral") {
      throw new Error(`lens.js runs no model of Hugging Face's but Mixtral; this one is a ${family}.`);
    }
    if (family) [config, weights] = [mixtral.configOf(config), mixtral.renamed(weights)];
    /** The configuration with defaults filled in, by TransformerBridgeConfig's names. */
    this.config = normalised(config);
    /** The weights, [out, in]. */
    this.weights = weights;
    checkWeights(this.config, weights);
    this.#points = listPoints(this.config);
    this.#byName = new Map();
    for (const point of this.#points.values()) for (const name of point.names) this.#byName.set(name, point);
    if (this.config.positional_embedding_type === "rotary") this.#rotation = rotation(this.config);
  }

  /**
   * Every activation that a run can keep or a hook can name, in the order of the run.
   * @returns {string[]}
   */
  hookNames() {
    return [...this.#byName.keys()];
  }

  /**
   * Runs the model.
   * @param {ArrayLike<number>} tokens ids
   * @param {object} [options]
   * @param {Hook[]} [options.hooks] edits; several at one activation act in turn
   * @param {null | "all" | string[]} [options.names] the activations to keep, as they are after the edits
   * @param {Past | null} [options.past] from an earlier run: `tokens` continue it, and only they are computed
   * @returns {{logits: Tensor, cache: Object<string, Tensor>, past: Past}} logits [position, d_vocab]
   * @throws {Error} for tokens, names, heads or positions that the model does not have
   */
  forward(tokens, { hooks = [], names = null, past = null } = {}) {
    const { config, weights } = this;
    const start = past ? past.length : 0;
    const ids = Array.from(tokens);
    const positions = ids.map((_, i) => start + i);
    this.#checkTokens(ids, start);
    const cache = {};
    const at = this.#watch(hooks, names, cache, start, start + ids.length);
    at("embed.hook_in", { shape: [ids.length], data: Float32Array.from(ids) });
    let stream = at("embed.hook_out", rows(weights["tok_embed.weight"], ids));
    if (config.positional_embedding_type === "standard") {
      at("pos_embed.hook_in", { shape: [ids.length], data: Float32Array.from(positions) });
      stream = sum(stream, at("pos_embed.hook_out", rows(weights["pos.weight"], positions)));
    }
    const turns = config.num_experts ? this.#turns(stream, positions, at) : null;
    const layers = [];
    for (let layer = 0; layer < config.n_layers; layer++) {
      stream = at(`blocks.${layer}.hook_in`, stream);
      const read = this.#norm(`blocks.${layer}.ln1`, `layers.${layer}.ln1`, config.normalization_type, stream, at);
      const { output, k, v } = this.#attention(layer, read, past?.layers[layer], start, turns, at);
      layers.push({ k, v });
      stream = sum(stream, output);
      if (!config.attn_only) stream = sum(stream, this.#afterAttention(layer, stream, at));
      stream = at(`blocks.${layer}.hook_out`, stream);
    }
    const read = this.#norm("ln_final", "ln_out", finalNorm(config), stream, at);
    const logits = at("unembed.hook_out", this.#head(at("unembed.hook_in", read)));
    return { logits, cache, past: { length: start + ids.length, layers } };
  }

  /**
   * Logits for any stream: the final norm, its scale computed from this stream, then the unembedding.
   * @param {Tensor} stream [position, d_model]
   * @returns {Tensor} [position, d_vocab]
   */
  unembed(stream) {
    return this.#head(this.#norm("ln_final", "ln_out", finalNorm(this.config), stream, (_, tensor) => tensor));
  }

  /** What the final norm is: "LN", "LNPre", "RMS", "RMSPre" or null. */
  get finalNorm() {
    return finalNorm(this.config);
  }

  #checkTokens(ids, start) {
    const { n_ctx, d_vocab } = this.config;
    const total = start + ids.length;
    if (ids.length === 0) throw new Error("There is nothing to run: give at least one token.");
    if (total > n_ctx) throw new Error(`${total} tokens do not fit the model's context of ${n_ctx}.`);
    const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < d_vocab));
    if (wrong !== undefined) throw new Error(`There is no token ${wrong}: the vocabulary has ids 0 to ${d_vocab - 1}.`);
  }

  /**
   * The function every activation passes through: edits it where a hook says so, and keeps it where it is wanted. A
   * pattern, and the weights of experts, come with what they were made from.
   */
  #watch(hooks, names, cache, start, total) {
    const wanted = new Set(names === "all" ? this.#byName.keys() : names ?? []);
    for (const name of wanted) this.#point(name);
    const edits = new Map();
    for (const hook of hooks) {
      const point = this.#point(hook.name);
      if (point.fixed) throw new Error(`${hook.name} cannot be edited: it ${point.fixed}.`);
      edits.set(point, [...(edits.get(point) ?? []), hook]);
    }
    return (name, tensor, source = null) => {
      const point = this.#points.get(name);
      if (edits.has(point)) {
        tensor = copied(tensor);
        source &&= { ...source, scores: copied(source.scores) };
        for (const hook of edits.get(point)) {
          applyHook(hook, tensor, { axes: point.axes, start, total, source });
          if (!hook.without) source = null; // the tensor is no longer what was made from it
        }
      }
      for (const alias of point.names) if (wanted.has(alias)) cache[alias] = tensor;
      return tensor;
    };
  }

  #point(name) {
    const point = this.#byName.get(name);
    if (!point) throw new Error(`This model has no activation ${name}; hookNames() lists those it has.`);
    return point;
  }

  #norm(name, weightName, kind, stream, at) {
    const input = at(`${name}.hook_in`, stream);
    if (kind === null) return at(`${name}.hook_out`, input);
    const centred = kind.startsWith("LN") ? centre(input) : input;
    const scale = at(`${name}.hook_scale`, rootMeanSquare(centred, this.config.eps));
    const normalized = at(`${name}.hook_normalized`, divide(centred, scale));
    const { [`${weightName}.weight`]: weight, [`${weightName}.bias`]: bias } = this.weights;
    return at(`${name}.hook_out`, weight ? affine(normalized, weight.data, bias?.data) : normalized);
  }

  /** What rotary positions turn by, as TransformerLens shows it for Mixtral: each pair's number in both halves. */
  #turns(stream, positions, at) {
    const { pairs, cos, sin } = this.#rotation;
    at("rotary_emb.hook_in", stream);
    const row = (table, position) => Array.from({ length: 2 * pairs }, (_, i) => table[position * pairs + (i % pairs)]);
    const twice = (table) => ({
      shape: [positions.length, 2 * pairs],
      data: Float32Array.from(positions.flatMap((position) => row(table, position))),
    });
    return { cos: at("rotary_emb.hook_cos", twice(cos)), sin: at("rotary_emb.hook_sin", twice(sin)) };
  }

  #attention(layer, read, past, start, turns, at) {
    const { n_heads, n_key_value_heads, d_head, d_model } = this.config;
    const name = `blocks.${layer}.attn`;
    const length = read.shape[0];
    const input = at(`${name}.hook_in`, read);
    const project = (letter, heads) => {
      const { weight, bias } = this.#parameters(`layers.${layer}.attn.${letter}`);
      const from = at(`${name}.${letter}.hook_in`, input);
      return at(`${name}.${letter}.hook_out`, linear(from, weight, bias, [length, heads, d_head]));
    };
    if (turns) for (const part of ["cos", "sin"]) at(`${name}.hook_${part}`, turns[part]);
    const place = (letter, tensor) => {
      const placed = this.#rotation ? rotated(tensor, this.#rotation, start, turns !== null) : tensor;
      return turns ? at(`${name}.hook_rot_${letter}`, placed) : placed;
    };
    const q = place("q", project("q", n_heads));
    const k = joined(past?.k, place("k", project("k", n_key_value_heads)).data);
    const v = joined(past?.v, project("v", n_key_value_heads).data);
    const scored = attentionScores(q, k, n_key_value_heads, start, turns ? LOWEST : -Infinity);
    const scores = turns ? at(`${name}.hook_attn_scores`, scored) : scored;
    const computed = attentionPattern(scores);
    const pattern = at(`${name}.hook_pattern`, computed, { scores, decide: softmax, least: 1 });
    const causal = scores === scored && pattern === computed; // edited, it may look at any key of the run
    const z = at(`${name}.o.hook_in`, mixedValues(pattern, v, n_key_value_heads, d_head, causal ? start : null));
    const { weight, bias } = this.#parameters(`layers.${layer}.attn.o`);
    const written = at(`${name}.o.hook_out`, linear(z, weight, bias, [length, d_model]));
    const output = at(`${name}.hook_out`, written);
    if (!turns) at(`${name}.hook_attn_scores`, pattern);
    return { output, k, v };
  }

  /** What the MLP or the experts of a layer write. */
  #afterAttention(layer, stream, at) {
    const { normalization_type, num_experts } = this.config;
    const read = this.#norm(`blocks.${layer}.ln2`, `layers.${layer}.ln2`, normalization_type, stream, at);
    return num_experts ? this.#experts(layer, read, at) : this.#mlp(layer, read, at);
  }

  #experts(layer, read, at) {
    const { num_experts, experts_per_token: choices, act_fn } = this.config;
    const name = `blocks.${layer}.mlp`;
    const own = (part) => this.weights[`layers.${layer}.mlp.${part}`];
    const input = at(`${name}.hook_in`, read);
    const seen = at(`${name}.gate.hook_in`, input);
    const scores = at(`${name}.gate.hook_out`, linear(seen, own("router.weight"), null, [read.shape[0], num_experts]));
    const source = { scores, decide: (row) => route(row, choices), least: choices };
    const weights = at(`${name}.gate.hook_expert_weights`, routes(scores, choices), source);
    const chosen = at(`${name}.gate.hook_expert_indices`, chosenExperts(weights, choices));
    const experts = { gateUp: own("experts.gate_up"), down: own("experts.down") };
    return at(`${name}.hook_out`, mixedExperts(input, { weights, chosen }, experts, ACTIVATIONS[act_fn]));
  }

  #mlp(layer, read, at) {
    const { d_mlp, d_model, act_fn, gated_mlp } = this.config;
    const name = `blocks.${layer}.mlp`;
    const length = read.shape[0];
    const input = at(`${name}.hook_in`, read);
    const project = (part, weightName) => {
      const { weight, bias } = this.#parameters(`layers.${layer}.mlp.${weightName}`);
      const from = at(`${name}.${part}.hook_in`, input);
      return at(`${name}.${part}.hook_out`, linear(from, weight, bias, [length, d_mlp]));
    };
    const activate = ACTIVATIONS[act_fn];
    const hidden = gated_mlp
      ? product(activate(project("gate", "gate")), project("in", "in"))
      : activate(project("in", "fc_in"));
    const { weight, bias } = this.#parameters(`layers.${layer}.mlp.${gated_mlp ? "out" : "fc_out"}`);
    const written = linear(at(`${name}.out.hook_in`, hidden), weight, bias, [length, d_model]);
    return at(`${name}.hook_out`, at(`${name}.out.hook_out`, written));
  }

  #head(read) {
    return linear(read, this.weights["head.weight"], null, [read.shape[0], this.config.d_vocab_out]);
  }

  #parameters(name) {
    return { weight: this.weights[`${name}.weight`], bias: this.weights[`${name}.bias`] };
  }
}

function copied({ shape, data }) {
  return { shape, data: data.slice() };
}

/**
 * The keys and values of the first `length` tokens alone; shares their memory.
 * @param {Past} past
 * @param {number} length
 * @returns {Past | null} null for no tokens
 */
export function shortened(past, length) {
  if (!length) return null;
  const first = (values) => values.subarray(0, (values.length / past.length) * length);
  return { length, layers: past.layers.map(({ k, v }) => ({ k: first(k), v: first(v) })) };
}
