// What each operation of a TensorFlow graph is to the compiler; names and meanings are TensorFlow's.

import { OP, broken, sizeOf } from './instructions.js';

/** @typedef {import('./graph.js').Compiler} Compiler */
/** @typedef {import('./graph.js').Place} Place */
/** @typedef {Record<string, any>} Attributes */
/** @typedef {(compiler: Compiler, inputs: Place[], attr: Attributes) => Place | Place[]} Operation */

// Keep in step with `combine` and `apply` in assembly/program.ts.
const BINARY = { Add: 0, AddV2: 0, BiasAdd: 0, Sub: 1, Mul: 2, RealDiv: 3, Div: 3, Maximum: 4, Minimum: 5, Pow: 6, SquaredDifference: 7 };
const UNARY = {
  Sigmoid: 0, Tanh: 1, Relu: 2, Relu6: 3, LeakyRelu: 4, Elu: 5, Exp: 6, Log: 7,
  Neg: 8, Square: 9, Sqrt: 10, Rsqrt: 11, Reciprocal: 12, Inv: 12, Abs: 13, Softplus: 14,
};
const REDUCE = { Sum: 0, Mean: 1, Max: 2 };
const LEAK = 0.2;

/** @param {Attributes} attr @param {string} name @param {number} [otherwise] */
const integer = (attr, name, otherwise = 0) => Number(attr[name]?.i ?? otherwise);
/** @param {Attributes} attr @param {string} name */
const flag = (attr, name) => Boolean(attr[name]?.b);

/** Numbers of a constant that shapes depend on. @param {Place} place */
function known(place) {
  if (!place.values) throw broken('a shape or axis that is not constant');
  return Array.from(place.values);
}

/** @param {number} axis @param {number} rank */
const fromFront = (axis, rank) => (axis < 0 ? axis + rank : axis);

/** Steps from one index to the next, per axis. @param {number[]} shape */
function strides(shape) {
  const result = new Array(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) result[i] = result[i + 1] * shape[i + 1];
  return result;
}

/**
 * A view of any regular kind: index i of axis k of the result stands `start[k] + i * step[k]` steps into the source.
 * @param {Place} source @param {number[]} shape @param {number} origin @param {number[]} steps
 */
function sources(source, shape, origin, steps) {
  const result = new Int32Array(sizeOf(shape));
  const inner = strides(shape);
  for (let i = 0; i < result.length; i++) {
    let at = source.at + origin;
    for (let k = 0; k < shape.length; k++) at += (Math.floor(i / inner[k]) % shape[k]) * steps[k];
    result[i] = at;
  }
  return result;
}

/** @param {Compiler} compiler @param {Place} x @param {number[]} begin @param {number[]} size */
function slice(compiler, x, begin, size) {
  const steps = strides(x.shape);
  const origin = begin.reduce((sum, start, k) => sum + start * steps[k], 0);
  const inside = x.shape.every((n, k) => begin[k] >= 0 && size[k] >= 0 && begin[k] + size[k] <= n);
  if (!inside || sizeOf(size) === 0) throw broken(`a slice [${begin}] + [${size}] of [${x.shape}]`);
  return compiler.moved(sources(x, size, origin, steps), size, x);
}

/** @type {Operation} */
function stridedSlice(compiler, [x, begin, end, step], attr) {
  if (integer(attr, 'ellipsis_mask') || integer(attr, 'new_axis_mask')) throw broken('a slice with ellipsis');
  const [starts, ends, by] = [known(begin), known(end), known(step)];
  const full = strides(x.shape);
  /** @type {number[]} */ const shape = [];
  /** @type {number[]} */ const steps = [];
  let origin = 0;
  x.shape.forEach((n, k) => {
    const [from, count, stride] = bounds(n, k, { starts, ends, by, attr });
    origin += from * full[k];
    if ((integer(attr, 'shrink_axis_mask') >> k) & 1) return;
    shape.push(count);
    steps.push(stride * full[k]);
  });
  if (sizeOf(shape) === 0) throw broken(`an empty slice of [${x.shape}]`);
  return compiler.moved(sources(x, shape, origin, steps), shape, x);
}

