// Runs a compiled graph: a list of instructions of eight integers over one arena of float32. `src/graph.js` makes
// them and documents the layout; offsets count floats from the start of the arena.

import { exp, log, pow, sigmoid, tanh } from './maths';

export const WORDS: i32 = 8;

// Keep in step with `OP` in src/graph.js.
const MATMUL: i32 = 0;
const BINARY: i32 = 1;
const UNARY: i32 = 2;
const COPY: i32 = 3;
const GATHER: i32 = 4;
const REDUCE: i32 = 5;

export function runProgram(code: usize, instructions: i32, arena: usize): void {
  for (let i = 0; i < instructions; i++) {
    const at = code + <usize>(i * WORDS * 4);
    const op = word(at, 0);
    const out = arena + (<usize>word(at, 1) << 2);
    const a = arena + (<usize>word(at, 2) << 2);
    if (op == MATMUL) matmul(at, arena, out, a);
    else if (op == BINARY) binary(at, arena, out, a);
    else if (op == UNARY) unary(at, out, a);
    else if (op == COPY) memory.copy(out, a, <usize>word(at, 3) << 2);
    else if (op == GATHER) gather(at, arena, out, a);
    else if (op == REDUCE) reduce(at, out, a);
    else unreachable();
  }
}

// @ts-ignore: decorator
@inline
function word(at: usize, i: i32): i32 {
  return load<i32>(at + <usize>(i << 2));
}

/** [op, out, a, b, rows, inner, columns, bias or -1]: a [rows, inner] times b [inner, columns], plus bias. */
function matmul(at: usize, arena: usize, out: usize, a: usize): void {
  const b = arena + (<usize>word(at, 3) << 2);
  const rows = word(at, 4);
  const inner = word(at, 5);
  const columns = word(at, 6);
  const bias = word(at, 7);
  for (let row = 0; row < rows; row++) {
    const x = a + (<usize>(row * inner) << 2);
    const y = out + (<usize>(row * columns) << 2);
    if (ASC_FEATURE_SIMD) rowBySimd(x, b, y, inner, columns);
    else rowByRow(x, b, y, inner, columns, 0);
    if (bias >= 0) {
      const added = arena + (<usize>bias << 2);
      for (let i = 0; i < columns; i++) {
        const o = <usize>i << 2;
        store<f32>(y + o, load<f32>(y + o) + load<f32>(added + o));
      }
    }
  }
}

function rowByRow(x: usize, b: usize, y: usize, inner: i32, columns: i32, first: i32): void {
  for (let column = first; column < columns; column++) {
    let sum: f32 = 0;
    let w = b + (<usize>column << 2);
    for (let k = 0; k < inner; k++) {
      sum += load<f32>(x + (<usize>k << 2)) * load<f32>(w);
      w += <usize>columns << 2;
    }
    store<f32>(y + (<usize>column << 2), sum);
  }
}

/** Each output is summed in the order of the scalar loop, so both give the same bits. */
function rowBySimd(x: usize, b: usize, y: usize, inner: i32, columns: i32): void {
  const stride = <usize>columns << 2;
  let column = 0;
  for (; column + 16 <= columns; column += 16) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    let w = b + (<usize>column << 2);
    for (let k = 0; k < inner; k++) {
      const v = v128.load32_splat(x + (<usize>k << 2));
      s0 = f32x4.add(s0, f32x4.mul(v, v128.load(w)));
      s1 = f32x4.add(s1, f32x4.mul(v, v128.load(w, 16)));
      s2 = f32x4.add(s2, f32x4.mul(v, v128.load(w, 32)));
      s3 = f32x4.add(s3, f32x4.mul(v, v128.load(w, 48)));
      w += stride;
    }
    const o = y + (<usize>column << 2);
    v128.store(o, s0);
    v128.store(o, s1, 16);
    v128.store(o, s2, 32);
    v128.store(o, s3, 48);
  }
  for (; column + 4 <= columns; column += 4) {
    let sum = f32x4.splat(0);
    let w = b + (<usize>column << 2);
    for (let k = 0; k < inner; k++) {
      sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(x + (<usize>k << 2)), v128.load(w)));
      w += stride;
    }
    v128.store(y + (<usize>column << 2), sum);
  }
  rowByRow(x, b, y, inner, columns, column);
}

