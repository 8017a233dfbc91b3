// The player on the page's side: runs an instrument in an audio worklet, between an input and an output node.
//
//   const player = await Player.create(context);
//   microphone.connect(player.input);
//   player.output.connect(context.destination);
//   player.play(await loadInstrument('models/cello/0001-…/'));

import { checkRate } from './engine.js';
import { TinyTimbreError } from './errors.js';
import { Recording } from './recording.js';
import { audible, impulseResponse, limited } from './reverb.js';
import { wavFile } from './wav.js';

/** With a room, sound may add up to this before it is limited. */
const LOUDEST = 4;
const CURVE_POINTS = 8193;
/** Recordings stay in memory: ten minutes are about 60 MB. */
export const LONGEST_RECORDING_SECS = 600;

/**
 * Events: `frames` (detail: Frame[]), `failed` (detail: Error), `recordingfull`.
 * @typedef {import('./voice.js').Frame} Frame
 */
export class Player extends EventTarget {
  /**
   * @param {AudioContext | OfflineAudioContext} context
   * @param {{plain?: boolean, base?: string | URL}} [options]  `plain`: JavaScript in place of WebAssembly
   * @returns {Promise<Player>}
   * @throws {TinyTimbreError} a browser without audio worklets, or files of the player that cannot be had
   */
  static async create(context, { plain = false, base = new URL('./', import.meta.url) } = {}) {
    checkRate(context.sampleRate);
    if (!context.audioWorklet) throw unsupported();
    const module = plain ? null : await compiled(new URL('engine.wasm', base));
    // One after the other: the second looks for what the first leaves behind.
    if (!module) await context.audioWorklet.addModule(new URL('worklet-plain.js', base));
    await context.audioWorklet.addModule(new URL('worklet.js', base));
    return new Player(context, module);
  }

  /** Use `Player.create`. @param {AudioContext | OfflineAudioContext} context @param {WebAssembly.Module | null} module */
  constructor(context, module) {
    super();
    this.context = context;
    this.module = module;
    this.input = new GainNode(context);
    this.output = new GainNode(context);
    /** What instruments and rooms sound like together; recordings are made here, whatever the volume behind it. */
    this.mix = new GainNode(context);
    this.mix.connect(this.output);
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    this.octaves = 0;
    this.silenceDb = -50;
    /** @type {Recording | null} */
    this.kept = null;
  }

  /** True where plain JavaScript stands in for WebAssembly. */
  get plain() {
    return this.module === null;
  }

  get recording() {
    return this.kept !== null;
  }

  /** Plays this instrument from now on; the one before fades out. @param {import('./engine.js').Instrument} instrument */
  play(instrument) {
    this.stop();
    const node = new AudioWorkletNode(this.context, 'tinytimbre', {
      channelCount: 1,
      channelCountMode: 'explicit',
      outputChannelCount: [1],
      processorOptions: { module: this.module, instrument },
    });
    const exit = this.#room(instrument.settings.reverb);
    node.connect(exit[0]);
    exit[exit.length - 1].connect(this.mix);
    node.port.onmessage = ({ data }) => this.#hear(node, exit, data);
    node.onprocessorerror = () => this.#fail('the audio processor stopped');
    this.input.connect(node);
    this.node = node;
    this.#tell('wish', this.octaves);
    this.#tell('silence', this.silenceDb);
  }

  /** The instrument fades out and is gone. */
  stop() {
    this.#tell('leave');
    this.node = null;
  }

  /** Moves the melody by octaves, beyond what the instrument's range asks for. @param {number} octaves */
  setOctaves(octaves) {
    this.octaves = octaves;
    this.#tell('wish', octaves);
  }

  /** What is quieter than this begins no tone. @param {number} db  RMS energy, dB of full scale */
  setSilence(db) {
    this.silenceDb = db;
    this.#tell('silence', db);
  }

