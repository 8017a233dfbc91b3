// What is heard: the input at the model's sample rate, its level and its pitch over the most recent samples.

import { RealFft } from './fft';
import { log, turnedCosine } from './maths';
import { Resampler } from './resampler';

/** ddsp's frame for loudness and RMS energy (tinytimbre/features/loudness.py). */
const FRAME: i32 = 512;
const FLOOR: f64 = 1e-8; // -80 dB of power
const LN_10: f64 = 2.302585092994046;

const LOWEST_HZ: f64 = 46.875;
const HIGHEST_HZ: f64 = 2093.75;
/** Of all peaks, the first this close to the highest one is the period (McLeod and Wyvill 2005). */
const PEAK_SHARE: f64 = 0.9;
/** Mean square of what counts as silence to the tracker: -90 dB. */
const SILENCE: f64 = 1e-9;
/** A tone that has begun within the later half of the window is looked at alone. */
const BEGUN: f64 = 0.1;
/** Samples beyond full scale are held here; a broken stream must not blind the averages that follow it. */
const LOUDEST: f32 = 4;

const INPUT_ZEROS: i32 = 8;
export const MAX_BLOCK: i32 = 4096;

export const input = new StaticArray<f32>(MAX_BLOCK);
let resampler = new Resampler(1, 1, 1);
let source = new StaticArray<f32>(0);
let sourceEnd: i32 = 0;
let padding: i32 = 0;

let history = new StaticArray<f32>(0);
let historyEnd: i32 = 0;
let remembered: i32 = 0;

let levelFft = new RealFft(4);
let weights = new StaticArray<f32>(0);
let window = new StaticArray<f32>(0);
let framed = new StaticArray<f32>(0);

let pitchFft = new RealFft(4);
let rate: f64 = 16000;
let shortest: i32 = 0;
let longest: i32 = 0;
let width: i32 = 0;
/** Samples that the tracker looks at now, and the longest period it may find in them. */
let seen: i32 = 0;
let farthest: i32 = 0;
let wave = new StaticArray<f32>(0);
let correlation = new StaticArray<f32>(0);
let foundHz: f64 = 0;
let foundClarity: f64 = 0;

export function openInput(modelRate: i32, contextRate: i32): void {
  rate = <f64>modelRate;
  resampler = new Resampler(contextRate, modelRate, INPUT_ZEROS);
  padding = resampler.reach;
  source = new StaticArray<f32>(2 * MAX_BLOCK + 4 * padding);
  sourceEnd = padding;
  openLevel();
  openPitch();
  remembered = max(width, FRAME);
  const perBlock = <i32>Math.ceil((<f64>MAX_BLOCK * rate) / <f64>contextRate) + 2;
  history = new StaticArray<f32>(2 * remembered + perBlock);
  historyEnd = remembered;
}

function openLevel(): void {
  levelFft = new RealFft(FRAME);
  weights = new StaticArray<f32>(FRAME / 2 + 1);
  window = new StaticArray<f32>(FRAME);
  framed = new StaticArray<f32>(FRAME);
  for (let i = 0; i < FRAME; i++) window[i] = <f32>(0.5 - 0.5 * turnedCosine(<f64>i / <f64>FRAME));
  for (let k = 0; k <= FRAME / 2; k++) weights[k] = <f32>aWeight((<f64>k * rate) / <f64>FRAME);
}

/** A-weighting (IEC 61672-1, annex E) as a factor of power, at least -80 dB. */
function aWeight(hz: f64): f64 {
  const q = hz * hz;
  const a = 12194.217 * 12194.217;
  const below = (q + 20.598997 * 20.598997) * (q + a);
  const weight = (a * q * q) / (below * sqrt((q + 107.65265 * 107.65265) * (q + 737.86223 * 737.86223)));
  return max(FLOOR, weight * weight * 1.5848931924611136); // + 2 dB: 0 dB at 1 kHz
}

function openPitch(): void {
  shortest = <i32>Math.floor(rate / HIGHEST_HZ);
  longest = <i32>Math.floor(rate / LOWEST_HZ);
  width = 2 * longest;
  let size = 1;
  while (size < width + longest + 1) size <<= 1;
  pitchFft = new RealFft(size);
  wave = new StaticArray<f32>(size);
  correlation = new StaticArray<f32>(size);
}

/** Takes `n` samples from `input`; returns how many came out at the model's rate. */
export function hear(n: i32): i32 {
  for (let i = 0; i < n; i++) {
    const x = unchecked(input[i]);
    // NaN fails every comparison.
    unchecked((source[sourceEnd + i] = x >= -LOUDEST && x <= LOUDEST ? x : x > 0 ? LOUDEST : x < 0 ? -LOUDEST : 0));
  }
  sourceEnd += n;
  const before = historyEnd;
  const origin = changetype<usize>(source) + (<usize>padding << 2);
  while (resampler.ready(sourceEnd - padding)) {
    unchecked((history[historyEnd] = resampler.next(origin)));
    historyEnd += 1;
  }
  const made = historyEnd - before;
  forgetSource();
  forgetHistory();
  return made;
}

function forgetSource(): void {
  const spent = resampler.whole;
  if (spent <= 0) return;
  const start = changetype<usize>(source);
  memory.copy(start, start + (<usize>spent << 2), <usize>(sourceEnd - spent) << 2);
  sourceEnd -= spent;
  resampler.whole = 0;
}

