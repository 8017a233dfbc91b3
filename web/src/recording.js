// A recording of what is played: kept in the audio worklet, sent here in pieces, handed over as a WAV file.

import { toInt16, wavFile } from './wav.js';

/** A context that is closed may still hand over what it kept last, or may not. */
const CLOSED_MS = 500;

export class Recording {
  /**
   * Keeps from now on what `from` gives; `to` is where it leads, and hears nothing of it.
   * @param {AudioNode} from @param {AudioNode} to
   * @param {{longestSecs: number, onFull: () => void}} limits
   */
  constructor(from, to, { longestSecs, onFull }) {
    this.from = from;
    this.context = from.context;
    this.left = longestSecs * from.context.sampleRate;
    this.onFull = onFull;
    /** @type {Int16Array[]} */
    this.parts = [];
    /** @type {() => void} */
    this.finish = () => {};
    this.finished = new Promise((/** @type {(value: void) => void} */ resolve) => (this.finish = resolve));
    this.node = new AudioWorkletNode(from.context, 'tinytimbre-keeper', {
      channelCount: 1,
      channelCountMode: 'explicit',
      outputChannelCount: [1],
    });
    this.node.port.onmessage = ({ data }) => this.#keep(data);
    // A node that leads nowhere is not asked for its sound.
    from.connect(this.node).connect(to);
  }

  /** @param {{samples: Float32Array, last: boolean}} message */
  #keep({ samples, last }) {
    if (this.left > 0) {
      this.parts.push(toInt16(samples.subarray(0, this.left)));
      this.left -= samples.length;
      if (this.left <= 0) this.onFull();
    }
    if (last) this.finish();
  }

  /** @returns {Promise<Blob>} 16 bit, mono, at the context's sample rate */
  async stop() {
    this.node.port.postMessage('stop');
    if (this.context.state === 'closed') setTimeout(this.finish, CLOSED_MS);
    await this.finished;
    this.from.disconnect(this.node);
    this.node.disconnect();
    this.node.port.close();
    return wavFile(this.parts, this.context.sampleRate);
  }
}