/**
 * First index, number of indices and step of one axis of a strided slice.
 * @param {number} n @param {number} k
 * @param {{starts: number[], ends: number[], by: number[], attr: Attributes}} slice
 */
function bounds(n, k, { starts, ends, by, attr }) {
  if (k >= starts.length) return [0, n, 1];
  const stride = by[k];
  const limit = stride > 0 ? [0, n] : [-1, n - 1];
  /** @param {number} index */
  const held = (index) => Math.min(Math.max(fromFront(index, n), limit[0]), limit[1]);
  const from = (integer(attr, 'begin_mask') >> k) & 1 ? (stride > 0 ? 0 : n - 1) : held(starts[k]);
  if ((integer(attr, 'shrink_axis_mask') >> k) & 1) return [from, 1, 1];
  const to = (integer(attr, 'end_mask') >> k) & 1 ? (stride > 0 ? n : -1) : held(ends[k]);
  return [from, Math.max(0, Math.ceil((to - from) / stride)), stride];
}

/** @param {Compiler} compiler @param {Place[]} parts @param {number} axis */
function concat(compiler, parts, axis) {
  const k = fromFront(axis, parts[0].shape.length);
  const shape = parts[0].shape.slice();
  shape[k] = parts.reduce((sum, part) => sum + part.shape[k], 0);
  const outer = sizeOf(shape.slice(0, k));
  const places = [];
  for (let i = 0; i < outer; i++) {
    for (const part of parts) {
      const run = sizeOf(part.shape) / outer;
      for (let j = 0; j < run; j++) places.push(part.at + i * run + j);
    }
  }
  if (places.length !== sizeOf(shape)) throw broken(`parts of [${shape}] that do not fit`);
  return compiler.moved(Int32Array.from(places), shape, { constant: parts.every((part) => part.constant) });
}

/** @param {Compiler} compiler @param {Place} x @param {number} axis @param {number[]} sizes */
function split(compiler, x, axis, sizes) {
  const k = fromFront(axis, x.shape.length);
  let start = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === k ? start : 0));
    start += size;
    return slice(compiler, x, begin, x.shape.map((n, i) => (i === k ? size : n)));
  });
}

/** @param {Compiler} compiler @param {Place} x @param {number[]} order */
function transpose(compiler, x, order) {
  const steps = strides(x.shape);
  const shape = order.map((k) => x.shape[k]);
  return compiler.moved(sources(x, shape, 0, order.map((k) => steps[k])), shape, x);
}

/** @param {Compiler} compiler @param {Place} x @param {number[]} shape */
function broadcast(compiler, x, shape) {
  const own = [...new Array(shape.length - x.shape.length).fill(1), ...x.shape];
  const steps = strides(own).map((step, k) => (own[k] === 1 ? 0 : step));
  if (own.some((n, k) => n !== 1 && n !== shape[k])) throw broken(`[${x.shape}] as [${shape}]`);
  return compiler.moved(sources(x, shape, 0, steps), shape, x);
}

/** @param {number[]} a @param {number[]} b */
function commonShape(a, b) {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, k) => {
    const m = a[k - rank + a.length] ?? 1;
    const n = b[k - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) throw broken(`[${a}] with [${b}]`);
    return m === 1 ? n : m;
  });
}

/** True if repeating `shape` end to end gives what broadcasting it does. @param {number[]} shape @param {number[]} to */
function repeats(shape, to) {
  const own = shape.slice(shape.findIndex((n) => n !== 1));
  return sizeOf(shape) === 1 || own.every((n, k) => n === to[to.length - own.length + k]);
}

