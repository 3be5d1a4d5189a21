/* The edits of lens.js: what a hook, as plain data, does to an activation. */

import { dot } from "./lens_parts.js";

/** @typedef {import("./lens.js").Hook} Hook */
/** @typedef {import("./lens.js").Tensor} Tensor */

const LOWEST = -3.4028234663852886e38; // the least number in single precision: the score of what must not be seen
const OPERATIONS = {
  replace: (_, given) => given,
  add: (old, given) => old + given,
  scale: (old, given) => old * given,
};

/**
 * Carries out one hook on a tensor.
 * @param {Hook} hook
 * @param {Tensor} tensor changed in place
 * @param {{axes: string[], start: number, total: number, source: Source | null}} about the names of its axes; the
 *   position it begins at, as earlier ones were edited when they ran; all positions; what it was made from
 * @typedef {{scores: Tensor, decide: function(Float32Array): void, least: number}} Source of a pattern or a router's
 *   weights: of the tensor's shape; what turns a row of scores into a row of the tensor; how many entries of a row must
 *   have a score
 */
export function applyHook(hook, tensor, { axes, start, total, source }) {
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
  else if (kind === "without") without(hook, tensor, axes.at(-1), offsets, source);
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
 * Takes the weight off some keys of attention rows, or some experts of a router's: before the softmax, as beside one
 * sharp entry the others have no weight in single precision that could be shared; where another hook has changed the
 * row, what is left is scaled to sum to 1.
 */
function without({ name, without: barred }, { shape, data }, axis, offsets, source) {
  if (axis !== "key" && axis !== "expert") {
    throw new Error(`${name} cannot do without keys: only attention patterns have them, and routers have experts.`);
  }
  const width = shape.at(-1);
  const entries = chosen({ name, [axis]: barred }, axis, width);
  const none = axis === "key" ? "without any key to look at" : "with fewer experts than a token goes to";
  const check = (left) => {
    if (left < (source?.least ?? 1)) throw new Error(`${name} is left ${none}.`);
  };
  for (const from of offsets.filter((offset) => offset !== null)) {
    const row = data.subarray(from, from + width);
    if (source) {
      const scored = source.scores.data.subarray(from, from + width);
      for (const entry of entries) scored[entry] = -Infinity;
      check(scored.filter((score) => score > LOWEST).length);
      row.set(scored);
      source.decide(row);
    } else {
      for (const entry of entries) row[entry] = 0;
      check(row.filter((weight) => weight !== 0).length);
      const left = row.reduce((total, weight) => total + weight, 0);
      row.forEach((weight, entry) => (row[entry] = weight / left));
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
