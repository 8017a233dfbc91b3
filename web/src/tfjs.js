// TensorFlow.js as the runtime of the same files: for pages that have it anyway, and to check ours against.
//
//   const decoder = await TfjsDecoder.create(await loadBundle(url), { tf, loadGraphModel });

/** @typedef {import('./bundle.js').Bundle} Bundle */

/**
 * Artifacts for `tf.loadGraphModel`, with the weights decoded to float32 whatever the file has them in.
 * @param {Bundle} bundle
 */
export function modelArtifacts({ graph, weights, settings }) {
  const integers = new Set(
    graph.node.filter((node) => node.attr?.dtype?.type === 'DT_INT32').map((node) => node.name),
  );
  /** @type {{name: string, shape: number[], dtype: string}[]} */
  const weightSpecs = [];
  /** @type {ArrayBufferView[]} */
  const parts = [];
  for (const [name, { shape, data }] of weights) {
    weightSpecs.push({ name, shape, dtype: integers.has(name) ? 'int32' : 'float32' });
    parts.push(integers.has(name) ? Int32Array.from(data) : data);
  }
  return { format: 'graph-model', modelTopology: graph, weightSpecs, weightData: joined(parts), signature: signature(settings.graph) };
}

/** @param {any} contract  `graph` of settings.json */
function signature({ inputs, state, controls, next_state: next, n_inputs: width, state_size: size }) {
  /** @param {string} name @param {number} n */
  const input = (name, n) => ({
    name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: { dim: [{ size: '1' }, { size: String(n) }] },
  });
  /** @param {string} name */
  const output = (name) => ({ name: `${name}:0`, dtype: 'DT_FLOAT' });
  return {
    inputs: { [inputs]: input(inputs, width), [state]: input(state, size) },
    outputs: { [controls]: output(controls), [next]: output(next) },
  };
}

/** @param {ArrayBufferView[]} parts */
function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return all.buffer;
}

/** A decoder that takes frame after frame and carries its state. */
export class TfjsDecoder {
  /**
   * @param {Bundle} bundle
   * @param {{tf: any, loadGraphModel: (handler: any) => Promise<any>}} library  tfjs-core with a backend, tfjs-converter
   */
  static async create(bundle, { tf, loadGraphModel }) {
    const model = await loadGraphModel({ load: async () => modelArtifacts(bundle) });
    return new TfjsDecoder(tf, model, bundle.settings.graph);
  }

  /** Use `TfjsDecoder.create`. @param {any} tf @param {any} model @param {any} contract */
  constructor(tf, model, contract) {
    this.tf = tf;
    this.model = model;
    this.contract = contract;
    this.state = tf.zeros([1, contract.state_size]);
  }

  /** Controls of the next frame. @param {ArrayLike<number>} inputs  [n_inputs], scaled @returns {Promise<Float32Array>} */
  async step(inputs) {
    const { tf, model, contract } = this;
    const [controls, next] = tf.tidy(() =>
      model.execute(
        { [contract.inputs]: tf.tensor2d(Array.from(inputs), [1, contract.n_inputs]), [contract.state]: this.state },
        [contract.controls, contract.next_state],
      ),
    );
    this.state.dispose();
    this.state = next;
    const values = await controls.data();
    controls.dispose();
    return values;
  }

  dispose() {
    this.state.dispose();
    this.model.dispose();
  }
}
