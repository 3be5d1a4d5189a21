/* Weight files for lens.js. */

import { count } from "./lens_parts.js";

/** @typedef {import("./lens.js").Tensor} Tensor */

const BYTES = { F16: 2, BF16: 2, F32: 4, I8: 1 };
const SCALE = ".scale"; // follows the name of the matrix in 8 bits that the scales belong to

/**
 * Reads a safetensors file. Half precision becomes single precision, and so do whole numbers of 8 bits: a matrix `X`
 * times `X.scale`, one number for each row.
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
    if (!(dtype in BYTES)) throw new Error(`${name} is stored as ${dtype}; only F16, BF16, F32 and I8 can be read.`);
    const [from, to] = offsets;
    if (!(to - from === count(shape) * BYTES[dtype])) throw damaged(`the size of ${name} does not fit its shape`);
    if (begin + to > buffer.byteLength) throw damaged(`it ends before ${name} does`);
    end = Math.max(end, begin + to);
    tensors[name] = { shape, data: floats(buffer.slice(begin + from, begin + to), dtype) };
  }
  if (end !== buffer.byteLength) throw damaged("bytes are left over at its end");
  return unpacked(tensors, header);
}

/** The tensors with those in 8 bits multiplied by their scales, which have done their work then. */
function unpacked(tensors, header) {
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (header[name].dtype !== "I8") continue;
    const scale = tensors[name + SCALE]?.data;
    const width = shape.at(-1);
    if (scale?.length !== data.length / width) {
      throw new Error(`${name} is stored in 8 bits and needs ${name}${SCALE}, a number for each of its rows.`);
    }
    for (let i = 0; i < data.length; i++) data[i] *= scale[Math.floor(i / width)];
    delete tensors[name + SCALE];
  }
  return tensors;
}

function floats(bytes, dtype) {
  if (dtype === "F32") return new Float32Array(bytes);
  if (dtype === "I8") return Float32Array.from(new Int8Array(bytes));
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