/** @param {Compiler} compiler @param {number} kind @param {Place} a @param {Place} b */
function binary(compiler, kind, a, b) {
  const shape = commonShape(a.shape, b.shape);
  const [x, y] = [a, b].map((place) => (repeats(place.shape, shape) ? place : broadcast(compiler, place, shape)));
  const out = compiler.result(shape, [x, y]);
  const n = sizeOf(shape);
  compiler.emit([OP.BINARY, out.at, x.at, y.at, n, kind, sizeOf(x.shape), sizeOf(y.shape)], out);
  if (!out.constant) compiler.flops += n;
  return out;
}

/** @param {Compiler} compiler @param {number} kind @param {Place} x @param {number} [parameter] */
function unary(compiler, kind, x, parameter = 0) {
  const out = compiler.result(x.shape, [x]);
  const bits = new Int32Array(Float32Array.of(parameter).buffer)[0];
  compiler.emit([OP.UNARY, out.at, x.at, sizeOf(x.shape), kind, bits], out);
  if (!out.constant) compiler.flops += sizeOf(x.shape);
  return out;
}

/** @type {Operation} */
function matmul(compiler, [a, b, ...rest], attr) {
  const x = flag(attr, 'transpose_a') ? transpose(compiler, a, [1, 0]) : a;
  const y = flag(attr, 'transpose_b') ? transpose(compiler, b, [1, 0]) : b;
  const [rows, inner] = x.shape;
  const [height, columns] = y.shape;
  if (x.shape.length !== 2 || y.shape.length !== 2 || inner !== height) throw broken(`[${a.shape}] times [${b.shape}]`);
  const fused = fusedNames(attr);
  const bias = fused[0] === 'BiasAdd' ? rest[0] : undefined;
  if (bias && sizeOf(bias.shape) !== columns) throw broken(`[${bias.shape}] added to ${columns} columns`);
  const out = compiler.result([rows, columns], bias ? [x, y, bias] : [x, y]);
  compiler.emit([OP.MATMUL, out.at, x.at, y.at, rows, inner, columns, bias ? bias.at : -1], out);
  if (!out.constant) compiler.flops += 2 * rows * inner * columns + (bias ? rows * columns : 0);
  return fused.filter((name) => name !== 'BiasAdd').reduce((place, name) => activation(compiler, name, place, attr), out);
}

/** Names of what is done to a product, which model.json writes in base64. @param {Attributes} attr @returns {string[]} */
function fusedNames(attr) {
  return (attr.fused_ops?.list?.s ?? []).map((/** @type {string} */ text) => atob(text));
}

/** @param {Compiler} compiler @param {string} name @param {Place} place @param {Attributes} attr */
function activation(compiler, name, place, attr) {
  const kind = UNARY[/** @type {keyof typeof UNARY} */ (name)];
  if (kind === undefined) throw broken(`a product with ${name}`);
  return unary(compiler, kind, place, attr.leakyrelu_alpha?.f ?? LEAK);
}

/** @param {number} kind @returns {Operation} */
const reduction = (kind) => (compiler, [x, axes], attr) => {
  const chosen = known(axes).map((axis) => fromFront(axis, x.shape.length)).sort((a, b) => a - b);
  if (chosen.some((axis, i) => axis !== chosen[0] + i)) throw broken(`a sum over axes ${chosen}`);
  const [first, last] = [chosen[0] ?? 0, chosen[0] + chosen.length];
  const dims = [x.shape.slice(0, first), x.shape.slice(first, last), x.shape.slice(last)];
  const kept = flag(attr, 'keep_dims') ? dims[1].map(() => 1) : [];
  const out = compiler.result([...dims[0], ...kept, ...dims[2]], [x]);
  const [outer, count, inner] = dims.map(sizeOf);
  compiler.emit([OP.REDUCE, out.at, x.at, outer, count, inner, kind], out);
  if (!out.constant) compiler.flops += sizeOf(x.shape);
  return out;
};

