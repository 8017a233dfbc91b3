// Elementary functions in float64, on 32-bit integers alone: a build without 64-bit integers stays fast, and every
// build gives the same bits. Accurate to about 1e-13, for results that are rounded to float32.

const LOG2_E: f64 = 1.4426950408889634;
const LN_2: f64 = 0.6931471805599453;
const SQRT_2: f64 = 1.4142135623730951;

/** 2 to the power of an integer in [-126, 127]. */
// @ts-ignore: decorator
@inline
function twoTo(k: i32): f64 {
  return <f64>reinterpret<f32>((k + 127) << 23);
}

/** e to the power of x; x beyond what a float32 holds is held at its ends, NaN stays. */
export function exp(x: f64): f64 {
  if (x != x) return x;
  const held = min(max(x, -87.0), 88.0);
  const k = nearest(held * LOG2_E);
  const r = held - k * LN_2;
  // Taylor's series to the tenth power; |r| <= ln(2) / 2.
  let sum = 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  return sum * twoTo(<i32>k);
}

/** Natural logarithm of a float32 >= 0; -infinity at 0, NaN below. */
export function log(x: f32): f64 {
  if (!(x >= 0)) return NaN;
  if (x == 0) return -Infinity;
  if (x > <f32>3e38) return <f64>88.72;
  let scale = 0;
  if (x < <f32>1.2e-38) {
    x *= <f32>16777216.0; // a subnormal number has no exponent of its own
    scale = -24;
  }
  const bits = reinterpret<i32>(x);
  let exponent = ((bits >> 23) & 255) - 127 + scale;
  let mantissa = <f64>reinterpret<f32>((bits & 0x7fffff) | 0x3f800000);
  if (mantissa > SQRT_2) {
    mantissa *= 0.5;
    exponent += 1;
  }
  // log(m) = 2 artanh((m - 1) / (m + 1)), |z| <= 0.172.
  const z = (mantissa - 1.0) / (mantissa + 1.0);
  const q = z * z;
  let sum = 1.0 / 15.0;
  sum = sum * q + 1.0 / 13.0;
  sum = sum * q + 1.0 / 11.0;
  sum = sum * q + 1.0 / 9.0;
  sum = sum * q + 1.0 / 7.0;
  sum = sum * q + 1.0 / 5.0;
  sum = sum * q + 1.0 / 3.0;
  sum = sum * q + 1.0;
  return 2.0 * z * sum + <f64>exponent * LN_2;
}

export function sigmoid(x: f64): f64 {
  return 1.0 / (1.0 + exp(-x));
}

export function tanh(x: f64): f64 {
  if (x > 20.0) return 1.0;
  if (x < -20.0) return -1.0;
  // The quotient below loses digits near 0, where the series has them.
  if (abs(x) < 1e-3) return x - (x * x * x) / 3.0;
  const e = exp(2.0 * x);
  return (e - 1.0) / (e + 1.0);
}

/** x to the power of y for x >= 0; a negative x has no power here (NaN), as no graph of ours takes one. */
export function pow(x: f32, y: f32): f64 {
  if (y == 0) return 1.0;
  if (y == 2) return <f64>x * <f64>x;
  if (x == 0) return y > 0 ? 0.0 : Infinity;
  return exp(log(x) * <f64>y);
}

let sine: f64 = 0;
let cosine: f64 = 0;

/** Sine and cosine of a whole turn times `cycles`, cycles in [0, 1]; read them with `sineOf` and `cosineOf`. */
export function turn(cycles: f64): void {
  const quarter = <i32>nearest(cycles * 4.0);
  const x = (cycles - <f64>quarter * 0.25) * 6.283185307179586;
  const q = x * x;
  // Taylor's series; |x| <= pi / 4.
  let s = -1.0 / 1307674368000.0;
  s = s * q + 1.0 / 6227020800.0;
  s = s * q - 1.0 / 39916800.0;
  s = s * q + 1.0 / 362880.0;
  s = s * q - 1.0 / 5040.0;
  s = s * q + 1.0 / 120.0;
  s = s * q - 1.0 / 6.0;
  s = x + x * q * s;
  let c = 1.0 / 20922789888000.0;
  c = c * q - 1.0 / 87178291200.0;
  c = c * q + 1.0 / 479001600.0;
  c = c * q - 1.0 / 3628800.0;
  c = c * q + 1.0 / 40320.0;
  c = c * q - 1.0 / 720.0;
  c = c * q + 1.0 / 24.0;
  c = c * q - 0.5;
  c = 1.0 + q * c;
  const odd = (quarter & 1) != 0;
  sine = odd ? c : s;
  cosine = odd ? s : c;
  if ((quarter & 2) != 0) sine = -sine;
  if (((quarter + 1) & 2) != 0) cosine = -cosine;
}

export function sineOf(): f64 {
  return sine;
}

export function cosineOf(): f64 {
  return cosine;
}

/** Cosine of a whole turn times any number of cycles. */
export function turnedCosine(cycles: f64): f64 {
  turn(cycles - floor(cycles));
  return cosine;
}
