// Filtered noise at the model's sample rate, sample for sample that of tinytimbre/synthesis (noise.py, streaming.py),
// then brought to the context's rate.

import { RealFft } from './fft';
import { turnedCosine } from './maths';
import { Philox } from './philox';
import { Resampler } from './resampler';

const OUTPUT_ZEROS: i32 = 16;

let bands: i32 = 0;
let hop: i32 = 0;
let fft = new RealFft(4);
/** [bands, size / 2 + 1]: real gain per frequency of the response that each magnitude asks for. */
let gains = new StaticArray<f32>(0);
let frame = new StaticArray<f32>(0);
let generator = new Philox(0);
let frameNumber: i32 = 0;

/** Overlapping tails; the sample number 0 lies at `padding`. */
let mixed = new StaticArray<f32>(0);
let padding: i32 = 0;
/** Where the next frame goes, and the first sample that is not complete before it comes. */
let written: i32 = 0;
let resampler = new Resampler(1, 1, 1);

export function openNoise(noiseBands: i32, modelHop: i32, modelRate: i32, contextRate: i32, seed: i32): void {
  bands = noiseBands;
  hop = modelHop;
  let size = 4;
  while (size < hop + taps() - 1) size <<= 1;
  fft = new RealFft(size);
  frame = new StaticArray<f32>(max(size, hop));
  gains = new StaticArray<f32>(bands * (size / 2 + 1));
  fillGains();
  generator = new Philox(seed);
  resampler = new Resampler(modelRate, contextRate, OUTPUT_ZEROS);
  padding = 2 * resampler.reach;
  mixed = new StaticArray<f32>(2 * padding + 4 * hop + 2 * size);
  restartNoise();
}

/** Length of a frame's impulse response. */
function taps(): i32 {
  return 2 * (bands - 1);
}

/** What ddsp cuts off at the front to undo the filter's delay. */
function skipped(): i32 {
  return max((taps() - 1) / 2 - 1, 0);
}

/** Silence, and the frames that follow begin anew. */
export function restartNoise(): void {
  memory.fill(changetype<usize>(mixed), 0, <usize>mixed.length << 2);
  written = 0;
  // Hops shorter than the filters' reach: a frame more would be needed, so the noise comes later by what is missing.
  resampler.restart(skipped() - max(0, skipped() + resampler.reach - hop));
}

/** Frames of noise count from here: the same number gives the same noise. */
export function countNoiseFrom(number: i32): void {
  frameNumber = number;
}

/** Frequency sampling, Hann-windowed: the transform of each band's own zero-phase response. */
function fillGains(): void {
  const size = fft.size;
  const length = taps();
  const bins = size / 2 + 1;
  for (let band = 0; band < bands; band++) {
    const weight = (band == 0 || band == bands - 1 ? 1.0 : 2.0) / <f64>length;
    memory.fill(changetype<usize>(frame), 0, <usize>size << 2);
    for (let n = -length / 2; n < length / 2; n++) {
      const hann = 0.5 + 0.5 * turnedCosine(<f64>n / <f64>length);
      const wave = turnedCosine(<f64>(band * n) / <f64>length);
      frame[(n + size) % size] = <f32>(weight * wave * hann);
    }
    fft.forward(changetype<usize>(frame));
    for (let k = 0; k < bins; k++) gains[band * bins + k] = fft.re[k];
  }
}

/** Adds the next frame, filtered to the magnitudes float32 [bands] at `magnitudes`. */
export function addNoiseFrame(magnitudes: usize): void {
  makeRoom();
  const size = fft.size;
  generator.fill(frame, hop, frameNumber);
  frameNumber += 1;
  for (let i = hop; i < size; i++) unchecked((frame[i] = 0));
  fft.forward(changetype<usize>(frame));
  shape(magnitudes);
  fft.inverse(changetype<usize>(frame));
  // Zero phase: what lies before the frame stands at the array's end.
  const delay = taps() / 2;
  for (let n = -delay; n < size - delay; n++) {
    const at = padding + written + delay + n;
    unchecked((mixed[at] = mixed[at] + frame[n < 0 ? n + size : n]));
  }
  written += hop;
}

function shape(magnitudes: usize): void {
  const bins = fft.size / 2 + 1;
  const re = fft.re;
  const im = fft.im;
  let k = 0;
  if (ASC_FEATURE_SIMD) {
    for (; k + 4 <= bins; k += 4) {
      let sum = f32x4.splat(0);
      let row = changetype<usize>(gains) + (<usize>k << 2);
      for (let band = 0; band < bands; band++) {
        sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(magnitudes + (<usize>band << 2)), v128.load(row)));
        row += <usize>bins << 2;
      }
      const r = changetype<usize>(re) + (<usize>k << 2);
      const i = changetype<usize>(im) + (<usize>k << 2);
      v128.store(r, f32x4.mul(v128.load(r), sum));
      v128.store(i, f32x4.mul(v128.load(i), sum));
    }
  }
  for (; k < bins; k++) {
    let sum: f32 = 0;
    for (let band = 0; band < bands; band++) {
      sum += load<f32>(magnitudes + (<usize>band << 2)) * unchecked(gains[band * bins + k]);
    }
    unchecked((re[k] = re[k] * sum));
    unchecked((im[k] = im[k] * sum));
  }
}

/** Drops what has been read, so that a frame fits. */
function makeRoom(): void {
  const spent = min(resampler.whole, written);
  const length = mixed.length;
  if (spent <= 0) return;
  const start = changetype<usize>(mixed);
  memory.copy(start, start + (<usize>spent << 2), <usize>(length - spent) << 2);
  memory.fill(start + (<usize>(length - spent) << 2), 0, <usize>spent << 2);
  written -= spent;
  resampler.whole -= spent;
}

/** Adds `n` samples of noise at the context's rate to float32 `out`. */
export function mixNoise(out: usize, n: i32): void {
  const origin = changetype<usize>(mixed) + (<usize>padding << 2);
  for (let i = 0; i < n; i++) {
    const o = out + (<usize>i << 2);
    store<f32>(o, load<f32>(o) + resampler.next(origin));
  }
}
