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
  for (; i + 2 <= n; i += 2) renderPair(out + (<usize>i << 2), position + <f64>i * step, step);
  if (i < n) renderOne(out + (<usize>i << 2), position + <f64>i * step);
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

/** sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x), for two samples at once. */
function renderPair(out: usize, position: f64, step: f64): void {
  if (!ASC_FEATURE_SIMD) {
    renderOne(out, position);
    renderOne(out + 4, position + step);
    return;
  }
  const hz0 = advance(position);
  turn(cycles);
  let now = f64x2.splat(sineOf());
  let twice = f64x2.splat(2.0 * cosineOf());
  const hz1 = advance(position + step);
  turn(cycles);
  now = f64x2.replace_lane(now, 1, sineOf());
  twice = f64x2.replace_lane(twice, 1, 2.0 * cosineOf());
  let before = f64x2.splat(0);
  let falls = f64x2.splat(0);
  let rises = f64x2.splat(0);
  const most0 = audible(hz0);
  const most1 = audible(hz1);
  const both = min(most0, most1);
  const start = changetype<usize>(from);
  const end = changetype<usize>(to);
  for (let k = 0; k < both; k++) {
    falls = f64x2.add(falls, f64x2.mul(v128.load64_splat(start + (<usize>k << 3)), now));
    rises = f64x2.add(rises, f64x2.mul(v128.load64_splat(end + (<usize>k << 3)), now));
    const next = f64x2.sub(f64x2.mul(twice, now), before);
    before = now;
    now = next;
  }
  // A harmonic that crosses the limit between the two samples sounds in one of them.
  const only = f64x2(<f64>(most0 > both ? 1 : 0), <f64>(most1 > both ? 1 : 0));
  for (let k = both; k < max(most0, most1); k++) {
    const heard = f64x2.mul(now, only);
    falls = f64x2.add(falls, f64x2.mul(v128.load64_splat(start + (<usize>k << 3)), heard));
    rises = f64x2.add(rises, f64x2.mul(v128.load64_splat(end + (<usize>k << 3)), heard));
    const next = f64x2.sub(f64x2.mul(twice, now), before);
    before = now;
    now = next;
  }
  const share0 = rising();
  const share1 = rising();
  store<f32>(out, <f32>(f64x2.extract_lane(falls, 0) * (1.0 - share0) + f64x2.extract_lane(rises, 0) * share0));
  store<f32>(out + 4, <f32>(f64x2.extract_lane(falls, 1) * (1.0 - share1) + f64x2.extract_lane(rises, 1) * share1));
}
