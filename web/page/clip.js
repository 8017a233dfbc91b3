// The built-in melody, hummed by arithmetic: a buzz through the resonances of an open vowel, with glides and vibrato.

const RATE = 16000;
const BEAT_SECS = 0.58;
/** MIDI note and length in beats; null is a breath. @type {[number | null, number][]} */
const MELODY = [
  [57, 1], [60, 0.5], [62, 0.5], [64, 1.5], [62, 0.5], [60, 0.75], [57, 0.25], [55, 0.5], [57, 2], [null, 0.5],
  [64, 1], [67, 0.5], [69, 1.5], [67, 0.5], [64, 0.5], [65, 0.5], [64, 0.5], [62, 0.5], [60, 1.5], [null, 0.25],
  [62, 0.5], [64, 0.5], [60, 0.5], [59, 0.5], [57, 2.5], [null, 0.5],
];
/** Resonances of an "ah": centre and width in Hz, gain. */
const VOWEL = [[700, 110, 1], [1150, 130, 0.6], [2500, 200, 0.2], [3300, 260, 0.1]];
const GLIDE_SECS = 0.06;
const EDGE_SECS = 0.05;
const VIBRATO_HZ = 5.4;
const VIBRATO_SEMITONES = 0.28;
const PEAK = 0.35;

/** Strength of a partial at `hz`: the voice's fall of 12 dB an octave through the vowel. @param {number} hz */
function strength(hz) {
  const resonance = VOWEL.reduce((sum, [centre, width, gain]) => sum + gain / (1 + ((hz - centre) / width) ** 2), 0.03);
  return (100 / hz) * resonance;
}

/** @param {number} midi */
const toHz = (midi) => 440 * 2 ** ((midi - 69) / 12);

/**
 * One note, from the pitch before it.
 * @param {Float32Array} out @param {number} start @param {number} end
 * @param {{midi: number, from: number, phase: number}} note @returns {number} the phase at its end, in turns
 */
function sing(out, start, end, { midi, from, phase }) {
  const length = end - start;
  const partials = Array.from({ length: Math.floor(RATE / 2 / toHz(midi + 1)) }, (_, k) => strength(toHz(midi) * (k + 1)));
  for (let i = 0; i < length; i++) {
    const seconds = i / RATE;
    const settled = Math.min(1, seconds / GLIDE_SECS);
    const vibrato = VIBRATO_SEMITONES * Math.min(1, seconds / 0.5) * Math.sin(2 * Math.PI * VIBRATO_HZ * seconds);
    phase = (phase + toHz(from + (midi - from) * settled + vibrato) / RATE) % 1;
    const edge = Math.min(1, seconds / EDGE_SECS, (length - i) / RATE / EDGE_SECS);
    const swell = (0.65 + 0.35 * Math.sin((Math.PI * i) / length)) * (0.35 + 0.65 * edge);
    out[start + i] = swell * sumOfSines(partials, phase);
  }
  return phase;
}

/** @param {number[]} partials @param {number} phase  in turns */
function sumOfSines(partials, phase) {
  const angle = 2 * Math.PI * phase;
  const twice = 2 * Math.cos(angle);
  let [before, now, sum] = [0, Math.sin(angle), 0];
  for (const partial of partials) {
    sum += partial * now;
    [before, now] = [now, twice * now - before];
  }
  return sum;
}

/** @returns {{samples: Float32Array, sampleRate: number}} */
export function makeClip() {
  const beats = MELODY.reduce((sum, [, length]) => sum + length, 0);
  const samples = new Float32Array(Math.ceil(beats * BEAT_SECS * RATE));
  let [at, from, phase] = [0, MELODY[0][0] ?? 57, 0];
  for (const [midi, length] of MELODY) {
    const start = Math.round(at * RATE);
    at += length * BEAT_SECS;
    if (midi === null) {
      from = NaN;
      continue;
    }
    phase = sing(samples, start, Math.min(Math.round(at * RATE), samples.length), { midi, from: Number.isNaN(from) ? midi : from, phase });
    from = midi;
  }
  const loudest = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return { samples: samples.map((x) => (x * PEAK) / loudest), sampleRate: RATE };
}