function forgetHistory(): void {
  if (historyEnd <= 2 * remembered) return;
  const start = changetype<usize>(history);
  memory.copy(start, start + (<usize>(historyEnd - remembered) << 2), <usize>remembered << 2);
  historyEnd = remembered;
}

/** Level of the last 512 samples in dB, at least -80: A-weighted loudness, or RMS energy. */
export function heardLevel(loudness: bool): f64 {
  const start = changetype<usize>(history) + (<usize>(historyEnd - FRAME) << 2);
  const power = loudness ? weightedPower(start) : meanSquare(start, FRAME);
  return (10 / LN_10) * log(<f32>max(power, FLOOR));
}

function meanSquare(start: usize, n: i32): f64 {
  let sum = 0.0;
  for (let i = 0; i < n; i++) {
    const x = <f64>load<f32>(start + (<usize>i << 2));
    sum += x * x;
  }
  return sum / <f64>n;
}

function weightedPower(start: usize): f64 {
  for (let i = 0; i < FRAME; i++) {
    unchecked((framed[i] = load<f32>(start + (<usize>i << 2)) * window[i]));
  }
  levelFft.forward(changetype<usize>(framed));
  const re = levelFft.re;
  const im = levelFft.im;
  let sum = 0.0;
  for (let k = 0; k <= FRAME / 2; k++) {
    const r = <f64>unchecked(re[k]);
    const i = <f64>unchecked(im[k]);
    sum += (r * r + i * i) * <f64>unchecked(weights[k]);
  }
  return sum / <f64>(FRAME / 2 + 1);
}

/** Looks for the period of the most recent samples; `heardHz` and `heardClarity` then give what was found. */
export function followPitch(): void {
  foundHz = 0;
  foundClarity = 0;
  if (!takeWave()) return;
  correlate();
  normalise();
  pickPeriod();
}

export function heardHz(): f64 {
  return foundHz;
}

/** In [0, 1]: the normalised correlation at the period, 1 for a tone that repeats exactly. */
export function heardClarity(): f64 {
  return foundClarity;
}

/** The last samples without their mean; false for silence. */
function takeWave(): bool {
  const end = changetype<usize>(history) + (<usize>historyEnd << 2);
  const half = width / 2;
  const later = meanSquare(end - (<usize>half << 2), half);
  const earlier = meanSquare(end - (<usize>width << 2), half);
  if (later + earlier < SILENCE) return false;
  seen = earlier < BEGUN * later ? half : width;
  farthest = seen / 2;
  const start = end - (<usize>seen << 2);
  let mean = 0.0;
  for (let i = 0; i < seen; i++) mean += <f64>load<f32>(start + (<usize>i << 2));
  const offset = <f32>(mean / <f64>seen);
  for (let i = 0; i < seen; i++) unchecked((wave[i] = load<f32>(start + (<usize>i << 2)) - offset));
  for (let i = seen; i < width; i++) unchecked((wave[i] = 0));
  return true;
}

function correlate(): void {
  pitchFft.forward(changetype<usize>(wave));
  const re = pitchFft.re;
  const im = pitchFft.im;
  for (let k = 0; k <= pitchFft.size >> 1; k++) {
    unchecked((re[k] = re[k] * re[k] + im[k] * im[k]));
    unchecked((im[k] = 0));
  }
  pitchFft.inverse(changetype<usize>(correlation));
}

/** The normalised square difference of McLeod and Wyvill 2005: 2 r / m, in [-1, 1]. */
function normalise(): void {
  let m = 0.0;
  for (let i = 0; i < seen; i++) m += 2.0 * square(i);
  for (let lag = 0; lag <= farthest; lag++) {
    unchecked((correlation[lag] = m > 1e-12 ? <f32>((2.0 * <f64>correlation[lag]) / m) : 0));
    m -= square(lag) + square(seen - 1 - lag);
  }
}

// @ts-ignore: decorator
@inline
function square(i: i32): f64 {
  const x = <f64>unchecked(wave[i]);
  return x * x;
}

function isPeak(lag: i32): bool {
  const here = unchecked(correlation[lag]);
  return here > 0 && here > unchecked(correlation[lag - 1]) && here >= unchecked(correlation[lag + 1]);
}

function pickPeriod(): void {
  let first = 1;
  // The slope down from lag 0 is no period.
  while (first < farthest && unchecked(correlation[first]) > 0) first++;
  first = max(first, shortest);
  let highest = 0.0;
  for (let lag = first; lag < farthest; lag++) {
    if (isPeak(lag)) highest = max(highest, peakHeight(lag));
  }
  if (highest <= 0) return;
  let lag = first;
  while (!(isPeak(lag) && peakHeight(lag) >= PEAK_SHARE * highest)) lag++;
  foundHz = rate / (<f64>lag + peakShift(lag));
  foundClarity = min(1.0, peakHeight(lag));
}

/** How far from `lag` the parabola through a peak and its neighbours is highest, in samples. */
function peakShift(lag: i32): f64 {
  const before = <f64>unchecked(correlation[lag - 1]);
  const after = <f64>unchecked(correlation[lag + 1]);
  const bend = before - 2.0 * <f64>unchecked(correlation[lag]) + after;
  return bend < 0 ? (0.5 * (before - after)) / bend : 0.0;
}

/** Height of that parabola: between samples, short periods would seem weaker than they are. */
function peakHeight(lag: i32): f64 {
  const slope = <f64>unchecked(correlation[lag - 1]) - <f64>unchecked(correlation[lag + 1]);
  return <f64>unchecked(correlation[lag]) - 0.25 * slope * peakShift(lag);
}
