// What the compiler (graph.js) writes and the engine (assembly/program.ts) runs.
//
// A program is a list of instructions of eight 32-bit integers over one arena of float32. Every tensor has its place
// in the arena; places are counted in floats. Whatever only moves data (slices, splits, concatenation, transposition,
// broadcasting) is worked out here: it becomes a place inside another tensor, some copies, or a table of places.
//
//   MATMUL  out, a, b, rows, inner, columns, bias or -1
//   BINARY  out, a, b, n, kind, length of a, length of b      the shorter one repeats
//   UNARY   out, a, n, kind, bits of a float32 parameter
//   COPY    out, a, n
//   GATHER  out, table, n
//   REDUCE  out, a, outer, count, inner, kind

import { TinyTimbreError } from './errors.js';

export const WORDS = 8;
export const OP = { MATMUL: 0, BINARY: 1, UNARY: 2, COPY: 3, GATHER: 4, REDUCE: 5 };

/** @param {number[]} shape */
export const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);

/** @param {string} got */
export function broken(got) {
  return new TinyTimbreError('a model must be a graph that the player can run', {
    got,
    cause: 'the file was edited, or comes from another program',
    remedy: 'export the model again',
  });
}
