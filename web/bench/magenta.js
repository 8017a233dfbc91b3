// @magenta/music's DDSP class on the audio that ours plays: seconds of computing per second of sound.

import { singing } from '../validation/singing.js';
import { script } from '../validation/tfjs-in-page.js';

const RATE = 16000;
const FRAME_SECS = 64 / RATE;
/** SPICE, its pitch tracker, has a frame every 512 samples. */
const PITCH_FRAME_SECS = 512 / RATE;

/** Pitch and loudness as its own analysis would find them: known here, so not counted against it. */
function features(seconds) {
  const samples = singing(seconds, RATE);
  const notes = [57, 60, 64, 62, 55, 67];
  const pitchFrames = Math.ceil(seconds / PITCH_FRAME_SECS);
  const f0 = Array.from({ length: pitchFrames }, (_, i) => {
    return 440 * 2 ** ((notes[Math.floor(i * PITCH_FRAME_SECS) % notes.length] - 69) / 12);
  });
  const loudness = Array.from({ length: Math.ceil(seconds / FRAME_SECS) }, (_, i) => {
    const part = samples.subarray(i * 64, i * 64 + 1024);
    const power = part.reduce((sum, x) => sum + x * x, 0) / part.length;
    return Math.max(-120, 10 * Math.log10(power + 1e-12) - 20.7);
  });
  return { f0_hz: f0, confidences: f0.map(() => 1), loudness_db: loudness, originalRecordedBufferLength: seconds * RATE };
}

/** @param {{url: string, seconds: number, repeats: number}} given */
export async function magenta({ url, seconds, repeats }) {
  await script('/clients/magentamusic-1.23.1.js');
  const model = new globalThis.mm.DDSP(new URL(url, location.href).href);
  const start = performance.now();
  await model.initialize();
  const initMs = performance.now() - start;
  const factors = [];
  let samples;
  for (let i = 0; i < repeats; i++) {
    const began = performance.now();
    samples = await model.synthesize(features(seconds), { postGain: 1 });
    factors.push((performance.now() - began) / 1000 / seconds);
  }
  return { initMs, rtf: Math.min(...factors), samples: samples.length, finite: samples.every(Number.isFinite) };
}
