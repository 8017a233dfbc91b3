// The harmonic oscillators, as tinytimbre/synthesis/oscillators.py defines them, at any sample rate: phase in float64
// modulo one turn, so it stays exact for as long as one plays.

import { cosineOf, sineOf, turn, turnedCosine } from './maths';

let count: i32 = 0;
let modelNyquist: f64 = 8000;
let contextRate: f64 = 48000;
let highest: f64 = 8000;

let cycles: f64 = 0;
let fromHz: f64 = 0;
let toHz: f64 = 0;
let from = new StaticArray<f64>(0);
let to = new StaticArray<f64>(0);

export function openHarmonics(harmonics: i32, modelRate: i32, rate: i32): void {
  count = harmonics;
  modelNyquist = <f64>modelRate / 2;
  contextRate = <f64>rate;
  highest = min(modelNyquist, contextRate / 2);
  cycles = 0;
  from = new StaticArray<f64>(count);
  to = new StaticArray<f64>(count);
}

/** The frame to move towards: amplitude and distribution float32 [1 + harmonics] at `controls`, pitch `f0Hz` > 0. */
export function nextHarmonics(controls: usize, f0Hz: f64): void {
  fromHz = toHz;
  toHz = f0Hz;
  const spent = from;
  from = to;
  to = spent;
  const amplitude = <f64>load<f32>(controls);
  let total = 0.0;
  for (let k = 0; k < count; k++) {
    const audible = f0Hz * <f64>(k + 1) < modelNyquist;
    const share = audible ? <f64>load<f32>(controls + (<usize>(k + 1) << 2)) : 0.0;
    unchecked((to[k] = share));
    total += share;
  }
  const scale = total > 0 ? amplitude / total : 0.0;
  for (let k = 0; k < count; k++) unchecked((to[k] = to[k] * scale));
}

/** Writes `n` samples to float32 `out`, the first at the share `position` of the way, each `step` further. */
export function renderHarmonics(out: usize, n: i32, position: f64, step: f64): void {
  openFade(position, step);
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 4 <= n; i += 4) renderFour(out + (<usize>i << 2), position + <f64>i * step, step);
  }
  for (; i < n; i++) renderOne(out + (<usize>i << 2), position + <f64>i * step);
}

/** cos(pi p) for the next sample and the one before it: the next but one follows by the recurrence of cosines. */
let fade: f64 = 1;
let fadeBefore: f64 = 1;
let fadeTwice: f64 = 2;

function openFade(position: f64, step: f64): void {
  fade = turnedCosine(position * 0.5);
  fadeBefore = turnedCosine((position - step) * 0.5);
  fadeTwice = 2.0 * turnedCosine(step * 0.5);
}

/** Moves the phase on by the sample at `position` and returns its pitch. */
// @ts-ignore: decorator
@inline
function advance(position: f64): f64 {
  const hz = fromHz + (toHz - fromHz) * position;
  cycles += hz / contextRate;
  cycles -= floor(cycles);
  return hz;
}

/** Share of the later frame in the next sample: the rising half of a Hann window. */
// @ts-ignore: decorator
@inline
function rising(): f64 {
  const now = fade;
  fade = fadeTwice * now - fadeBefore;
  fadeBefore = now;
  return 0.5 - 0.5 * now;
}

/** Harmonics below the highest frequency at pitch `hz`. */
// @ts-ignore: decorator
@inline
function audible(hz: f64): i32 {
  const most = Math.ceil(highest / hz) - 1.0;
  return <i32>max(0.0, min(most, <f64>count));
}

function renderOne(out: usize, position: f64): void {
  const hz = advance(position);
  turn(cycles);
  const twice = 2.0 * cosineOf();
  let before = 0.0;
  let now = sineOf();
  let falls = 0.0;
  let rises = 0.0;
  const most = audible(hz);
  for (let k = 0; k < most; k++) {
    falls += unchecked(from[k]) * now;
    rises += unchecked(to[k]) * now;
    const next = twice * now - before;
    before = now;
    now = next;
  }
  const share = rising();
  store<f32>(out, <f32>(falls * (1.0 - share) + rises * share));
}

/**
 * sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x), for four samples at once: each harmonic waits for the one
 * before, so two pairs side by side take hardly longer than one.
 */
function renderFour(out: usize, position: f64, step: f64): void {
  openFour(position, step);
  const only0 = v128.load(changetype<usize>(mosts));
  const only1 = v128.load(changetype<usize>(mosts), 16);
  const twice0 = v128.load(changetype<usize>(twices));
  const twice1 = v128.load(changetype<usize>(twices), 16);
  let now0 = v128.load(changetype<usize>(sines));
  let now1 = v128.load(changetype<usize>(sines), 16);
  let before0 = f64x2.splat(0);
  let before1 = f64x2.splat(0);
  let falls0 = before0;
  let falls1 = before0;
  let rises0 = before0;
  let rises1 = before0;
  const least = f64x2.min(only0, only1);
  const most = f64x2.max(only0, only1);
  const all = <i32>min(f64x2.extract_lane(least, 0), f64x2.extract_lane(least, 1));
  const any = <i32>max(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1));
  const start = changetype<usize>(from);
  const end = changetype<usize>(to);
  for (let k = 0; k < any; k++) {
    let heard0 = now0;
    let heard1 = now1;
    if (k >= all) {
      // A harmonic that crosses the limit among the four sounds in some of them.
      const number = f64x2.splat(<f64>k);
      heard0 = v128.and(now0, f64x2.lt(number, only0));
      heard1 = v128.and(now1, f64x2.lt(number, only1));
    }
    const a = v128.load64_splat(start + (<usize>k << 3));
    const b = v128.load64_splat(end + (<usize>k << 3));
    falls0 = f64x2.add(falls0, f64x2.mul(a, heard0));
    falls1 = f64x2.add(falls1, f64x2.mul(a, heard1));
    rises0 = f64x2.add(rises0, f64x2.mul(b, heard0));
    rises1 = f64x2.add(rises1, f64x2.mul(b, heard1));
    const next0 = f64x2.sub(f64x2.mul(twice0, now0), before0);
    const next1 = f64x2.sub(f64x2.mul(twice1, now1), before1);
    before0 = now0;
    before1 = now1;
    now0 = next0;
    now1 = next1;
  }
  storePair(out, falls0, rises0);
  storePair(out + 8, falls1, rises1);
}

/** Of four samples: sine and twice the cosine of the phase, and how many harmonics sound. */
const sines = new StaticArray<f64>(4);
const twices = new StaticArray<f64>(4);
const mosts = new StaticArray<f64>(4);

function openFour(position: f64, step: f64): void {
  for (let i = 0; i < 4; i++) {
    const hz = advance(position + <f64>i * step);
    turn(cycles);
    unchecked((sines[i] = sineOf()));
    unchecked((twices[i] = 2.0 * cosineOf()));
    unchecked((mosts[i] = <f64>audible(hz)));
  }
}

// @ts-ignore: decorator
@inline
function storePair(out: usize, falls: v128, rises: v128): void {
  const share0 = rising();
  const share1 = rising();
  store<f32>(out, <f32>(f64x2.extract_lane(falls, 0) * (1.0 - share0) + f64x2.extract_lane(rises, 0) * share0));
  store<f32>(out + 4, <f32>(f64x2.extract_lane(falls, 1) * (1.0 - share1) + f64x2.extract_lane(rises, 1) * share1));
}
