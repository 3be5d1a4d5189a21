/* A transformer in the page whose every activation can be read and edited.

   The models are those of TransformerLens' `boot_native`: same configuration fields, same weight names, same names and
   shapes of activations (without the batch axis), same effect of hooks. No dependencies; runs on the page or in a
   worker. The documentation is book/lens_js.md, and tests/test_labs_lens.py holds it to TransformerLens' numbers. */

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
 *   other keys of a row share it
 * @property {(tensor: Tensor) => void} [edit] changes a copy of the whole activation in place
 * @typedef {{length: number, layers: {k: Float32Array, v: Float32Array}[]}} Past keys and values of earlier tokens
 */

/* ---- weight files ---- */

const BYTES = { F16: 2, BF16: 2, F32: 4 };

/**
 * Reads a safetensors file; half precision becomes single precision.
 * @param {ArrayBuffer} buffer the whole file
 * @returns {Object<string, Tensor>}
 * @throws {Error} if the file is damaged or holds another kind of numbers
 */
export function parseSafetensors(buffer) {
  const damaged = (what) => new Error(`The weight file is damaged: ${what}. Fetch it again.`);
  if (buffer.byteLength < 8) throw damaged("it is shorter than its own header");
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const begin = 8 + size;
  if (begin > buffer.byteLength) throw damaged("it ends inside its header");
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 8, size)));
  } catch {
    throw damaged("its header cannot be read");
  }
  if (!(header instanceof Object) || Array.isArray(header)) throw damaged("its header cannot be read");
  const tensors = {};
  let end = begin;
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    if (!(dtype && Array.isArray(shape) && Array.isArray(offsets))) throw damaged(`${name} is not described in full`);
    if (!(dtype in BYTES)) throw new Error(`${name} is stored as ${dtype}; only F16, BF16 and F32 can be read.`);
    const [from, to] = offsets;
    if (!(to - from === count(shape) * BYTES[dtype])) throw damaged(`the size of ${name} does not fit its shape`);
    if (begin + to > buffer.byteLength) throw damaged(`it ends before ${name} does`);
    end = Math.max(end, begin + to);
    tensors[name] = { shape, data: floats(buffer.slice(begin + from, begin + to), dtype) };
  }
  if (end !== buffer.byteLength) throw damaged("bytes are left over at its end");
  return tensors;
}

function floats(bytes, dtype) {
  if (dtype === "F32") return new Float32Array(bytes);
  const half = new Uint16Array(bytes);
  const bits = new Uint32Array(half.length);
  const widen = dtype === "BF16" ? (value) => value << 16 : float16Bits;
  for (let i = 0; i < half.length; i++) bits[i] = widen(half[i]);
  return new Float32Array(bits.buffer);
}

/** The bits of a half-precision number as those of the same single-precision number. */
function float16Bits(half) {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  let fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13); // infinite, or not a number
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  let shift = 113; // below the smallest normal half: normal in single precision
  while (!(fraction & 0x400)) {
    fraction <<= 1;
    shift--;
  }
  return sign | (shift << 23) | ((fraction & 0x3ff) << 13);
}

/* ---- arithmetic ---- */

function count(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

function make(...shape) {
  return { shape, data: new Float32Array(count(shape)) };
}

/**
 * Rows of `input` times the transpose of `weight` [out, in], plus `bias`; `shape` is the result's, [rows, ...out].
 * Both factors are read along their rows. Two rows and four outputs at a time share what they load; every sum runs in
 * the same order whatever the number of rows, so that a run with a past gives the very numbers of a full run.
 */
function linear(input, weight, bias, shape) {
  const [rows] = shape;
  const [wide, deep] = weight.shape;
  const output = make(...shape);
  const x = input.data;
  const w = weight.data;
  const y = output.data;
  const pairs = rows - (rows % 2);
  const quads = wide - (wide % 4);
  for (let out = 0; out < quads; out += 4) {
    const w0 = out * deep;
    const w1 = w0 + deep;
    const w2 = w1 + deep;
    const w3 = w2 + deep;
    for (let row = 0; row < pairs; row += 2) {
      const x0 = row * deep;
      const x1 = x0 + deep;
      let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let k = 0; k < deep; k++) {
        const a = x[x0 + k];
        const b = x[x1 + k];
        const c0 = w[w0 + k];
        const c1 = w[w1 + k];
        const c2 = w[w2 + k];
        const c3 = w[w3 + k];
        a0 += a * c0;
        a1 += a * c1;
        a2 += a * c2;
        a3 += a * c3;
        b0 += b * c0;
        b1 += b * c1;
        b2 += b * c2;
        b3 += b * c3;
      }
      const y0 = row * wide + out;
      const y1 = y0 + wide;
      y[y0] = a0;
      y[y0 + 1] = a1;
      y[y0 + 2] = a2;
      y[y0 + 3] = a3;
      y[y1] = b0;
      y[y1 + 1] = b1;
      y[y1 + 2] = b2;
      y[y1 + 3] = b3;
    }
  }
  for (let row = 0; row < rows; row++) {
    for (let out = row < pairs ? quads : 0; out < wide; out++) {
      y[row * wide + out] = dot(x, row * deep, w, out * deep, deep);
    }
  }
  if (bias) for (let i = 0; i < y.length; i++) y[i] += bias.data[i % wide];
  return output;
}

