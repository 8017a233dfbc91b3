// Floating-point operations per second of sound, stage by stage, counted from the formulas of assembly/.

const SIGHTS_PER_SEC = 100;
const PITCH_FFT = 1024;
const FRAME = 512;
const INPUT_ZEROS = 8;
const OUTPUT_TAPS = 32;
const PASS_BAND = 0.92;
/** Sine and cosine of the phase (`turn`), phase, pitch, fade and mixing. */
const PER_SAMPLE = 56;
/** Recurrence (2) and two weighted sums (4). */
const PER_HARMONIC = 6;

/** The usual count of a real transform: half of a complex one's 5 n log2 n. @param {number} n */
const fft = (n) => 2.5 * n * Math.log2(n);

/**
 * The least that any way of convolving costs, as tinytimbre/synthesis/reverb.py counts; the browser's own convolver,
 * which splits the response for the sake of latency, pays two or three times as much, in other threads.
 * @param {{response_secs: number}} room @param {number} rate
 */
function roomFlops({ response_secs: secs }, rate) {
  const block = 2 ** Math.ceil(Math.log2(Math.round(secs * rate)));
  return ((2 * fft(2 * block) + 6 * (block + 1)) * rate) / block;
}

/**
 * @param {{settings: any, program: any}} instrument @param {{rate: number, f0: number}} at  context's rate, pitch played
 * @returns {Record<string, number>} MFLOP/s
 */
export function mflopsByStage({ settings, program }, { rate, f0 }) {
  const { sample_rate_hz: modelRate, frame_rate_hz: frames, hop, noise_bands: bands } = settings;
  const lags = Math.floor(modelRate / 46.875);
  const inputTaps = 2 * Math.ceil((INPUT_ZEROS * Math.max(1, rate / modelRate / PASS_BAND)) / 2) * 2;
  const audible = Math.min(settings.harmonics, Math.ceil(modelRate / 2 / f0) - 1);
  const noiseSize = 2 ** Math.ceil(Math.log2(hop + 2 * (bands - 1) - 1));
  const noiseFrame = 2 * fft(noiseSize) + (2 * bands + 2) * (noiseSize / 2 + 1) + 2 * noiseSize;
  const sight = 2 * fft(PITCH_FFT) + 3 * (PITCH_FFT / 2) + 8 * lags + 10 * 2 * lags + 2 * FRAME;
  const level = fft(FRAME) + FRAME + 4 * (FRAME / 2);
  /** @type {Record<string, number>} */
  const stages = {
    decimation: modelRate * 2 * inputTaps,
    pitch: SIGHTS_PER_SEC * sight,
    level: frames * level,
    decoder: frames * program.flopsPerFrame,
    harmonics: rate * (PER_HARMONIC * audible + PER_SAMPLE),
    noise: frames * noiseFrame + rate * 2 * OUTPUT_TAPS,
    'fade and limit': rate * 6,
  };
  if (settings.reverb) stages.room = roomFlops(settings.reverb, rate);
  return Object.fromEntries(Object.entries(stages).map(([name, flops]) => [name, flops / 1e6]));
}
