// What the tests in a browser call in the page; see tests/web/ of the repository.

import { loadBundle } from '../src/bundle.js';
import { Engine } from '../src/engine.js';
import { instantiatePlain } from '../src/engine-plain.js';
import { loadInstrument } from '../src/instrument.js';
import { Player } from '../src/player.js';
import { TfjsDecoder } from '../src/tfjs.js';
import { Histogram, chooseOctaves, foldOctaves, matchLevel } from '../src/transfer.js';
import { Voice, playThrough } from '../src/voice.js';

async function engineFor(instrument, rate, plain) {
  if (plain) return new Engine(instantiatePlain(), instrument, rate);
  const bytes = await (await fetch('/src/engine.wasm')).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes);
  return new Engine(instance.exports, instrument, rate);
}

/** Controls of a model over frames [[pitch, level], …], scaled. */
export async function decode({ url, inputs, plain }) {
  const engine = await engineFor(await loadInstrument(url), 48000, plain);
  return inputs.map(([pitch, level]) => {
    engine.decodeInputs(pitch, level);
    return [...engine.readControls()];
  });
}

/** Audio of given controls and pitches. */
export async function synthesise({ settings, controls, f0, rate, plain }) {
  const program = {
    setup: new Int32Array(0), frame: new Int32Array(0), size: controls[0].length, constants: [],
    inputs: 0, state: 0, controls: 0, stateSize: 0, controlCount: controls[0].length, flopsPerFrame: 0,
  };
  const engine = await engineFor({ settings, program }, rate, plain);
  const output = new Float32Array(Math.floor(((f0.length - 1) * settings.hop * rate) / settings.sample_rate_hz));
  const show = (i) => {
    engine.writeControls(Float32Array.from(controls[i]));
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
  return [...output];
}

/** Levels of a recording, one each `hop` samples, each over the 512 samples before. */
export async function levels({ url, samples, hop, rate }) {
  const engine = await engineFor(await loadInstrument(url), rate, false);
  const result = [];
  for (let at = 0; at + hop <= samples.length; at += hop) {
    engine.hear(Float32Array.from(samples.slice(at, at + hop)));
    result.push([engine.exports.heardLevel(true), engine.energy()]);
  }
  return result;
}

/** The decisions of a transfer. */
export function transfer({ midi, target, levelsDb, source, level, notes }) {
  const histogram = new Histogram({ start: 0, width: 0.25, count: 512 });
  midi.forEach((note) => histogram.add(note));
  return {
    octaves: chooseOctaves(histogram, target),
    folded: notes.map((note) => foldOctaves(note, target)),
    levels: levelsDb.map((db) => matchLevel(db, source, level)),
  };
}

/** A recording played by a model, by the voice itself: what is played, and its frames. */
export async function play({ url, samples, rate, plain }) {
  const instrument = await loadInstrument(url);
  const frames = [];
  const voice = new Voice(await engineFor(instrument, rate, plain), instrument.settings, { onFrame: (frame) => frames.push(frame) });
  return { output: [...playThrough(voice, Float32Array.from(samples))], frames };
}

/** The same through player and worklet, in an offline context. */
export async function playByWorklet({ url, samples, rate, plain }) {
  const context = new OfflineAudioContext(1, samples.length, rate);
  const player = await Player.create(context, { plain });
  player.output.connect(context.destination);
  player.play(await loadInstrument(url));
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
  buffer.copyToChannel(Float32Array.from(samples), 0);
  const node = new AudioBufferSourceNode(context, { buffer });
  node.connect(player.input);
  node.start();
  return [...(await context.startRendering()).getChannelData(0)];
}

const PACKAGES = '/node_modules/@tensorflow';

function script(url) {
  return new Promise((resolve, reject) => {
    const tag = Object.assign(document.createElement('script'), { src: url, onload: resolve, onerror: reject });
    document.head.append(tag);
  });
}

/** Controls by TensorFlow.js on one of its backends; also how many tensors stay behind. */
export async function decodeByTfjs({ url, inputs, backend, flags = {} }) {
  for (const file of ['tfjs-core/dist/tf-core', 'tfjs-converter/dist/tf-converter', `tfjs-backend-${backend}/dist/tf-backend-${backend}`]) {
    await script(`${PACKAGES}/${file}.min.js`);
  }
  const { tf } = globalThis;
  for (const [name, value] of Object.entries(flags)) tf.env().set(name, value);
  if (backend === 'wasm') tf.wasm.setWasmPaths(`${PACKAGES}/tfjs-backend-wasm/dist/`);
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no ${backend} here`);
  await tf.ready();
  const before = tf.memory().numTensors;
  const decoder = await TfjsDecoder.create(await loadBundle(url), { tf, loadGraphModel: tf.loadGraphModel });
  const controls = [];
  for (const frame of inputs) controls.push([...(await decoder.step(frame))]);
  decoder.dispose();
  return { controls, leaked: tf.memory().numTensors - before };
}

