// The audio worklet: one processor plays one instrument. `player.js` makes it and speaks with it.

import { Engine } from './engine.js';
import { Voice } from './voice.js';

/** Samples of a recording that travel together. */
const CHUNK = 8192;
/** Frames that travel together: the page draws no faster. */
const FRAMES = 2;

class Processor extends AudioWorkletProcessor {
  /** @param {{processorOptions: {module: WebAssembly.Module | null, instrument: import('./engine.js').Instrument}}} options */
  constructor({ processorOptions: { module, instrument } }) {
    super();
    // @ts-expect-error: worklet-plain.js leaves it there, where WebAssembly is not to be had.
    const exports = module ? new WebAssembly.Instance(module).exports : globalThis.tinytimbrePlain();
    const engine = new Engine(exports, instrument, sampleRate);
    this.voice = new Voice(engine, instrument.settings, { onFrame: (frame) => this.report(frame) });
    this.mute = new Float32Array(engine.maxBlock);
    /** @type {import('./voice.js').Frame[]} */
    this.frames = [];
    /** @type {Float32Array | null} */
    this.chunk = null;
    this.filled = 0;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  /** @param {any} message */
  obey({ type, value }) {
    if (type === 'leave') this.voice.leaving = true;
    if (type === 'wish') this.voice.transfer.wish = value;
    if (type === 'silence') this.voice.tracker.silenceDb = value;
    if (type === 'record') this.record(value);
  }

  /** @param {import('./voice.js').Frame} frame */
  report(frame) {
    this.frames.push(frame);
    if (this.frames.length < FRAMES) return;
    this.port.postMessage({ type: 'frames', frames: this.frames });
    this.frames = [];
  }

  /** @param {boolean} on */
  record(on) {
    if (!on && this.chunk) {
      this.port.postMessage({ type: 'recorded', samples: this.chunk.slice(0, this.filled), last: true });
    }
    this.chunk = on ? new Float32Array(CHUNK) : null;
    this.filled = 0;
  }

  /** @param {Float32Array} samples */
  keep(samples) {
    if (!this.chunk) return;
    this.chunk.set(samples, this.filled);
    this.filled += samples.length;
    if (this.filled + samples.length <= CHUNK) return;
    this.port.postMessage({ type: 'recorded', samples: this.chunk.slice(0, this.filled), last: false });
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs @param {Float32Array[][]} outputs */
  process([input], [[output]]) {
    try {
      this.voice.process(input[0] ?? this.mute.subarray(0, output.length), output);
    } catch (error) {
      output.fill(0);
      this.port.postMessage({ type: 'failed', message: String(error) });
      return false;
    }
    this.keep(output);
    if (!this.voice.left) return true;
    this.port.postMessage({ type: 'left' });
    return false;
  }
}

registerProcessor('tinytimbre', Processor);
