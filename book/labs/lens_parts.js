/* The arithmetic of lens.js: products, norms, attention, experts, on tensors `{shape, data}` in row-major order. */

/** @typedef {import("./lens.js").Tensor} Tensor */

/* ---- products and activations ---- */

export function count(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

export function make(...shape) {
  return { shape, data: new Float32Array(count(shape)) };
}

/**
 * Rows of `input` times the transpose of `weight` [out, in], plus `bias`; `shape` is the result's, [rows, ...out].
 * Both factors are read along their rows. Two rows and four outputs at a time share what they load; every sum runs in
 * the same order whatever the number of rows, so that a run with a past gives the very numbers of a full run.
 */
export function linear(input, weight, bias, shape) {
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

export function dot(a, fromA, b, fromB, length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[fromA + i] * b[fromB + i];
  return sum;
}

export function sum(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value + b.data[i]) };
}

/** The rows of a table [id, width] that `ids` name. */
export function rows(table, ids) {
  const width = table.shape[1];
  const output = make(ids.length, width);
  ids.forEach((id, row) => output.data.set(table.data.subarray(id * width, (id + 1) * width), row * width));
  return output;
}

/** Turns `row` into its softmax. */
export function softmax(row) {
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
export const ACTIVATIONS = {
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

export function rootMeanSquare({ shape, data }, eps) {
  const [length, width] = shape;
  const output = make(length, 1);
  for (let row = 0; row < length; row++) {
    output.data[row] = Math.sqrt(dot(data, row * width, data, row * width, width) / width + eps);
  }
  return output;
}

export function divide({ shape, data }, scale) {
  const width = shape[1];
  return { shape, data: data.map((value, i) => value / scale.data[Math.floor(i / width)]) };
}

export function affine({ shape, data }, weight, bias) {
  const width = shape[1];
  return { shape, data: data.map((value, i) => value * weight[i % width] + (bias ? bias[i % width] : 0)) };
}

export function product(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value * b.data[i]) };
}

/* ---- attention ---- */

/** Cosines and sines [position, pair]: pair i turns by position / base^(2i / rotary_dim). Source: Su et al. (2021). */
export function rotation({ n_ctx, d_head, rotary_dim, rotary_base }) {
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

/**
 * [position, head, d_head] with pairs of coordinates turned by their position; coordinates left over stay. A pair is
 * two neighbours or, with `halves`, a coordinate of the first half and the same one of the second.
 */
export function rotated({ shape, data }, { pairs, cos, sin }, start, halves) {
  const [step, apart] = halves ? [1, pairs] : [2, 1];
  const [length, heads, width] = shape;
  const output = data.slice();
  for (let row = 0; row < length; row++) {
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * width;
      for (let pair = 0; pair < pairs; pair++) {
        const c = cos[(start + row) * pairs + pair];
        const s = sin[(start + row) * pairs + pair];
        const at = from + step * pair;
        const x = data[at];
        const y = data[at + apart];
        output[at] = x * c - y * s;
        output[at + apart] = y * c + x * s;
      }
    }
  }
  return { shape, data: output };
}

export function joined(past, data) {
  if (!past) return data;
  const both = new Float32Array(past.length + data.length);
  both.set(past);
  both.set(data, past.length);
  return both;
}

/**
 * Scores [head, query, key] of queries [query, head, d_head], the first at position `start`, and keys from 0 on. Keys
 * that come later have the score `later`.
 */
export function attentionScores(q, k, keyHeads, start, later) {
  const [length, heads, width] = q.shape;
  const keys = start + length;
  const group = heads / keyHeads; // query heads that share a key head
  const scores = make(heads, length, keys);
  scores.data.fill(later);
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
export function attentionPattern({ shape, data }) {
  const pattern = { shape, data: data.slice() };
  const keys = shape.at(-1);
  for (let from = 0; from < data.length; from += keys) softmax(pattern.data.subarray(from, from + keys));
  return pattern;
}

/** Values mixed by attention, [query, head, d_head]; with `start`, keys after the query are known to weigh nothing. */
export function mixedValues(pattern, v, valueHeads, width, start) {
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

/* ---- experts ---- */

/**
 * Turns the router's logits for one token into the weights of its experts: the softmax, of which the `choices` largest
 * are kept and scaled to sum to 1. Source: Jiang et al. (2024), section 2.1.
 */
export function route(row, choices) {
  softmax(row);
  const best = largest(row, choices);
  const total = best.reduce((sum, expert) => sum + row[expert], 0);
  row.forEach((share, expert) => (row[expert] = best.includes(expert) ? share / total : 0));
}

/** Router logits [position, expert] as the weights of the experts. */
export function routes({ shape, data }, choices) {
  const weights = { shape, data: data.slice() };
  for (let from = 0; from < data.length; from += shape[1]) route(weights.data.subarray(from, from + shape[1]), choices);
  return weights;
}

/** The experts with the largest weights, [position, choice], the largest first. */
export function chosenExperts({ shape: [length, experts], data }, choices) {
  const output = make(length, choices);
  for (let row = 0; row < length; row++) {
    output.data.set(largest(data.subarray(row * experts, (row + 1) * experts), choices), row * choices);
  }
  return output;
}

/** Where the `count` largest numbers stand, the largest first; of equals the first. */
function largest(row, count) {
  return Array.from(row, (_, at) => at)
    .sort((a, b) => row[b] - row[a] || a - b)
    .slice(0, count);
}

/**
 * What chosen experts write, weighted and summed. An expert computes `(act(x W_gate) · x W_up) W_down`.
 * @param {Tensor} input [position, d_model]
 * @param {{weights: Tensor, chosen: Tensor}} routing [position, expert]; [position, choice]
 * @param {{gateUp: Tensor, down: Tensor}} experts [expert, 2 · d_mlp, d_model], the gate's rows first;
 *   [expert, d_model, d_mlp]
 * @param {function(Tensor): Tensor} activate
 */
export function mixedExperts(input, { weights, chosen }, { gateUp, down }, activate) {
  const [count, d_model, d_mlp] = down.shape;
  const [length, choices] = chosen.shape;
  const output = make(length, d_model);
  const part = ({ data }, index, out, deep) => ({
    shape: [out, deep],
    data: data.subarray(index * out * deep, (index + 1) * out * deep),
  });
  for (let expert = 0; expert < count; expert++) {
    const weightAt = (row) => weights.data[row * count + expert];
    const isGiven = (row) => chosen.data.subarray(row * choices, (row + 1) * choices).includes(expert);
    const given = Array.from({ length }, (_, row) => row).filter((row) => isGiven(row) && weightAt(row) !== 0);
    if (!given.length) continue;
    const read = rows(input, given);
    const [gate, up] = [2 * expert, 2 * expert + 1].map((half) =>
      linear(read, part(gateUp, half, d_mlp, d_model), null, [given.length, d_mlp]),
    );
    const hidden = product(activate(gate), up);
    const written = linear(hidden, part(down, expert, d_model, d_mlp), null, [given.length, d_model]).data;
    given.forEach((row, at) => {
      for (let i = 0; i < d_model; i++) output.data[row * d_model + i] += weightAt(row) * written[at * d_model + i];
    });
  }
  return output;
}
