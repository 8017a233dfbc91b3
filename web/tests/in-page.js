// What the tests in a browser call in the page; see tests/web/ of the repository.

import { loadBundle } from '../src/bundle.js';
import { Engine } from '../src/engine.js';
import { instantiatePlain } from '../src/engine-plain.js';
import { loadInstrument } from '../src/instrument.js';
import { Player } from '../src/player.js';
import { playThrough } from '../src/rendering.js';
import { Histogram, chooseOctaves, foldOctaves, matchLevel } from '../src/transfer.js';
import { Voice } from '../src/voice.js';
import { decodeByEngine, decodeByTfjs as tfjsControls, synthesise as soundOf } from '../validation/checks.js';
import { playOffline } from '../validation/offline.js';
import { useBackend } from '../validation/tfjs-in-page.js';

async function engineFor(instrument, rate, plain) {
  if (plain) return new Engine(instantiatePlain(), instrument, rate);
  const bytes = await (await fetch('/src/engine.wasm')).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes);
  return new Engine(instance.exports, instrument, rate);
}

/** Controls of a model over frames [[pitch, level], …], scaled. */
export async function decode({ url, inputs, plain }) {
  return decodeByEngine(await engineFor(await loadInstrument(url), 48000, plain), inputs).map((controls) => [...controls]);
}

/** Audio of given controls and pitches. */
export async function synthesise({ settings, controls, f0, rate, plain }) {
  const program = {
    setup: new Int32Array(0), frame: new Int32Array(0), size: controls[0].length, constants: [],
    inputs: 0, state: 0, controls: 0, stateSize: 0, controlCount: controls[0].length, flopsPerFrame: 0,
  };
  const engine = await engineFor({ settings, program }, rate, plain);
  return [...soundOf(engine, controls.map((frame) => Float32Array.from(frame)), f0)];
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

/** A recording played by a model, by the voice itself: what is played, what of it comes before a room, and its frames. */
export async function play({ url, samples, rate, plain }) {
  const instrument = await loadInstrument(url);
  const frames = [];
  const voices = [[], frames].map(async (list) =>
    new Voice(await engineFor(instrument, rate, plain), instrument.settings, { onFrame: (frame) => list.push(frame) }));
  const [first, second] = await Promise.all(voices);
  const dry = new Float32Array(samples.length);
  first.process(Float32Array.from(samples), dry);
  return { output: [...playThrough(second, Float32Array.from(samples))], dry: [...dry], frames };
}

/** The same through player and worklet, in an offline context; also the recording that the player makes of it. */
export async function playByWorklet({ url, samples, rate, plain }) {
  let recording = [];
  const recorded = async (file) => {
    recording = await samplesOf(file);
  };
  const { output } = await playOffline(await loadInstrument(url), Float32Array.from(samples), rate, { plain, recorded });
  return { output: [...output], recorded: recording };
}

/** Of a WAV file, as integers. @param {Blob} file */
async function samplesOf(file) {
  return [...new Int16Array((await file.arrayBuffer()).slice(44))];
}

/**
 * Plays live from the microphone and records it, until a tone has come and gone and a room has rung after it: what was
 * heard while it sounded, and what the recording has.
 */
export async function recordLive({ url, ringSecs }) {
  const context = new AudioContext();
  const player = await Player.create(context);
  const ear = new AnalyserNode(context, { fftSize: 32768 });
  player.output.connect(ear).connect(context.destination);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  context.createMediaStreamSource(stream).connect(player.input);
  player.startRecording();
  player.play(await loadInstrument(url));
  const heard = new Float32Array(ear.fftSize);
  await new Promise((resolve) => {
    let [listened, silentFrom] = [false, Infinity];
    player.addEventListener('frames', ({ detail }) => {
      if (!listened) {
        ear.getFloatTimeDomainData(heard);
        listened = heard.some((x) => Math.abs(x) > 0.003);
      } else if (detail.at(-1).gain === 0) silentFrom = Math.min(silentFrom, context.currentTime);
      if (context.currentTime > silentFrom + ringSecs) resolve();
    });
  });
  const recorded = await samplesOf(await player.stopRecording());
  stream.getTracks().forEach((track) => track.stop());
  const { sampleRate } = context;
  await context.close();
  return { heard: [...heard], recorded, sampleRate };
}

/** Controls by TensorFlow.js on one of its backends; also how many tensors stay behind. */
export async function decodeByTfjs({ url, inputs, backend, flags = {} }) {
  const { controls, leaked } = await tfjsControls(await useBackend(backend, flags), await loadBundle(url), inputs);
  return { controls: controls.map((frame) => [...frame]), leaked };
}
