// Real Fourier transforms of a power of two, in float32: a complex transform of half the size (decimation in time,
// radix 2) and the usual untangling. Complex numbers lie in two arrays, so that four butterflies go in one step.

import { cosineOf, sineOf, turn } from './maths';

export class RealFft {
  /** Values 0 to size / 2 of the spectrum. */
  re: StaticArray<f32>;
  im: StaticArray<f32>;
  private half: i32;
  private order: StaticArray<i32>;
  /** The factors of the stage with `n` butterflies to a group lie from n on. */
  private cosines: StaticArray<f32>;
  private sines: StaticArray<f32>;
  private lastCosines: StaticArray<f32>;
  private lastSines: StaticArray<f32>;

  constructor(public size: i32) {
    const half = size >> 1;
    this.half = half;
    this.re = new StaticArray<f32>(half + 4);
    this.im = new StaticArray<f32>(half + 4);
    this.order = new StaticArray<i32>(half);
    this.cosines = new StaticArray<f32>(half);
    this.sines = new StaticArray<f32>(half);
    this.lastCosines = new StaticArray<f32>(half + 1);
    this.lastSines = new StaticArray<f32>(half + 1);
    for (let i = 1; i < half; i++) this.order[i] = (this.order[i >> 1] >> 1) | ((i & 1) * (half >> 1));
    for (let n = 1; n < half; n <<= 1) {
      for (let j = 0; j < n; j++) {
        turn(<f64>j / <f64>(2 * n));
        this.cosines[n + j] = <f32>cosineOf();
        this.sines[n + j] = <f32>-sineOf();
      }
    }
    for (let k = 0; k <= half; k++) {
      turn(<f64>k / <f64>size);
      this.lastCosines[k] = <f32>cosineOf();
      this.lastSines[k] = <f32>-sineOf();
    }
  }

  /** Spectrum of `size` real values from `signal` on, into `re` and `im`. */
  forward(signal: usize): void {
    const half = this.half;
    for (let i = 0; i < half; i++) {
      const from = signal + (<usize>unchecked(this.order[i]) << 3);
      unchecked((this.re[i] = load<f32>(from)));
      unchecked((this.im[i] = load<f32>(from, 4)));
    }
    this.butterflies();
    this.untangle();
  }

  /** Real values of the spectrum in `re` and `im` (which it uses up), into `signal`. */
  inverse(signal: usize): void {
    const half = this.half;
    this.tangle();
    // Conjugated, so the same butterflies serve; `signal` is free to hold the values in their new order.
    for (let i = 0; i < half; i++) {
      const to = signal + (<usize>unchecked(this.order[i]) << 3);
      store<f32>(to, unchecked(this.re[i]));
      store<f32>(to, -unchecked(this.im[i]), 4);
    }
    for (let i = 0; i < half; i++) {
      const from = signal + (<usize>i << 3);
      unchecked((this.re[i] = load<f32>(from)));
      unchecked((this.im[i] = load<f32>(from, 4)));
    }
    this.butterflies();
    const scale = <f32>1 / <f32>half;
    for (let i = 0; i < half; i++) {
      const to = signal + (<usize>i << 3);
      store<f32>(to, unchecked(this.re[i]) * scale);
      store<f32>(to, -unchecked(this.im[i]) * scale, 4);
    }
  }

  private butterflies(): void {
    const half = this.half;
    const re = changetype<usize>(this.re);
    const im = changetype<usize>(this.im);
    for (let n = 1; n < half; n <<= 1) {
      const cosines = changetype<usize>(this.cosines) + (<usize>n << 2);
      const sines = changetype<usize>(this.sines) + (<usize>n << 2);
      for (let group = 0; group < half; group += 2 * n) {
        let j = 0;
        if (ASC_FEATURE_SIMD) {
          for (; j + 4 <= n; j += 4) fourButterflies(re, im, group + j, n, cosines, sines, j);
        }
        for (; j < n; j++) butterfly(re, im, group + j, n, cosines, sines, j);
      }
    }
  }