/** [op, out, a, b, n, kind, length of a, length of b]: the shorter one is repeated. */
function binary(at: usize, arena: usize, out: usize, a: usize): void {
  const b = arena + (<usize>word(at, 3) << 2);
  const n = word(at, 4);
  const kind = word(at, 5);
  const na = word(at, 6);
  const nb = word(at, 7);
  let i = 0;
  let j = 0;
  for (let k = 0; k < n; k++) {
    const value = combine(kind, load<f32>(a + (<usize>i << 2)), load<f32>(b + (<usize>j << 2)));
    store<f32>(out + (<usize>k << 2), value);
    if (++i == na) i = 0;
    if (++j == nb) j = 0;
  }
}

/** Keep in step with `BINARY` in src/graph.js. */
// @ts-ignore: decorator
@inline
function combine(kind: i32, x: f32, y: f32): f32 {
  switch (kind) {
    case 0: return x + y;
    case 1: return x - y;
    case 2: return x * y;
    case 3: return x / y;
    case 4: return max(x, y);
    case 5: return min(x, y);
    case 6: return <f32>pow(x, y);
    case 7: return (x - y) * (x - y);
    default: return unreachable();
  }
}

/** [op, out, a, n, kind, parameter as the bits of a float32]. */
function unary(at: usize, out: usize, a: usize): void {
  const n = word(at, 3);
  const kind = word(at, 4);
  const parameter = reinterpret<f32>(word(at, 5));
  for (let k = 0; k < n; k++) {
    const o = <usize>k << 2;
    store<f32>(out + o, apply(kind, load<f32>(a + o), parameter));
  }
}

/** Keep in step with `UNARY` in src/graph.js. */
function apply(kind: i32, x: f32, parameter: f32): f32 {
  switch (kind) {
    case 0: return <f32>sigmoid(x);
    case 1: return <f32>tanh(x);
    case 2: return max(x, <f32>0);
    case 3: return min(max(x, <f32>0), <f32>6);
    case 4: return x >= 0 ? x : x * parameter;
    case 5: return x >= 0 ? x : <f32>(exp(x) - 1.0);
    case 6: return <f32>exp(x);
    case 7: return <f32>log(x);
    case 8: return -x;
    case 9: return x * x;
    case 10: return sqrt<f32>(x);
    case 11: return <f32>1 / sqrt<f32>(x);
    case 12: return <f32>1 / x;
    case 13: return abs<f32>(x);
    case 14: return x > 20 ? x : <f32>log(<f32>(1.0 + exp(x)));
    default: return unreachable();
  }
}

/** [op, out, table, n]: out[i] is the arena's float number table[i]; the table itself lies in the arena. */
function gather(at: usize, arena: usize, out: usize, table: usize): void {
  const n = word(at, 3);
  for (let k = 0; k < n; k++) {
    const from = <usize>load<i32>(table + (<usize>k << 2));
    store<f32>(out + (<usize>k << 2), load<f32>(arena + (from << 2)));
  }
}

/** [op, out, a, outer, count, inner, kind]: sum (0), mean (1) or maximum (2) over the middle of three axes. */
function reduce(at: usize, out: usize, a: usize): void {
  const outer = word(at, 3);
  const count = word(at, 4);
  const inner = word(at, 5);
  const kind = word(at, 6);
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      let sum = load<f32>(a + (<usize>(i * count * inner + j) << 2));
      for (let k = 1; k < count; k++) {
        const value = load<f32>(a + (<usize>((i * count + k) * inner + j) << 2));
        sum = kind == 2 ? max(sum, value) : sum + value;
      }
      store<f32>(out + (<usize>(i * inner + j) << 2), kind == 1 ? sum / <f32>count : sum);
    }
  }
}
