// What benchmarks/web.py measures in the page.

import { loadBundle } from '../src/bundle.js';
import { Engine } from '../src/engine.js';
import { loadInstrument } from '../src/instrument.js';
import { Player } from '../src/player.js';
import { TfjsDecoder } from '../src/tfjs.js';
import { Voice } from '../src/voice.js';
import { playOffline } from '../validation/offline.js';
import { singing } from '../validation/singing.js';
import { useBackend } from '../validation/tfjs-in-page.js';
import { mflopsByStage } from './flops.js';

const RATE = 48000;
const QUANTUM = 128;
const heap = () => {
  globalThis.gc?.();
  return performance.memory.usedJSHeapSize;
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `render` will play, so that making it is not counted. */
let prepared = { instrument: /** @type {any} */ (null), samples: new Float32Array(0) };

export async function prepare({ url, seconds }) {
  prepared = { instrument: await loadInstrument(url), samples: singing(seconds, RATE) };
}

/** Plays what was prepared once; wall seconds per second of sound, worklet and all, on one thread. */
export async function render({ plain }) {
  const { instrument, samples } = prepared;
  return ((await playOffline(instrument, samples, RATE, { plain })).seconds * RATE) / samples.length;
}

/** From a tone's first sample at the input to the output's first at a tenth of its peak, in ms, sorted. */
export async function latencies({ url }) {
  const instrument = await loadInstrument(url);
  const found = [];
  for (const hz of [98, 147, 220, 330, 440, 880]) {
    for (let offset = 0; offset < 0.02; offset += 0.0031) {
      const begin = Math.round((0.3 + offset) * RATE);
      const samples = new Float32Array(0.8 * RATE);
      for (let i = begin; i < samples.length; i++) {
        for (let k = 1; k <= 5; k++) samples[i] += (0.15 / k) * Math.sin((2 * Math.PI * k * hz * (i - begin)) / RATE);
      }
      const { output } = await playOffline(instrument, samples, RATE);
      const peak = output.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      found.push((1000 * (output.findIndex((x) => Math.abs(x) > 0.1 * peak) - begin)) / RATE);
    }
  }
  return found.sort((a, b) => a - b);
}

/** Plays live for a while; what the browser says of underruns, and the heap before and after. */
export async function live({ url, seconds }) {
  const context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
  await context.resume();
  const player = await Player.create(context);
  player.output.connect(context.destination);
  player.play(await loadInstrument(url));
  const buffer = new AudioBuffer({ length: 12 * RATE, sampleRate: RATE });
  buffer.copyToChannel(singing(12, RATE), 0);
  const node = new AudioBufferSourceNode(context, { buffer, loop: true });
  node.connect(player.input);
  node.start();
  let frames = 0;
  player.addEventListener('frames', (event) => (frames += event.detail.length));
  await pause(5000);
  const before = { heap: heap(), underruns: context.playbackStats?.underrunEvents ?? null };
  await pause(1000 * seconds);
  const stats = context.playbackStats;
  const result = {
    underruns: stats ? stats.underrunEvents - before.underruns : null,
    latencyMs: stats ? 1000 * stats.averageLatency : null,
    baseLatencyMs: 1000 * context.baseLatency,
    heapGrowth: heap() - before.heap,
    frames,
  };
  await context.close();
  return result;
}

/**
 * What the worklet does over and over, done here, where the heap can be looked at: its growth over so much sound.
 * @returns {Promise<number>} bytes
 */
export async function growth({ url, seconds }) {
  const instrument = await loadInstrument(url);
  const bytes = await (await fetch('/src/engine.wasm')).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes);
  const voice = new Voice(new Engine(instance.exports, instrument, RATE), instrument.settings, { onFrame: () => {} });
  const song = singing(12, RATE);
  const output = new Float32Array(QUANTUM);
  const play = (/** @type {number} */ secs) => {
    for (let at = 0; at < secs * RATE; at += QUANTUM) {
      const from = at % song.length;
      voice.process(song.subarray(from, from + QUANTUM), output);
    }
  };
  play(24);
  const before = heap() + instance.exports.memory.buffer.byteLength;
  play(seconds);
  return heap() + instance.exports.memory.buffer.byteLength - before;
}

export async function stages({ url, f0 }) {
  return mflopsByStage(await loadInstrument(url), { rate: RATE, f0 });
}

/** TensorFlow.js on WebAssembly over many frames: tensors left behind, ms a frame. */
export async function tensors({ url, frames }) {
  const { tf, loadGraphModel } = await useBackend('wasm');
  const before = tf.memory().numTensors;
  const decoder = await TfjsDecoder.create(await loadBundle(url), { tf, loadGraphModel });
  const start = performance.now();
  for (let i = 0; i < frames; i++) await decoder.step([0.5 + 0.1 * Math.sin(i / 30), 0.6 + 0.2 * Math.sin(i / 17)]);
  const msPerFrame = (performance.now() - start) / frames;
  decoder.dispose();
  return { leaked: tf.memory().numTensors - before, msPerFrame };
}