  /** From the transform of pairs of values to that of the values. */
  private untangle(): void {
    const half = this.half;
    const re = this.re;
    const im = this.im;
    unchecked((re[half] = re[0]));
    unchecked((im[half] = im[0]));
    for (let k = 0; k <= half >> 1; k++) {
      const l = half - k;
      const evenRe = (unchecked(re[k]) + unchecked(re[l])) * <f32>0.5;
      const evenIm = (unchecked(im[k]) - unchecked(im[l])) * <f32>0.5;
      const oddRe = (unchecked(im[k]) + unchecked(im[l])) * <f32>0.5;
      const oddIm = (unchecked(re[l]) - unchecked(re[k])) * <f32>0.5;
      const c = unchecked(this.lastCosines[k]);
      const s = unchecked(this.lastSines[k]);
      const turnedRe = oddRe * c - oddIm * s;
      const turnedIm = oddRe * s + oddIm * c;
      unchecked((re[k] = evenRe + turnedRe));
      unchecked((im[k] = evenIm + turnedIm));
      unchecked((re[l] = evenRe - turnedRe));
      unchecked((im[l] = turnedIm - evenIm));
    }
  }

  private tangle(): void {
    const half = this.half;
    const re = this.re;
    const im = this.im;
    for (let k = 0; k <= half >> 1; k++) {
      const l = half - k;
      const evenRe = (unchecked(re[k]) + unchecked(re[l])) * <f32>0.5;
      const evenIm = (unchecked(im[k]) - unchecked(im[l])) * <f32>0.5;
      const differenceRe = (unchecked(re[k]) - unchecked(re[l])) * <f32>0.5;
      const differenceIm = (unchecked(im[k]) + unchecked(im[l])) * <f32>0.5;
      const c = unchecked(this.lastCosines[k]);
      const s = -unchecked(this.lastSines[k]);
      const oddRe = differenceRe * c - differenceIm * s;
      const oddIm = differenceRe * s + differenceIm * c;
      unchecked((re[k] = evenRe - oddIm));
      unchecked((im[k] = evenIm + oddRe));
      unchecked((re[l] = evenRe + oddIm));
      unchecked((im[l] = oddRe - evenIm));
    }
  }
}

function butterfly(re: usize, im: usize, at: i32, n: i32, cosines: usize, sines: usize, j: i32): void {
  const p = <usize>at << 2;
  const q = <usize>(at + n) << 2;
  const c = load<f32>(cosines + (<usize>j << 2));
  const s = load<f32>(sines + (<usize>j << 2));
  const x = load<f32>(re + q) * c - load<f32>(im + q) * s;
  const y = load<f32>(re + q) * s + load<f32>(im + q) * c;
  const u = load<f32>(re + p);
  const v = load<f32>(im + p);
  store<f32>(re + p, u + x);
  store<f32>(im + p, v + y);
  store<f32>(re + q, u - x);
  store<f32>(im + q, v - y);
}

// @ts-ignore: decorator
@inline
function fourButterflies(re: usize, im: usize, at: i32, n: i32, cosines: usize, sines: usize, j: i32): void {
  const p = <usize>at << 2;
  const q = <usize>(at + n) << 2;
  const c = v128.load(cosines + (<usize>j << 2));
  const s = v128.load(sines + (<usize>j << 2));
  const a = v128.load(re + q);
  const b = v128.load(im + q);
  const x = f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s));
  const y = f32x4.add(f32x4.mul(a, s), f32x4.mul(b, c));
  const u = v128.load(re + p);
  const v = v128.load(im + p);
  v128.store(re + p, f32x4.add(u, x));
  v128.store(im + p, f32x4.add(v, y));
  v128.store(re + q, f32x4.sub(u, x));
  v128.store(im + q, f32x4.sub(v, y));
}
