// From a TensorFlow.js graph to a program for the engine; `instructions.js` says what a program is.

import { TinyTimbreError } from './errors.js';
import { GRAPH_OPS } from './graph-ops.js';
import { OP, WORDS, broken, sizeOf } from './instructions.js';

/** Places start at multiples of 16 bytes, which loads of four floats like. */
const ALIGNED = 4;
/** Shorter runs than this, on average, are cheaper by a table. */
const SHORT_RUN = 4;

/** @typedef {import('./bundle.js').GraphNode} GraphNode */
/** @typedef {import('./bundle.js').Tensor} Tensor */
/**
 * A tensor's place. `values` are there for constants of the file: axes and bounds are read from them.
 * @typedef {{shape: number[], at: number, constant: boolean, values?: Float32Array}} Place
 */
/**
 * @typedef {object} Program
 * @property {Int32Array} setup  instructions that run once: what depends on constants alone
 * @property {Int32Array} frame  instructions of a step
 * @property {number} size  floats in the arena
 * @property {{at: number, data: Float32Array | Int32Array}[]} constants
 * @property {number} inputs  place of float32 [inputs]
 * @property {number} state  place of float32 [stateSize]; the last instructions put the next state here
 * @property {number} controls  place of float32 [controlCount]
 * @property {number} stateSize
 * @property {number} controlCount
 * @property {number} flopsPerFrame  multiplications and additions of the products, others counted once a value
 */

/**
 * @param {{node: GraphNode[]}} graph  the modelTopology of a model.json
 * @param {Map<string, Tensor>} weights
 * @param {{inputs: string, state: string, controls: string, next_state: string, n_inputs: number,
 *   state_size: number, n_controls: number}} contract  `graph` of settings.json
 * @returns {Program}
 * @throws {TinyTimbreError} an operation that the engine does not have, or a graph that is not whole
 */
export function compileGraph(graph, weights, contract) {
  const compiler = new Compiler(graph.node, weights);
  const inputs = compiler.give(contract.inputs, [1, contract.n_inputs]);
  const state = compiler.give(contract.state, [1, contract.state_size]);
  const controls = compiler.value(contract.controls);
  const next = compiler.value(contract.next_state);
  if (sizeOf(controls.shape) !== contract.n_controls || sizeOf(next.shape) !== contract.state_size) {
    throw broken(`controls [${controls.shape}] and next state [${next.shape}]`);
  }
  const result = compiler.settled(controls);
  compiler.emit([OP.COPY, state.at, next.at, contract.state_size], { constant: false });
  return {
    setup: Int32Array.from(compiler.setup),
    frame: Int32Array.from(compiler.frame),
    size: compiler.size,
    constants: compiler.constants,
    inputs: inputs.at,
    state: state.at,
    controls: result.at,
    stateSize: contract.state_size,
    controlCount: contract.n_controls,
    flopsPerFrame: compiler.flops,
  };
}

/** Places tensors and collects instructions; `graph-ops.js` tells it what each operation is. */
export class Compiler {
  /** @param {GraphNode[]} nodes @param {Map<string, Tensor>} weights */
  constructor(nodes, weights) {
    this.nodes = new Map(nodes.map((node) => [node.name, node]));
    this.weights = weights;
    /** @type {Map<string, Place[]>} */
    this.done = new Map();
    /** @type {Set<string>} */
    this.open = new Set();
    /** @type {number[]} */
    this.setup = [];
    /** @type {number[]} */
    this.frame = [];
    /** @type {{at: number, data: Float32Array | Int32Array}[]} */
    this.constants = [];
    this.size = 0;
    this.flops = 0;
  }

  /** Places an input of the graph. @param {string} name @param {number[]} shape */
  give(name, shape) {
    const place = { shape, at: this.reserve(sizeOf(shape)), constant: false };
    this.done.set(name, [place]);
    return place;
  }

  /** The tensor that "name" or "name:output" stands for. @param {string} reference @returns {Place} */
  value(reference) {
    const [name, output = '0'] = reference.split(':');
    const place = this.outputs(name)[Number(output)];
    if (!place) throw broken(`no output ${reference}`);
    return place;
  }

  /** @param {string} name @returns {Place[]} */
  outputs(name) {
    const known = this.done.get(name);
    if (known) return known;
    const node = this.nodes.get(name);
    if (!node) throw broken(`no node ${name}`);
    if (this.open.has(name)) throw broken(`a loop through ${name}`);
    this.open.add(name);
    const outputs = node.op === 'Const' ? [this.stored(name)] : this.operate(node);
    this.done.set(name, outputs);
    return outputs;
  }

  /** @param {string} name */
  stored(name) {
    const tensor = this.weights.get(name);
    if (!tensor || tensor.data.length !== sizeOf(tensor.shape)) throw broken(`no values for ${name}`);
    return this.constant(tensor.data, tensor.shape);
  }

  /** @param {GraphNode} node @returns {Place[]} */
  operate(node) {
    const operation = GRAPH_OPS[node.op];
    if (!operation) {
      throw new TinyTimbreError('a model may use the operations that the player has', {
        got: `${node.op} (${node.name})`,
        cause: 'the model was exported by a newer version',
        remedy: 'use the player of that version',
      });
    }
    const inputs = (node.input ?? []).filter((name) => !name.startsWith('^')).map((name) => this.value(name));
    return [operation(this, inputs, node.attr ?? {})].flat();
  }

  /** @param {number} count */
  reserve(count) {
    const at = this.size;
    this.size += Math.ceil(count / ALIGNED) * ALIGNED;
    return at;
  }

  /** @param {Float32Array} values @param {number[]} shape @returns {Place} */
  constant(values, shape) {
    const at = this.reserve(values.length);
    this.constants.push({ at, data: values });
    return { shape, at, constant: true, values };
  }

  /** A new place that an instruction will fill. @param {number[]} shape @param {Place[]} from @returns {Place} */
  result(shape, from) {
    return { shape, at: this.reserve(sizeOf(shape)), constant: from.every((place) => place.constant) };
  }

  /** @param {number[]} words @param {{constant: boolean}} when */
  emit(words, { constant }) {
    const code = constant ? this.setup : this.frame;
    for (let i = 0; i < WORDS; i++) code.push(words[i] ?? 0);
  }

  /**
   * The tensor whose values stand at the places `sources`.
   * @param {Int32Array} sources @param {number[]} shape @param {{constant: boolean}} when @returns {Place}
   */
  moved(sources, shape, { constant }) {
    const starts = runStarts(sources);
    if (starts.length === 1) return { shape, at: sources[0], constant };
    const at = this.reserve(sources.length);
    if (starts.length * SHORT_RUN <= sources.length) {
      starts.forEach((start, i) => {
        const length = (starts[i + 1] ?? sources.length) - start;
        this.emit([OP.COPY, at + start, sources[start], length], { constant });
      });
    } else {
      const table = this.reserve(sources.length);
      this.constants.push({ at: table, data: sources });
      this.emit([OP.GATHER, at, table, sources.length], { constant });
    }
    return { shape, at, constant };
  }

  /** The controls in a place of their own: the next state must not overwrite them. @param {Place} place */
  settled(place) {
    const count = sizeOf(place.shape);
    const own = { ...place, at: this.reserve(count) };
    this.emit([OP.COPY, own.at, place.at, count], { constant: false });
    return own;
  }
}

/** Where runs of consecutive places begin. @param {Int32Array} sources */
function runStarts(sources) {
  const starts = [];
  for (let i = 0; i < sources.length; i++) {
    if (i === 0 || sources[i] !== sources[i - 1] + 1) starts.push(i);
  }
  return starts;
}
