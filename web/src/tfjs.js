// TensorFlow.js as the runtime of the same files: for pages that have it anyway, and to check ours against.
//
//   const decoder = await TfjsDecoder.create(await loadBundle(url), { tf, loadGraphModel });

import { ioHandler } from './bundle.js';

/** @typedef {import('./bundle.js').Bundle} Bundle */

/** A decoder that takes frame after frame and carries its state. */
export class TfjsDecoder {
  /**
   * @param {Bundle} bundle
   * @param {{tf: any, loadGraphModel: (handler: any) => Promise<any>}} library  tfjs-core with a backend, tfjs-converter
   */
  static async create(bundle, { tf, loadGraphModel }) {
    const model = await loadGraphModel(ioHandler(bundle));
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
