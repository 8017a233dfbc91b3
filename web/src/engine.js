// One instance of the engine playing one instrument: decoder, harmonics, noise, and the ear that listens to the input.

import { TinyTimbreError } from './errors.js';
import { WORDS } from './instructions.js';

/** @typedef {import('./graph.js').Program} Program */
/**
 * What an instrument is to the engine; only plain data, so it can be posted to a worklet.
 * @typedef {object} Instrument
 * @property {any} settings  settings.json
 * @property {Program} program
 */
/** Exports of assembly/index.ts. @typedef {Record<string, any>} EngineExports */

export class Engine {
  /**
   * @param {EngineExports} exports  of a fresh instance: memory is never given back
   * @param {Instrument} instrument
   * @param {number} contextRate  sample rate of input and output in Hz
   */
  constructor(exports, { settings, program }, contextRate) {
    this.exports = exports;
    this.program = program;
    this.loudness = settings.input === 'loudness';
    this.midiRange = settings.input_scaling.midi_range;
    this.dbRange = settings.input_scaling.db_range;
    this.modelRate = settings.sample_rate_hz;
    this.contextRate = contextRate;
    const { harmonics, noise_bands: bands, hop } = settings;
    /** Samples of a frame at the context's rate, whole or not. */
    this.frameSamples = (hop * contextRate) / this.modelRate;
    exports.open(harmonics, bands, hop, this.modelRate, contextRate, settings.noise_seed ?? 0);
    this.maxBlock = exports.maxBlock();
    this.#load(program);
  }

  /** @param {Program} program */
  #load(program) {
    const { exports } = this;
    this.arena = exports.reserve(4 * program.size);
    this.setupCode = exports.reserve(4 * program.setup.length);
    this.frameCode = exports.reserve(4 * program.frame.length);
    const integers = new Int32Array(exports.memory.buffer);
    integers.set(program.setup, this.setupCode >> 2);
    integers.set(program.frame, this.frameCode >> 2);
    for (const { at, data } of program.constants) {
      const view = data instanceof Int32Array ? integers : this.memory;
      view.set(data, (this.arena >> 2) + at);
    }
    exports.run(this.setupCode, program.setup.length / WORDS, this.arena);
    this.controls = this.arena + 4 * program.controls;
    this.frameInstructions = program.frame.length / WORDS;
    this.floats = this.memory;
  }

  get memory() {
    return new Float32Array(this.exports.memory.buffer);
  }

  /** The engine's memory does not grow after loading, so one view serves; made anew should that ever change. */
  #view() {
    if (this.floats?.buffer !== this.exports.memory.buffer) this.floats = this.memory;
    return /** @type {Float32Array} */ (this.floats);
  }

  /** Takes samples of the input; returns how many came out at the model's rate. @param {Float32Array} samples */
  hear(samples) {
    this.#view().set(samples, this.exports.inputAddress() >> 2);
    return this.exports.hear(samples.length);
  }

  /** Pitch of what was heard last. @returns {{hz: number, clarity: number}} hz is 0 where there is none */
  followPitch() {
    this.exports.followPitch();
    return { hz: this.exports.heardHz(), clarity: this.exports.heardClarity() };
  }

  /** Level in dB of what was heard last, on the model's scale. */
  level() {
    return this.exports.heardLevel(this.loudness);
  }

  /** RMS energy in dB of what was heard last. */
  energy() {
    return this.exports.heardLevel(false);
  }

  /**
   * One step of the decoder. @param {number} f0Hz @param {number} levelDb
   * @returns {number} address of the controls
   */
  decode(f0Hz, levelDb) {
    const pitch = (69 + 12 * Math.log2(f0Hz / 440)) / this.midiRange;
    this.decodeInputs(pitch, levelDb / this.dbRange + 1);
    return this.controls;
  }

  /** @param {number} pitch @param {number} level  both scaled */
  decodeInputs(pitch, level) {
    const { exports, program } = this;
    const view = this.#view();
    const inputs = (this.arena >> 2) + program.inputs;
    view[inputs] = pitch;
    view[inputs + 1] = level;
    exports.run(this.frameCode, this.frameInstructions, this.arena);
    const state = this.arena + 4 * program.state;
    if (exports.finite(this.controls, program.controlCount) && exports.finite(state, program.stateSize)) return;
    // Better a silent frame than noise for ever: a state that is not finite never recovers by itself.
    view.fill(0, this.controls >> 2, (this.controls >> 2) + program.controlCount);
    this.forget();
  }

  /** The decoder begins anew. */
  forget() {
    const state = (this.arena >> 2) + this.program.state;
    this.#view().fill(0, state, state + this.program.stateSize);
  }

  /** A copy of the controls, float32 [controlCount]. */
  readControls() {
    return this.#view().slice(this.controls >> 2, (this.controls >> 2) + this.program.controlCount);
  }

  /** Puts controls in the place of the decoder's. @param {Float32Array} controls */
  writeControls(controls) {
    this.#view().set(controls, this.controls >> 2);
  }

  /** The frame that sound starts from. @param {number} f0Hz */
  prime(f0Hz) {
    this.exports.prime(this.controls, f0Hz);
  }

  /** The frame that sound moves to. @param {number} f0Hz */
  advance(f0Hz) {
    this.exports.advance(this.controls, f0Hz);
  }

  /** Samples until the next frame must be given. */
  due() {
    return this.exports.due();
  }

  /** @param {number} offset @param {number} n */
  render(offset, n) {
    this.exports.render(offset, n);
  }

  /**
   * Fades and limits what was rendered.
   * @param {number} offset @param {number} n @param {number} startGain @param {number} endGain
   * @param {boolean} softly  as it is heard; false where a room comes first
   */
  finish(offset, n, startGain, endGain, softly) {
    this.exports.finish(offset, n, startGain, endGain, softly);
  }

  /** The first `n` samples rendered, valid until the next call. @param {number} n */
  output(n) {
    const start = this.exports.outputAddress() >> 2;
    return this.#view().subarray(start, start + n);
  }
}

/** @param {number} rate @throws {TinyTimbreError} */
export function checkRate(rate) {
  if (Number.isInteger(rate) && rate >= 3000 && rate <= 384000) return;
  throw new TinyTimbreError('the sample rate must be between 3,000 and 384,000 Hz', { got: `${rate}` });
}
