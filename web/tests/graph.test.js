// The compiler and the engine against TensorFlow.js: every operation, one small graph each.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { Engine } from '../src/engine.js';
import { compileGraph } from '../src/graph.js';
import { ENGINES } from './engines.js';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-cpu');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');

// float32 has 24 bits; the values here stay within 10, and sums are over 12 terms.
const TOLERANCE = 5e-6;
const INPUTS = [0.7, -0.4];
const STATE = [0.3, -1.2, 0.8, 2.5, -0.1, 0.6, -2.2, 1.1, 0.4, -0.9, 1.7, 0.2];

const float = { type: 'DT_FLOAT' };
const attr = (values) => ({ T: float, ...values });
const int = (i) => ({ i: String(i) });
const ints = (...i) => ({ list: { i: i.map(String) } });
const base64 = (...names) => ({ list: { s: names.map((name) => btoa(name)) } });

/** @type {Record<string, {nodes: any[], constants?: Record<string, [number[], number[], string?]>}>} */
const CASES = {};
for (const op of ['Sigmoid', 'Tanh', 'Relu', 'Relu6', 'Elu', 'Exp', 'Neg', 'Square', 'Abs', 'Softplus']) {
  CASES[op] = { nodes: [{ name: 'y', op, input: ['state'], attr: attr() }] };
}
for (const op of ['Log', 'Sqrt', 'Rsqrt', 'Reciprocal']) {
  CASES[op] = {
    nodes: [{ name: 'positive', op: 'Exp', input: ['state'], attr: attr() }, { name: 'y', op, input: ['positive'], attr: attr() }],
  };
}
CASES.LeakyRelu = { nodes: [{ name: 'y', op: 'LeakyRelu', input: ['state'], attr: attr({ alpha: { f: 0.31 } }) }] };
for (const op of ['AddV2', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum', 'SquaredDifference']) {
  CASES[`${op} with a row`] = {
    nodes: [{ name: 'table', op: 'Reshape', input: ['state', 'shape'], attr: attr() }, { name: 'y', op, input: ['table', 'row'], attr: attr() }],
    constants: { shape: [[2], [3, 4], 'int32'], row: [[4], [1.5, -2, 0.25, 3]] },
  };
  CASES[`${op} with a column`] = {
    nodes: [{ name: 'table', op: 'Reshape', input: ['state', 'shape'], attr: attr() }, { name: 'y', op, input: ['column', 'table'], attr: attr() }],
    constants: { shape: [[2], [3, 4], 'int32'], column: [[3, 1], [1.5, -2, 0.25]] },
  };
}
CASES.Pow = {
  nodes: [{ name: 'positive', op: 'Sigmoid', input: ['state'], attr: attr() }, { name: 'y', op: 'Pow', input: ['positive', 'by'], attr: attr() }],
  constants: { by: [[], [2.302585]] },
};
CASES.AddN = { nodes: [{ name: 'y', op: 'AddN', input: ['state', 'state', 'state'], attr: attr({ N: int(3) }) }] };
CASES.MatMul = {
  nodes: [{ name: 'y', op: 'MatMul', input: ['state', 'kernel'], attr: attr() }],
  constants: { kernel: [[12, 21], Array.from({ length: 252 }, (_, i) => Math.sin(i))] },
};
CASES['MatMul, transposed'] = {
  nodes: [{ name: 'y', op: 'MatMul', input: ['state', 'kernel'], attr: attr({ transpose_b: { b: true } }) }],
  constants: { kernel: [[5, 12], Array.from({ length: 60 }, (_, i) => Math.cos(i))] },
};
for (const activation of ['Relu', 'Sigmoid', 'Elu', 'LeakyRelu', 'Relu6']) {
  CASES[`_FusedMatMul, ${activation}`] = {
    nodes: [{
      name: 'y', op: '_FusedMatMul', input: ['inputs', 'kernel', 'bias'],
      attr: attr({ num_args: int(1), leakyrelu_alpha: { f: 0.2 }, fused_ops: base64('BiasAdd', activation) }),
    }],
    constants: { kernel: [[2, 7], Array.from({ length: 14 }, (_, i) => Math.cos(i))], bias: [[7], [1, -1, 2, -2, 3, -3, 0.5]] },
  };
}
CASES.Split = {
  nodes: [
    { name: 'parts', op: 'Split', input: ['axis', 'state'], attr: attr({ num_split: int(3) }) },
    { name: 'y', op: 'ConcatV2', input: ['parts:2', 'parts', 'axis'], attr: attr({ N: int(2) }) },
  ],
  constants: { axis: [[], [1], 'int32'] },
};
CASES['StridedSlice, backwards in steps'] = {
  nodes: [{ name: 'y', op: 'StridedSlice', input: ['state', 'begin', 'end', 'step'], attr: attr({ begin_mask: int(1), end_mask: int(1) }) }],
  constants: { begin: [[2], [0, -1], 'int32'], end: [[2], [0, 2], 'int32'], step: [[2], [1, -3], 'int32'] },
};
CASES.Slice = {
  nodes: [{ name: 'y', op: 'Slice', input: ['state', 'begin', 'size'], attr: attr() }],
  constants: { begin: [[2], [0, 3], 'int32'], size: [[2], [1, 5], 'int32'] },
};
CASES.Transpose = {
  nodes: [
    { name: 'table', op: 'Reshape', input: ['state', 'shape'], attr: attr() },
    { name: 'y', op: 'Transpose', input: ['table', 'order'], attr: attr() },
  ],
  constants: { shape: [[3], [2, 3, 2], 'int32'], order: [[3], [2, 0, 1], 'int32'] },
};
CASES.Pack = {
  nodes: [{ name: 'y', op: 'Pack', input: ['state', 'state'], attr: attr({ N: int(2), axis: int(1) }) }],
};
CASES.Fill = {
  nodes: [{ name: 'filled', op: 'Fill', input: ['shape', 'value'], attr: attr() }, { name: 'y', op: 'Mul', input: ['state', 'filled'], attr: attr() }],
  constants: { shape: [[1], [12], 'int32'], value: [[], [0.3]] },
};
CASES.Sum = {
  nodes: [
    { name: 'table', op: 'Reshape', input: ['state', 'shape'], attr: attr() },
    { name: 'y', op: 'Sum', input: ['table', 'axis'], attr: attr({ keep_dims: { b: true } }) },
  ],
  constants: { shape: [[3], [2, 3, 2], 'int32'], axis: [[1], [1], 'int32'] },
};
CASES['Squeeze and ExpandDims'] = {
  nodes: [
    { name: 'flat', op: 'Squeeze', input: ['state'], attr: attr({ squeeze_dims: ints(0) }) },
    { name: 'y', op: 'ExpandDims', input: ['flat', 'axis'], attr: attr() },
  ],
  constants: { axis: [[], [1], 'int32'] },
};

const placeholder = (name, size) => ({
  name, op: 'Placeholder', attr: { dtype: float, shape: { shape: { dim: [{ size: '1' }, { size: String(size) }] } } },
});

function graphOf({ nodes, constants = {} }) {
  const stored = Object.entries(constants).map(([name, [, , type]]) => ({
    name, op: 'Const', attr: { dtype: { type: type === 'int32' ? 'DT_INT32' : 'DT_FLOAT' } },
  }));
  const next = { name: 'next_state', op: 'Identity', input: ['state'], attr: attr() };
  const controls = { name: 'controls', op: 'Identity', input: ['y'], attr: attr() };
  return { versions: { producer: 1 }, node: [...stored, placeholder('inputs', 2), placeholder('state', 12), ...nodes, controls, next] };
}

async function byTensorFlow(graph, constants = {}) {
  const entries = Object.entries(constants);
  const data = entries.map(([, [, values, type]]) => (type === 'int32' ? Int32Array : Float32Array).from(values));
  const bytes = new Uint8Array(data.flatMap((values) => [...new Uint8Array(values.buffer)]));
  const model = await loadGraphModel({
    load: async () => ({
      format: 'graph-model', modelTopology: graph, weightData: bytes.buffer,
      weightSpecs: entries.map(([name, [shape, , dtype = 'float32']]) => ({ name, shape, dtype })),
    }),
  });
  const feeds = { inputs: tf.tensor2d([INPUTS]), state: tf.tensor2d([STATE]) };
  return model.execute(feeds, 'controls').dataSync();
}

await tf.setBackend('cpu');
for (const [name, { nodes, constants }] of Object.entries(CASES)) {
  test(name, async () => {
    const graph = graphOf({ nodes, constants });
    const expected = await byTensorFlow(graph, constants);
    const weights = new Map(
      Object.entries(constants ?? {}).map(([key, [shape, values]]) => [key, { shape, data: Float32Array.from(values) }]),
    );
    const contract = {
      inputs: 'inputs', state: 'state', controls: 'controls', next_state: 'next_state',
      n_inputs: 2, state_size: 12, n_controls: expected.length,
    };
    const program = compileGraph(graph, weights, contract);
    for (const [kind, make] of Object.entries(ENGINES)) {
      const actual = run(make(), program);
      expected.forEach((value, i) => {
        assert.ok(Math.abs(actual[i] - value) <= TOLERANCE, `${kind}: [${i}] is ${actual[i]}, TensorFlow.js has ${value}`);
      });
    }
  });
}

function run(exports, program) {
  const settings = {
    input: 'loudness', input_scaling: { midi_range: 127, db_range: 80 }, sample_rate_hz: 16000, hop: 320, harmonics: 1, noise_bands: 2,
  };
  const engine = new Engine(exports, { settings, program }, 16000);
  engine.memory.set(STATE, engine.arena / 4 + program.state);
  engine.decodeInputs(INPUTS[0], INPUTS[1]);
  return engine.readControls();
}

test('an operation that the engine lacks is named', () => {
  const graph = graphOf({ nodes: [{ name: 'y', op: 'RFFT', input: ['state'], attr: attr() }] });
  const contract = { inputs: 'inputs', state: 'state', controls: 'controls', next_state: 'next_state', n_inputs: 2, state_size: 12, n_controls: 7 };
  assert.throws(() => compileGraph(graph, new Map(), contract), /RFFT/);
});

test('a graph with a loop, a missing node or a missing weight is refused', () => {
  const contract = { inputs: 'inputs', state: 'state', controls: 'controls', next_state: 'next_state', n_inputs: 2, state_size: 12, n_controls: 12 };
  const loop = graphOf({ nodes: [{ name: 'y', op: 'AddV2', input: ['state', 'y'], attr: attr() }] });
  assert.throws(() => compileGraph(loop, new Map(), contract), /loop through y/);
  const missing = graphOf({ nodes: [{ name: 'y', op: 'AddV2', input: ['state', 'nowhere'], attr: attr() }] });
  assert.throws(() => compileGraph(missing, new Map(), contract), /no node nowhere/);
  const unweighted = graphOf({ nodes: [{ name: 'y', op: 'AddV2', input: ['state', 'w'], attr: attr() }], constants: { w: [[1], [1]] } });
  assert.throws(() => compileGraph(unweighted, new Map(), contract), /no values for w/);
});

test('a state that is no longer finite is forgotten and the frame is silent', () => {
  const graph = graphOf({ nodes: [{ name: 'y', op: 'Log', input: ['state'], attr: attr() }] });
  const contract = { inputs: 'inputs', state: 'state', controls: 'controls', next_state: 'next_state', n_inputs: 2, state_size: 12, n_controls: 12 };
  const program = compileGraph(graph, new Map(), contract);
  for (const make of Object.values(ENGINES)) assert.deepEqual([...run(make(), program)], new Array(12).fill(0));
});