  /** Keeps from now on what is played, rooms included; a recording that was going on is dropped. */
  startRecording() {
    this.kept?.stop();
    const onFull = () => this.dispatchEvent(new Event('recordingfull'));
    this.kept = new Recording(this.mix, this.output, { longestSecs: LONGEST_RECORDING_SECS, onFull });
  }

  /** @returns {Promise<Blob>} a WAV file, 16 bit, mono, at the context's sample rate; empty where nothing was recorded */
  async stopRecording() {
    const { kept } = this;
    this.kept = null;
    return kept ? kept.stop() : wavFile([], this.context.sampleRate);
  }

  /** @param {string} type @param {any} [value] */
  #tell(type, value) {
    this.node?.port.postMessage({ type, value });
  }

  /**
   * What follows the synthesiser: nothing for a dry instrument, for others their room and a limiter.
   * @param {import('./reverb.js').Room | null | undefined} room @returns {AudioNode[]}
   */
  #room(room) {
    const { context } = this;
    if (!room) return [new GainNode(context)];
    const response = audible(impulseResponse(room, context.sampleRate));
    const buffer = new AudioBuffer({ length: response.length, sampleRate: context.sampleRate });
    buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (response), 0);
    /** @type {AudioNode[]} */
    const chain = [
      new ConvolverNode(context, { buffer, disableNormalization: true }),
      new GainNode(context, { gain: 1 / LOUDEST }),
      new WaveShaperNode(context, { curve: limiterCurve() }),
    ];
    chain.reduce((from, to) => from.connect(to));
    return chain;
  }

  /** @param {AudioWorkletNode} node @param {AudioNode[]} exit @param {any} message */
  #hear(node, exit, { type, frames, message }) {
    if (type === 'frames' && node === this.node) this.dispatchEvent(new CustomEvent('frames', { detail: frames }));
    if (type === 'failed') this.#fail(message);
    if (type === 'left') this.#remove(node, exit);
  }

  /** @param {AudioWorkletNode} node @param {AudioNode[]} exit */
  #remove(node, exit) {
    this.input.disconnect(node);
    node.disconnect();
    node.port.close();
    // A room rings on; it goes with the last reference to it.
    if (exit.length === 1) exit[0].disconnect();
  }

  /** @param {string} got */
  #fail(got) {
    const error = new TinyTimbreError('playing must not stop by itself', { got, remedy: 'load the page again' });
    this.dispatchEvent(new CustomEvent('failed', { detail: error }));
  }
}

/** The limiter for a shaper that is given samples divided by `LOUDEST`. */
function limiterCurve() {
  return Float32Array.from({ length: CURVE_POINTS }, (_, i) => limited(LOUDEST * ((2 * i) / (CURVE_POINTS - 1) - 1)));
}

/**
 * The engine, or null where it cannot be compiled: no SIMD, no WebAssembly, or a policy without 'wasm-unsafe-eval'.
 * @param {URL} url
 */
async function compiled(url) {
  const bytes = await fetched(url);
  try {
    // Not compileStreaming: a server that does not know .wasm must not stop us.
    return await WebAssembly.compile(bytes);
  } catch {
    return null;
  }
}

/** @param {URL} url */
async function fetched(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return await response.arrayBuffer();
  } catch (error) {
    throw new TinyTimbreError('the files of the player must be reachable', {
      got: `engine.wasm: ${error instanceof Error ? error.message : error}`,
      remedy: 'publish the whole folder of the player, then load the page again',
    });
  }
}

/** What to say where there is no audio worklet. */
export function unsupported() {
  return new TinyTimbreError('playing live needs a browser with audio worklets', {
    got: globalThis.isSecureContext ? 'this browser has none' : 'a page without https',
    cause: globalThis.isSecureContext ? 'an old browser' : 'browsers allow them on https and localhost only',
    remedy: 'use a current Firefox, Chrome, Edge or Safari, over https',
  });
}
