// The audio worklet: one processor plays one instrument, another keeps what is heard. `player.js` makes them and speaks
// with them.

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
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  /** @param {any} message */
  obey({ type, value }) {
    if (type === 'leave') this.voice.leaving = true;
    if (type === 'wish') this.voice.transfer.wish = value;
    if (type === 'silence') this.voice.tracker.silenceDb = value;
  }

  /** @param {import('./voice.js').Frame} frame */
  report(frame) {
    this.frames.push(frame);
    if (this.frames.length < FRAMES) return;
    this.port.postMessage({ type: 'frames', frames: this.frames });
    this.frames = [];
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
    if (!this.voice.left) return true;
    this.port.postMessage({ type: 'left' });
    return false;
  }
}

/** Sends on what it hears until it is told to stop; adds nothing to its output. */
class Keeper extends AudioWorkletProcessor {
  constructor() {
    super();
    this.chunk = new Float32Array(CHUNK);
    this.filled = 0;
    this.keeping = true;
    this.port.onmessage = () => {
      this.keeping = false;
      this.send(true);
    };
  }

  /** @param {boolean} last */
  send(last) {
    this.port.postMessage({ samples: this.chunk.slice(0, this.filled), last });
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs @param {Float32Array[][]} outputs */
  process([input], [[output]]) {
    if (!this.keeping) return false;
    if (input.length) this.chunk.set(input[0], this.filled);
    else this.chunk.fill(0, this.filled, this.filled + output.length);
    this.filled += output.length;
    if (this.filled + output.length > CHUNK) this.send(false);
    return true;
  }
}

registerProcessor('tinytimbre', Processor);
registerProcessor('tinytimbre-keeper', Keeper);
