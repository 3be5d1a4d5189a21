/* The page's half of tests/test_labs_lens.py: runs book/labs/lens.js and says where it differs from the expected. */

import { HookedTransformer, parseSafetensors } from "./labs/lens.js";
import * as measure from "./labs/measure.js";

const TOLERANCE = 1e-4; // of the largest entry of an activation, or of 1 where all are smaller
const MASKED = 1e30; // scores of keys that come later are more

const tensorsOf = async (path) => parseSafetensors(await (await fetch(path)).arrayBuffer());
const models = new Map();

/** The model of a folder; `changes` to its configuration make another one. */
export async function open(name, changes = {}) {
  const key = name + JSON.stringify(changes);
  if (!models.has(key)) {
    const config = await (await fetch(`${name}/config.json`)).json();
    models.set(key, new HookedTransformer({ ...config, ...changes }, await tensorsOf(`${name}/weights.safetensors`)));
  }
  return models.get(key);
}

/** Lists of numbers, as JSON brings them, become arrays of floats. */
function revived(hooks) {
  const array = (value) => (Array.isArray(value) ? Float32Array.from(value) : value);
  return hooks.map(({ replace, add, scale, ...rest }) => ({
    ...rest,
    replace: array(replace),
    add: array(add),
    scale: array(scale),
  }));
}

/** What a run gives, in a form to compare: all activations and the logits. */
function outcome(model, tokens, hooks, past = null) {
  const run = model.forward(tokens, { hooks, names: "all", past });
  return { past: run.past, tensors: { ...run.cache, logits: run.logits } };
}

/** Compares a run with the one that TransformerLens wrote; gives the names that differ and the largest difference. */
export async function compare(name, run, changes = {}) {
  const { tokens, hooks } = await (await fetch(`${name}/${run}.json`)).json();
  const model = await open(name, changes);
  const expected = await tensorsOf(`${name}/${run}.safetensors`);
  const found = differences(outcome(model, tokens, revived(hooks)).tensors, expected);
  found.extra.push(...model.hookNames().filter((listed) => !(listed in expected)));
  return found;
}

/** Compares a run in parts, each continuing the one before, with the same run at once. */
export async function compareParts(name, run, sizes) {
  const { tokens, hooks } = await (await fetch(`${name}/${run}.json`)).json();
  const model = await open(name);
  const whole = outcome(model, tokens, revived(hooks)).tensors;
  const problems = { missing: [], extra: [], wrong: [], worst: 0 };
  let past = null;
  let start = 0;
  for (const size of sizes) {
    const before = past && JSON.stringify(past);
    const edits = hooks.flatMap((hook) => reaching(hook, start + size));
    const part = outcome(model, tokens.slice(start, start + size), revived(edits), past);
    const expected = Object.entries(whole).map(([key, tensor]) => [key, slice(key, tensor, start, size)]);
    const found = differences(part.tensors, Object.fromEntries(expected));
    for (const kind of ["missing", "extra", "wrong"]) problems[kind].push(...found[kind]);
    problems.worst = Math.max(problems.worst, found.worst);
    if (past && JSON.stringify(past) !== before) problems.wrong.push("the past was changed");
    past = part.past;
    start += size;
  }
  return problems;
}

/** A hook without the positions that are not there yet; `replace` brings a row for each, if it is a list. */
function reaching(hook, total) {
  if (hook.position === undefined) return [hook];
  const given = [hook.position].flat();
  const position = given.filter((index) => index < total);
  if (!position.length) return [];
  if (position.length === given.length || !Array.isArray(hook.replace)) return [{ ...hook, position }];
  const width = hook.replace.length / given.length;
  return [{ ...hook, position, replace: hook.replace.slice(0, width * position.length) }];
}

/** The rows of `size` positions from `start` on; patterns lose the keys that come later. */
function slice(name, { shape, data }, start, size) {
  if (!/hook_(pattern|attn_scores)$/.test(name)) {
    const width = data.length / shape[0];
    return { shape: [size, ...shape.slice(1)], data: data.slice(start * width, (start + size) * width) };
  }
  const [heads, length] = shape;
  const keys = start + size;
  const kept = [];
  for (let head = 0; head < heads; head++) {
    for (let query = start; query < keys; query++) {
      const from = (head * length + query) * length;
      kept.push(...data.slice(from, from + keys));
    }
  }
  return { shape: [heads, size, keys], data: Float32Array.from(kept) };
}

function differences(found, expected) {
  const problems = {
    missing: Object.keys(expected).filter((name) => !(name in found)),
    extra: Object.keys(found).filter((name) => !(name in expected)),
    wrong: [],
    worst: 0,
  };
  for (const [name, { shape, data }] of Object.entries(expected)) {
    if (!(name in found)) continue;
    if (String(shape) !== String(found[name].shape)) problems.wrong.push(`${name} has shape [${found[name].shape}]`);
    const isMasked = (value) => Math.abs(value) > MASKED;
    const largest = data.reduce((most, value) => (isMasked(value) ? most : Math.max(most, Math.abs(value))), 1);
    const between = (a, b) => (a === b ? 0 : Math.abs(a - b) / (isMasked(a) ? Math.abs(a) : largest));
    const off = data.reduce((most, value, i) => Math.max(most, between(value, found[name].data[i])), 0);
    if (!(off <= TOLERANCE)) problems.wrong.push(`${name} by ${off}`); // also for what is not a number
    problems.worst = Math.max(problems.worst, off);
  }
  return problems;
}

/** What a measurement gives, its typed arrays as lists. */
export async function measured(name, measurement, options) {
  const result = measure[measurement](await open(name), { ...options, hooks: revived(options.hooks ?? []) });
  return JSON.parse(JSON.stringify(result, (_, value) => (value instanceof Float32Array ? [...value] : value)));
}

/** The message of the error that a run, a model or a file ends in; null if it does not. */
export async function failure({ name, changes = {}, drop = null, stray = null, tokens = [1, 2, 3], options = {} }) {
  try {
    let model = await open(name);
    if (Object.keys(changes).length || drop || stray) {
      const weights = { ...model.weights };
      if (drop) delete weights[drop];
      if (stray) weights[stray] = { shape: [1], data: new Float32Array(1) };
      model = new HookedTransformer({ ...model.config, ...changes }, weights);
    }
    model.forward(tokens, { ...options, hooks: revived(options.hooks ?? []) });
    return null;
  } catch (error) {
    return error.message;
  }
}

/** The numbers of a weight file, or the message it ends in. */
export async function numbers(path) {
  try {
    return Object.fromEntries(Object.entries(await tensorsOf(path)).map(([name, { data }]) => [name, [...data]]));
  } catch (error) {
    return error.message;
  }
}

/** The names kept when `names` are asked for, and whether a run after one with hooks gives what it gave before. */
export async function keeping(name, tokens, names) {
  const model = await open(name);
  const logits = () => String(model.forward(tokens).logits.data);
  const before = logits();
  const edit = (tensor) => tensor.data.fill(3);
  const { cache } = model.forward(tokens, { names, hooks: names.map((hooked) => ({ name: hooked, edit })) });
  const edited = names.every((hooked) => cache[hooked].data.every((value) => value === 3));
  return [Object.keys(cache).sort((a, b) => names.indexOf(a) - names.indexOf(b)), edited && logits() === before];
}

/** The message of the error that a module ends in; null if it runs to its end. */
export async function failureOf(module) {
  try {
    await import(module);
    return null;
  } catch (error) {
    return error.message;
  }
}
