// What is asked of a bundle before it may be published, in a browser and in Node alike; tinytimbre/validation compares
// the answers with TensorFlow and with the reference synthesiser.

import { loadBundle } from '../src/bundle.js';
import { StreamingConvolution } from '../src/convolution.js';
import { Engine } from '../src/engine.js';
import { loadInstrument } from '../src/instrument.js';
import { playThrough } from '../src/rendering.js';
import { impulseResponse } from '../src/reverb.js';
import { TfjsDecoder } from '../src/tfjs.js';
import { Voice } from '../src/voice.js';
import { singing } from './singing.js';

const CONTEXT_RATE = 48000;
const SUNG_SECS = 3;

/**
 * What a browser and Node do differently.
 * @typedef {object} Runtime
 * @property {(url: string) => Promise<Response>} fetch
 * @property {() => Promise<WebAssembly.Module>} compile  the engine
 * @property {(name: string) => Promise<any>} useBackend  `tf` and `loadGraphModel` of TensorFlow.js
 * @property {((instrument: any, samples: Float32Array, rate: number) => Promise<{output: Float32Array, seconds: number}>) | null} playByWorklet
 */

/** Controls by TensorFlow.js, frame after frame; also how many tensors stay behind. */
export async function decodeByTfjs({ tf, loadGraphModel }, bundle, inputs) {
  const before = tf.memory().numTensors;
  const decoder = await TfjsDecoder.create(bundle, { tf, loadGraphModel });
  const controls = [];
  for (const frame of inputs) controls.push(await decoder.step(frame));
  decoder.dispose();
  return { controls, leaked: tf.memory().numTensors - before };
}

/** Controls by the engine. */
export function decodeByEngine(engine, inputs) {
  return inputs.map(([pitch, level]) => {
    engine.decodeInputs(pitch, level);
    return engine.readControls();
  });
}

/** The engine's sound of given controls and pitches, without fades, limiter and room. */
export function synthesise(engine, controls, f0) {
  const output = new Float32Array(Math.floor((f0.length - 1) * engine.frameSamples));
  const show = (i) => {
    engine.writeControls(controls[i]);
    return f0[i];
  };
  engine.prime(show(0));
  for (let at = 0, frame = 1; at < output.length; ) {
    const due = engine.due();
    if (due <= 0) {
      engine.advance(show(frame++));
      continue;
    }
    const n = Math.min(due, output.length - at);
    engine.render(0, n);
    output.set(engine.output(n), at);
    at += n;
  }
  return output;
}

/** The backends of TensorFlow.js, one by one; one that is not there says so. */
async function askTfjs(bundle, { inputs, backends }, runtime) {
  const found = {};
  for (const { name, frames, needed } of backends) {
    let library;
    try {
      library = await runtime.useBackend(name);
    } catch (error) {
      if (needed) throw error;
      found[name] = { missing: String(error instanceof Error ? error.message : error) };
      continue;
    }
    const { controls, leaked } = await decodeByTfjs(library, bundle, inputs.slice(0, frames));
    found[name] = { controls: packed(controls), leaked };
  }
  return found;
}

/** The engine at the model's own rate, where Python's reference is defined. */
async function askEngine(instrument, { inputs, f0 }, module) {
  const rate = instrument.settings.sample_rate_hz;
  const engine = new Engine((await WebAssembly.instantiate(module)).exports, instrument, rate);
  const controls = decodeByEngine(engine, inputs);
  const dry = synthesise(engine, controls, f0);
  const { reverb } = instrument.settings;
  const audio = reverb ? new StreamingConvolution(impulseResponse(reverb, rate)).process(dry) : dry;
  return { controls: packed(controls), audio: packed([audio]) };
}

/** A song played as a page plays it: how fast, and the same in the worklet as out of it. */
async function sing(instrument, module, { playByWorklet }) {
  const samples = singing(SUNG_SECS, CONTEXT_RATE);
  const engine = new Engine((await WebAssembly.instantiate(module)).exports, instrument, CONTEXT_RATE);
  const voice = new Voice(engine, instrument.settings);
  const start = performance.now();
  const direct = playThrough(voice, samples);
  const own = { output: direct, seconds: (performance.now() - start) / 1000 };
  const { output, seconds } = playByWorklet ? await playByWorklet(instrument, samples, CONTEXT_RATE) : own;
  return {
    peak: largest(output),
    finite: output.every(Number.isFinite),
    workletError: largest(output.map((x, i) => x - direct[i])),
    realTimeFactor: seconds / SUNG_SECS,
  };
}

/**
 * Everything about one bundle.
 * @param {{url: string, inputs: number[][], f0: number[], backends: {name: string, frames: number, needed: boolean}[]}} job
 * @param {Runtime} runtime
 */
export async function check(job, runtime) {
  const start = performance.now();
  const [module, instrument] = await Promise.all([runtime.compile(), loadInstrument(job.url, runtime)]);
  const loadMs = performance.now() - start;
  const bundle = await loadBundle(job.url, runtime);
  return {
    tfjs: await askTfjs(bundle, job, runtime),
    engine: await askEngine(instrument, job, module),
    song: await sing(instrument, module, runtime),
    loadMs,
  };
}

/** Float32 arrays, one after the other, as text. @param {Float32Array[]} parts */
function packed(parts) {
  let text = '';
  for (const part of parts) {
    for (const byte of new Uint8Array(Float32Array.from(part).buffer)) text += String.fromCharCode(byte);
  }
  return btoa(text);
}

const largest = (samples) => samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