function dot(a, fromA, b, fromB, length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[fromA + i] * b[fromB + i];
  return sum;
}

function sum(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value + b.data[i]) };
}

/** The rows of a table [id, width] that `ids` name. */
function rows(table, ids) {
  const width = table.shape[1];
  const output = make(ids.length, width);
  ids.forEach((id, row) => output.data.set(table.data.subarray(id * width, (id + 1) * width), row * width));
  return output;
}

/** Turns `row` into its softmax. */
function softmax(row) {
  let most = -Infinity;
  for (let i = 0; i < row.length; i++) most = Math.max(most, row[i]);
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i] = Math.exp(row[i] - most);
  for (let i = 0; i < row.length; i++) row[i] /= total;
}

/** The error function to 2e-7. Source: Abramowitz and Stegun (1964), formula 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const pointwise = (f) => (tensor) => ({ shape: tensor.shape, data: tensor.data.map(f) });
const silu = pointwise((x) => x / (1 + Math.exp(-x)));
const ACTIVATIONS = {
  relu: pointwise((x) => Math.max(x, 0)),
  gelu: pointwise((x) => (x / 2) * (1 + erf(x / Math.SQRT2))),
  gelu_new: pointwise((x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  silu,
  swish: silu,
  solu: (tensor) => {
    const share = tensor.data.slice();
    const width = tensor.shape[1];
    for (let i = 0; i < share.length; i += width) softmax(share.subarray(i, i + width));
    return { shape: tensor.shape, data: share.map((value, i) => value * tensor.data[i]) };
  },
};

/* ---- the model ---- */