/** @param {Place} x @param {number[]} shape */
function reshape(x, shape) {
  const others = sizeOf(shape.filter((n) => n !== -1));
  const full = shape.map((n) => (n === -1 ? sizeOf(x.shape) / others : n));
  if (sizeOf(full) !== sizeOf(x.shape)) throw broken(`[${x.shape}] as [${shape}]`);
  return { ...x, shape: full };
}

/** @param {Place} x @param {Attributes} attr */
function squeeze(x, attr) {
  const list = (attr.squeeze_dims ?? attr.axis)?.list?.i ?? [];
  const dims = list.map((/** @type {any} */ axis) => fromFront(Number(axis), x.shape.length));
  return { ...x, shape: x.shape.filter((n, k) => n !== 1 || (dims.length > 0 && !dims.includes(k))) };
}

/** @param {Place} x @param {number} axis */
function expand(x, axis) {
  const k = fromFront(axis, x.shape.length + 1);
  return { ...x, shape: [...x.shape.slice(0, k), 1, ...x.shape.slice(k)] };
}

/** @type {Record<string, Operation>} */
export const GRAPH_OPS = {
  MatMul: matmul,
  _FusedMatMul: matmul,
  LeakyRelu: (compiler, [x], attr) => unary(compiler, UNARY.LeakyRelu, x, attr.alpha?.f ?? LEAK),
  AddN: (compiler, parts) => parts.reduce((a, b) => binary(compiler, BINARY.Add, a, b)),
  Identity: (_, [x]) => x,
  Snapshot: (_, [x]) => x,
  StopGradient: (_, [x]) => x,
  Reshape: (_, [x, shape]) => reshape(x, known(shape)),
  Squeeze: (_, [x], attr) => squeeze(x, attr),
  ExpandDims: (_, [x, axis]) => expand(x, known(axis)[0]),
  Fill: (compiler, [dims, value]) =>
    compiler.constant(new Float32Array(sizeOf(known(dims))).fill(known(value)[0]), known(dims)),
  ZerosLike: (compiler, [x]) => compiler.constant(new Float32Array(sizeOf(x.shape)), x.shape),
  Slice: (compiler, [x, begin, size]) =>
    slice(compiler, x, known(begin), known(size).map((n, k) => (n === -1 ? x.shape[k] - known(begin)[k] : n))),
  StridedSlice: stridedSlice,
  Split: (compiler, [axis, x], attr) => {
    const [k, parts] = [fromFront(known(axis)[0], x.shape.length), integer(attr, 'num_split', 1)];
    return split(compiler, x, k, new Array(parts).fill(x.shape[k] / parts));
  },
  SplitV: (compiler, [x, sizes, axis]) => split(compiler, x, known(axis)[0], known(sizes)),
  Unpack: (compiler, [x], attr) => {
    const k = fromFront(integer(attr, 'axis'), x.shape.length);
    const parts = split(compiler, x, k, new Array(x.shape[k]).fill(1));
    return parts.map((part) => ({ ...part, shape: part.shape.filter((_, i) => i !== k) }));
  },
  Pack: (compiler, parts, attr) => {
    const axis = fromFront(integer(attr, 'axis'), parts[0].shape.length + 1);
    return concat(compiler, parts.map((part) => expand(part, axis)), axis);
  },
  ConcatV2: (compiler, inputs) => concat(compiler, inputs.slice(0, -1), known(inputs[inputs.length - 1])[0]),
  Transpose: (compiler, [x, order]) => transpose(compiler, x, known(order)),
  BroadcastTo: (compiler, [x, shape]) => broadcast(compiler, x, known(shape)),
};
for (const [name, kind] of Object.entries(BINARY)) {
  GRAPH_OPS[name] = (compiler, [a, b]) => binary(compiler, kind, a, b);
}
for (const [name, kind] of Object.entries(UNARY)) {
  GRAPH_OPS[name] ??= (compiler, [x]) => unary(compiler, kind, x);
}
for (const [name, kind] of Object.entries(REDUCE)) GRAPH_OPS[name] = reduction(kind);
