// Sample rate conversion by a windowed sinc at exact, rational positions; equal rates pass through bit for bit.

import { cosineOf, sineOf, turn } from './maths';

/** Kaiser's parameter: side lobes of the window 80 dB down. */
const KAISER: f64 = 8.0;
/** Going down, the pass band ends here, as a share of the new Nyquist frequency. */
const PASS_BAND: f64 = 0.92;

export class Resampler {
  /** Source samples on either side of a position that its value depends on. */
  reach: i32;
  private phases: i32;
  private step: i32;
  private taps: i32;
  private kernels: StaticArray<f32> = new StaticArray<f32>(0);
  /** Position of the next output in the source: whole samples and a share `phase / phases`. */
  whole: i32 = 0;
  private phase: i32 = 0;

  /** @param zeros zero crossings of the sinc on either side, at the lower of both rates */
  constructor(from: i32, to: i32, zeros: i32) {
    const divisor = greatestDivisor(from, to);
    this.phases = to / divisor;
    this.step = from / divisor;
    const share = from > to ? (<f64>to / <f64>from) * PASS_BAND : 1.0;
    // Taps come in fours.
    const reach = from == to ? 2 : ((<i32>Math.ceil(<f64>zeros / share) + 1) / 2) * 2;
    this.reach = reach;
    this.taps = 2 * reach;
    this.kernels = new StaticArray<f32>(this.phases * this.taps);
    for (let p = 0; p < this.phases; p++) this.fill(p, <f64>p / <f64>this.phases, share);
  }

  private fill(phase: i32, offset: f64, share: f64): void {
    const scale = 1.0 / bessel(KAISER);
    for (let i = 0; i < this.taps; i++) {
      const x = <f64>(i - this.reach + 1) - offset;
      const edge = x / <f64>this.reach;
      const window = abs(edge) < 1.0 ? bessel(KAISER * sqrt(1.0 - edge * edge)) * scale : 0.0;
      this.kernels[phase * this.taps + i] = <f32>(sinc(x * share) * share * window);
    }
  }

  /** True if the next output needs no source sample from `end` on. */
  ready(end: i32): bool {
    return this.whole + this.reach < end;
  }

  /** The next output; `source` holds the sample number 0, samples before it must exist as far as `reach`. */
  next(source: usize): f32 {
    const x = source + (<usize>(this.whole - this.reach + 1) << 2);
    const w = changetype<usize>(this.kernels) + (<usize>(this.phase * this.taps) << 2);
    const end = w + (<usize>this.taps << 2);
    const sum = ASC_FEATURE_SIMD ? productsBySimd(x, w, end) : products(x, w, end);
    this.phase += this.step;
    this.whole += this.phase / this.phases;
    this.phase %= this.phases;
    return sum;
  }

  restart(whole: i32): void {
    this.whole = whole;
    this.phase = 0;
  }
}

/** Sum of products in four parts, as four lanes have them, so that every build gives the same bits. */
function products(x: usize, w: usize, end: usize): f32 {
  let s0: f32 = 0;
  let s1: f32 = 0;
  let s2: f32 = 0;
  let s3: f32 = 0;
  while (w < end) {
    s0 += load<f32>(x) * load<f32>(w);
    s1 += load<f32>(x, 4) * load<f32>(w, 4);
    s2 += load<f32>(x, 8) * load<f32>(w, 8);
    s3 += load<f32>(x, 12) * load<f32>(w, 12);
    x += 16;
    w += 16;
  }
  return s0 + s1 + (s2 + s3);
}

function productsBySimd(x: usize, w: usize, end: usize): f32 {
  let sum = f32x4.splat(0);
  while (w < end) {
    sum = f32x4.add(sum, f32x4.mul(v128.load(x), v128.load(w)));
    x += 16;
    w += 16;
  }
  const low = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1);
  return low + (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
}

function greatestDivisor(a: i32, b: i32): i32 {
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

function sinc(x: f64): f64 {
  if (x == 0) return 1.0;
  const half = abs(x) * 0.5;
  if (abs(x) == floor(abs(x))) return 0.0;
  turn(half - floor(half));
  return sineOf() / (3.141592653589793 * abs(x));
}

/** Modified Bessel function of the first kind, order 0, by its series. */
function bessel(x: f64): f64 {
  let sum = 1.0;
  let term = 1.0;
  for (let k = 1; k < 60; k++) {
    const factor = x / <f64>(2 * k);
    term *= factor * factor;
    sum += term;
  }
  return sum;
}