// The fields that the computation reads, with TransformerBridgeConfig's defaults.
const DEFAULTS = {
  act_fn: "relu",
  attn_only: false,
  eps: 1e-5,
  final_rms: false,
  gated_mlp: false,
  n_key_value_heads: null,
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

/** Name and shape of every weight of a NativeModel. */
function weightShapes(config) {
  const { d_model, d_head, d_mlp, n_heads, n_key_value_heads, normalization_type } = config;
  const shapes = new Map([["tok_embed.weight", [config.d_vocab, d_model]]]);
  const affine = (name, wide, deep) => shapes.set(`${name}.weight`, [wide, deep]).set(`${name}.bias`, [wide]);
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
    if (config.gated_mlp) {
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
  for (let layer = 0; layer < config.n_layers; layer++) {
    const at = `blocks.${layer}`;
    add(`${at}.hook_in`, `${at}.hook_resid_pre`);
    norm(`${at}.ln1`, config.normalization_type);
    add(`${at}.attn.hook_in`);
    for (const letter of ["q", "k", "v"]) {
      add(`${at}.attn.${letter}.hook_in`);
      add(`${at}.attn.${letter}.hook_out`, `${at}.attn.hook_${letter}`, HEADS);
    }
    add(`${at}.attn.hook_pattern`, null, PATTERN);
    add(`${at}.attn.o.hook_in`, `${at}.attn.hook_z`, HEADS);
    add(`${at}.attn.o.hook_out`);
    add(`${at}.attn.hook_out`, `${at}.hook_attn_out`);
    const copy = `is a copy of the pattern here, as in TransformerLens: edit ${at}.attn.hook_pattern instead`;
    add(`${at}.attn.hook_attn_scores`, null, PATTERN, copy);
    if (!config.attn_only) {
      norm(`${at}.ln2`, config.normalization_type, `${at}.hook_resid_mid`);
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

/** A transformer as TransformerLens' `boot_native` builds it. */
export class HookedTransformer {
  #points; // by TransformerLens' own name
  #byName; // the same by every name
  #rotation; // cosines and sines [position, pair], for rotary positions

  /**
   * @param {object} config the fields of a TransformerBridgeConfig ("architecture" in a model's config.json)
   * @param {Object<string, Tensor>} weights by the names of TransformerLens' NativeModel, as `parseSafetensors` gives
   * @throws {Error} if a field asks for something that is not written here, or the weights do not fit
   */
  constructor(config, weights) {
    /** The configuration with defaults filled in. */
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
    const layers = [];
    for (let layer = 0; layer < config.n_layers; layer++) {
      stream = at(`blocks.${layer}.hook_in`, stream);
      const read = this.#norm(`blocks.${layer}.ln1`, `layers.${layer}.ln1`, config.normalization_type, stream, at);
      const { output, k, v } = this.#attention(layer, read, past?.layers[layer], start, at);
      layers.push({ k, v });
      stream = sum(stream, output);
      if (!config.attn_only) stream = sum(stream, this.#mlp(layer, stream, at));
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
   * pattern comes with the scores that it was made from.
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
    return (name, tensor, scores = null) => {
      const point = this.#points.get(name);
      if (edits.has(point)) {
        tensor = { shape: tensor.shape, data: tensor.data.slice() };
        for (const hook of edits.get(point)) {
          applyHook(hook, tensor, point.axes, start, total, scores);
          if (!hook.without) scores = null; // the pattern is no longer what they make it
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

  #attention(layer, read, past, start, at) {
    const { n_heads, n_key_value_heads, d_head, d_model } = this.config;
    const name = `blocks.${layer}.attn`;
    const length = read.shape[0];
    const input = at(`${name}.hook_in`, read);
    const project = (letter, heads) => {
      const { weight, bias } = this.#parameters(`layers.${layer}.attn.${letter}`);
      const from = at(`${name}.${letter}.hook_in`, input);
      return at(`${name}.${letter}.hook_out`, linear(from, weight, bias, [length, heads, d_head]));
    };
    const place = (tensor) => (this.#rotation ? rotated(tensor, this.#rotation, start) : tensor);
    const q = place(project("q", n_heads));
    const k = joined(past?.k, place(project("k", n_key_value_heads)).data);
    const v = joined(past?.v, project("v", n_key_value_heads).data);
    const scores = attentionScores(q, k, n_key_value_heads, start);
    const computed = attentionPattern(scores);
    const pattern = at(`${name}.hook_pattern`, computed, scores);
    const causal = pattern === computed; // an edited pattern may look at any key of the run
    const z = at(`${name}.o.hook_in`, mixedValues(pattern, v, n_key_value_heads, d_head, causal ? start : null));
    const { weight, bias } = this.#parameters(`layers.${layer}.attn.o`);
    const written = at(`${name}.o.hook_out`, linear(z, weight, bias, [length, d_model]));
    const output = at(`${name}.hook_out`, written);
    at(`${name}.hook_attn_scores`, pattern);
    return { output, k, v };
  }

  #mlp(layer, stream, at) {
    const { d_mlp, d_model, act_fn, gated_mlp, normalization_type } = this.config;
    const name = `blocks.${layer}.mlp`;
    const read = this.#norm(`blocks.${layer}.ln2`, `layers.${layer}.ln2`, normalization_type, stream, at);
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

/* ---- norms ---- */

/** Each row minus its mean. */
export function centre({ shape, data }) {
  const width = shape.at(-1);
  const output = make(...shape);
  for (let from = 0; from < data.length; from += width) {
    let mean = 0;
    for (let i = 0; i < width; i++) mean += data[from + i];
    mean /= width;
    for (let i = 0; i < width; i++) output.data[from + i] = data[from + i] - mean;
  }
  return output;
}

function rootMeanSquare({ shape, data }, eps) {
  const [length, width] = shape;
  const output = make(length, 1);
  for (let row = 0; row < length; row++) {
    output.data[row] = Math.sqrt(dot(data, row * width, data, row * width, width) / width + eps);
  }
  return output;
}

function divide({ shape, data }, scale) {
  const width = shape[1];
  return { shape, data: data.map((value, i) => value / scale.data[Math.floor(i / width)]) };
}

function affine({ shape, data }, weight, bias) {
  const width = shape[1];
  return { shape, data: data.map((value, i) => value * weight[i % width] + (bias ? bias[i % width] : 0)) };
}

function product(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value * b.data[i]) };
}

/* ---- attention ---- */

/** Cosines and sines [position, pair]: pair i turns by position / base^(2i / rotary_dim). Source: Su et al. (2021). */
function rotation({ n_ctx, d_head, rotary_dim, rotary_base }) {
  const pairs = rotary_dim / 2;
  if (!(Number.isInteger(pairs) && pairs >= 1 && rotary_dim <= d_head)) {
    throw new Error(`rotary_dim must be an even number from 2 to d_head, not ${rotary_dim}.`);
  }
  const cos = new Float32Array(n_ctx * pairs);
  const sin = new Float32Array(n_ctx * pairs);
  for (let pair = 0; pair < pairs; pair++) {
    const speed = Math.fround(rotary_base ** ((-2 * pair) / rotary_dim));
    for (let position = 0; position < n_ctx; position++) {
      const angle = Math.fround(position * speed); // in single precision, like the reference
      cos[position * pairs + pair] = Math.cos(angle);
      sin[position * pairs + pair] = Math.sin(angle);
    }
  }
  return { pairs, cos, sin };
}

/** [position, head, d_head] with neighbouring coordinates turned by their position; coordinates left over stay. */
function rotated({ shape, data }, { pairs, cos, sin }, start) {
  const [length, heads, width] = shape;
  const output = data.slice();
  for (let row = 0; row < length; row++) {
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * width;
      for (let pair = 0; pair < pairs; pair++) {
        const c = cos[(start + row) * pairs + pair];
        const s = sin[(start + row) * pairs + pair];
        const x = data[from + 2 * pair];
        const y = data[from + 2 * pair + 1];
        output[from + 2 * pair] = x * c - y * s;
        output[from + 2 * pair + 1] = y * c + x * s;
      }
    }
  }
  return { shape, data: output };
}

function joined(past, data) {
  if (!past) return data;
  const both = new Float32Array(past.length + data.length);
  both.set(past);
  both.set(data, past.length);
  return both;
}

/** Scores [head, query, key] of queries [query, head, d_head], the first at position `start`, and keys from 0 on. */
function attentionScores(q, k, keyHeads, start) {
  const [length, heads, width] = q.shape;
  const keys = start + length;
  const group = heads / keyHeads; // query heads that share a key head
  const scores = make(heads, length, keys);
  scores.data.fill(-Infinity); // what later keys keep
  const root = Math.sqrt(width);
  for (let head = 0; head < heads; head++) {
    const keyHead = Math.floor(head / group);
    for (let query = 0; query < length; query++) {
      const from = (head * length + query) * keys;
      const at = (query * heads + head) * width;
      for (let key = 0; key <= start + query; key++) {
        scores.data[from + key] = dot(q.data, at, k, (key * keyHeads + keyHead) * width, width) / root;
      }
    }
  }
  return scores;
}

/** The softmax of scores over the keys. */
function attentionPattern({ shape, data }) {
  const pattern = { shape, data: data.slice() };
  const keys = shape.at(-1);
  for (let from = 0; from < data.length; from += keys) softmax(pattern.data.subarray(from, from + keys));
  return pattern;
}

/** Values mixed by attention, [query, head, d_head]; with `start`, keys after the query are known to weigh nothing. */
function mixedValues(pattern, v, valueHeads, width, start) {
  const [heads, length, keys] = pattern.shape;
  const group = heads / valueHeads;
  const z = make(length, heads, width);
  const mixed = new Float64Array(width);
  for (let head = 0; head < heads; head++) {
    const valueHead = Math.floor(head / group);
    for (let query = 0; query < length; query++) {
      const last = start === null ? keys : start + query + 1;
      mixed.fill(0);
      for (let key = 0; key < last; key++) {
        const weight = pattern.data[(head * length + query) * keys + key];
        const from = (key * valueHeads + valueHead) * width;
        for (let i = 0; i < width; i++) mixed[i] += weight * v[from + i];
      }
      z.data.set(mixed, (query * heads + head) * width);
    }
  }
  return z;
}

/* ---- hooks ---- */

const OPERATIONS = {
  replace: (_, given) => given,
  add: (old, given) => old + given,
  scale: (old, given) => old * given,
};

/** Carries out one hook on `tensor`, whose positions begin at `start`; earlier ones were edited when they ran. */
function applyHook(hook, tensor, axes, start, total, scores) {
  const kinds = [...Object.keys(OPERATIONS), "hold", "without", "edit"].filter((kind) => hook[kind] !== undefined);
  if (kinds.length !== 1) {
    throw new Error(`The hook on ${hook.name} needs exactly one of replace, add, scale, hold, without and edit.`);
  }
  const [kind] = kinds;
  if (kind === "edit") {
    if (hook.head !== undefined || hook.position !== undefined) {
      throw new Error(`An edit function gets all of ${hook.name}: leave head and position out, and choose inside it.`);
    }
    return void hook.edit(tensor);
  }
  const heads = chosenHeads(hook, tensor, axes);
  const positions = chosen(hook, "position", total);
  const offsets = rowOffsets(tensor, axes, heads, positions, start);
  if (kind === "hold") hold(hook, tensor, offsets);
  else if (kind === "without") withoutKeys(hook, tensor, axes, offsets, scores);
  else write(hook, tensor, offsets, OPERATIONS[kind], hook[kind]);
}

/** Moves rows along a vector, the shortest way to where their dot product with it is as given. */
function hold({ name, hold: { along, at } }, { shape, data }, offsets) {
  const width = shape.at(-1);
  if (along.length !== width) {
    throw new Error(`The hook on ${name} holds along ${along.length} numbers; a row has ${width}.`);
  }
  const square = dot(along, 0, along, 0, width);
  for (const from of offsets.filter((offset) => offset !== null)) {
    const step = (at - dot(data, from, along, 0, width)) / square;
    for (let i = 0; i < width; i++) data[from + i] += step * along[i];
  }
}

/**
 * Takes the weight off some keys of attention rows: before the softmax, as a sharp head's other keys have no weight in
 * single precision that could be shared; where another hook has changed the row, what is left is scaled to sum to 1.
 */
function withoutKeys({ name, without }, { shape, data }, axes, offsets, scores) {
  if (axes.at(-1) !== "key") throw new Error(`${name} cannot do without keys: only attention patterns have them.`);
  const width = shape.at(-1);
  const keys = chosen({ name, key: without }, "key", width);
  const cut = (values, nothing) => {
    for (const key of keys) values[key] = nothing;
    if (values.every((value) => value === nothing)) throw new Error(`${name} is left without any key to look at.`);
  };
  for (const from of offsets.filter((offset) => offset !== null)) {
    const row = data.subarray(from, from + width);
    if (scores) {
      const scored = scores.data.subarray(from, from + width);
      cut(scored, -Infinity);
      row.set(scored);
      softmax(row);
    } else {
      cut(row, 0);
      const left = row.reduce((total, weight) => total + weight, 0);
      row.forEach((weight, key) => (row[key] = weight / left));
    }
  }
}

function chosenHeads(hook, tensor, axes) {
  const axis = axes.indexOf("head");
  if (axis >= 0) return chosen(hook, "head", tensor.shape[axis]);
  if (hook.head !== undefined) throw new Error(`${hook.name} has no heads to choose from.`);
  return [0];
}

/** The indices a hook names along an axis of `size` entries. */
function chosen(hook, axis, size) {
  if (hook[axis] === undefined) return Array.from({ length: size }, (_, i) => i);
  const indices = [hook[axis]].flat();
  const wrong = indices.find((index) => !(Number.isInteger(index) && index >= 0 && index < size));
  if (wrong !== undefined) {
    throw new Error(`${hook.name} has no ${axis} ${wrong}: there are ${size}, counted from 0.`);
  }
  return indices;
}

/** Where the chosen rows (the last axis) begin, in the order of the tensor's axes; null for those in the past. */
function rowOffsets({ shape }, axes, heads, positions, start) {
  const offset = (head, position) => {
    if (position < start) return null;
    if (axes[0] === "head") return (head * shape[1] + position - start) * shape[2];
    if (axes[1] === "head") return ((position - start) * shape[1] + head) * shape[2];
    return (position - start) * shape[1];
  };
  if (axes[0] === "head") return heads.flatMap((head) => positions.map((position) => offset(head, position)));
  return positions.flatMap((position) => heads.map((head) => offset(head, position)));
}

function write(hook, { shape, data }, offsets, operation, given) {
  const width = shape.at(-1);
  const isNumber = typeof given === "number";
  if (!isNumber && given.length !== width && given.length !== width * offsets.length) {
    throw new Error(
      `The hook on ${hook.name} brings ${given.length} numbers; it can take 1, ${width} for every row alike, or ` +
        `${width * offsets.length} for all its rows.`
    );
  }
  const step = !isNumber && given.length > width ? width : 0;
  offsets.forEach((from, row) => {
    if (from === null) return;
    for (let i = 0; i < width; i++) {
      data[from + i] = operation(data[from + i], isNumber ? given : given[row * step + i]);
    }
  });
}
