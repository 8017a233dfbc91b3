// A phrase where an instrument is at home, as a plain tone: what its model is given to play again.

import { RATE, scaled, toHz } from './voices.js';

/** Steps of a scale above the lowest note, and lengths in beats; null is a rest. @type {[number | null, number][]} */
const MOTIF = [[0, 1], [2, 0.5], [4, 0.5], [7, 1.5], [5, 0.5], [4, 2], [null, 0.5], [9, 1], [7, 0.5], [4, 0.5], [2, 0.5], [0, 2.5]];
const HIGHEST_STEP = 9;
const BEAT_SECS = 0.5;
const VIBRATO_HZ = 5.5;
const VIBRATO_SEMITONES = 0.2;
const ATTACK_SECS = 0.03;
const RELEASE_SECS = 0.08;
const HIGHEST_HZ = 0.45 * RATE;

/**
 * The motif around the middle of an instrument's range, its level rising and falling with each note.
 * @param {{statistics: {pitch_midi: {quantiles: {p50: number}}}}} settings  settings.json
 * @returns {{samples: Float32Array, sampleRate: number}}
 */
export function plainPhrase({ statistics }) {
  const lowest = Math.round(statistics.pitch_midi.quantiles.p50 - HIGHEST_STEP / 2);
  const beats = MOTIF.reduce((sum, [, length]) => sum + length, 0);
  const samples = new Float32Array(Math.ceil(beats * BEAT_SECS * RATE));
  let at = 0;
  for (const [step, length] of MOTIF) {
    const end = at + length;
    const out = samples.subarray(Math.round(at * BEAT_SECS * RATE), Math.round(end * BEAT_SECS * RATE));
    if (step !== null) tone(out, lowest + step);
    at = end;
  }
  return { samples: scaled(samples), sampleRate: RATE };
}

/** Harmonics that fall by 6 dB an octave, as of a sawtooth, with vibrato. @param {Float32Array} out @param {number} midi */
function tone(out, midi) {
  const seconds = out.length / RATE;
  const partials = Math.floor(HIGHEST_HZ / toHz(midi + VIBRATO_SEMITONES));
  let phase = 0;
  for (let i = 0; i < out.length; i++) {
    const now = i / RATE;
    const vibrato = VIBRATO_SEMITONES * Math.min(1, now / 0.4) * Math.sin(2 * Math.PI * VIBRATO_HZ * now);
    phase = (phase + toHz(midi + vibrato) / RATE) % 1;
    const edge = Math.min(1, now / ATTACK_SECS, (seconds - now) / RELEASE_SECS);
    const swell = 0.5 + 0.5 * Math.sin((Math.PI * now) / seconds);
    let sum = 0;
    for (let k = 1; k <= partials; k++) sum += Math.sin(2 * Math.PI * k * phase) / k;
    out[i] = edge * swell * sum;
  }
}
