// The engine: one instance plays one instrument. `src/engine.js` is its only caller and documents the order of calls.

import { addNoiseFrame, countNoiseFrom, mixNoise, openNoise, restartNoise } from './noise';
import { nextHarmonics, openHarmonics, renderHarmonics } from './harmonics';
import { exp } from './maths';
import { runProgram } from './program';
import { followPitch, heardClarity, heardHz, heardLevel, hear, input, MAX_BLOCK, openInput } from './listening';

export { followPitch, heardClarity, heardHz, heardLevel, hear };

const KNEE: f64 = 0.8;
const CEILING: f64 = 0.98;
/** What goes into a room: no sound of controls within their range comes near, and a room's memory stays finite. */
const BOUND: f64 = 16;

const output = new StaticArray<f32>(MAX_BLOCK);
let harmonics: i32 = 0;
/** Context samples of a frame; how far into one the next sample is. */
let frameSamples: f64 = 1;
let position: f64 = 0;

export function inputAddress(): usize {
  return changetype<usize>(input);
}

export function outputAddress(): usize {
  return changetype<usize>(output);
}

export function maxBlock(): i32 {
  return MAX_BLOCK;
}

/** Zeroed memory that is never given back. */
export function reserve(bytes: i32): usize {
  return changetype<usize>(new StaticArray<f64>((bytes + 7) / 8));
}

export function open(
  harmonicCount: i32,
  noiseBands: i32,
  hop: i32,
  modelRate: i32,
  contextRate: i32,
  seed: i32,
): void {
  harmonics = harmonicCount;
  frameSamples = (<f64>hop * <f64>contextRate) / <f64>modelRate;
  position = 0;
  openInput(modelRate, contextRate);
  openHarmonics(harmonicCount, modelRate, contextRate);
  openNoise(noiseBands, hop, modelRate, contextRate, seed);
}

export function run(code: usize, instructions: i32, arena: usize): void {
  runProgram(code, instructions, arena);
}

/** True if all `n` float32 from `at` on are finite. */
export function finite(at: usize, n: i32): bool {
  for (let i = 0; i < n; i++) {
    const x = load<f32>(at + (<usize>i << 2));
    if (!(abs<f32>(x) < <f32>Infinity)) return false;
  }
  return true;
}

/** The frame that sound starts from; nothing can be rendered before `advance`. */
export function prime(controls: usize, f0Hz: f64): void {
  restartNoise();
  show(controls, f0Hz);
  position = frameSamples;
}

/** The frame that sound moves to next, while it moves through the time of the frame given before. */
export function advance(controls: usize, f0Hz: f64): void {
  show(controls, f0Hz);
  position -= frameSamples;
}

function show(controls: usize, f0Hz: f64): void {
  nextHarmonics(controls, f0Hz);
  addNoiseFrame(controls + (<usize>(1 + harmonics) << 2));
}

export function seek(frame: i32): void {
  countNoiseFrom(frame);
}

/** Samples that can be rendered before the next frame is due. */
export function due(): i32 {
  return <i32>Math.ceil(frameSamples - position);
}

/** Renders `n` samples, at most `due`, to `output` from `offset` on. */
export function render(offset: i32, n: i32): void {
  const out = changetype<usize>(output) + (<usize>offset << 2);
  renderHarmonics(out, n, position / frameSamples, 1.0 / frameSamples);
  mixNoise(out, n);
  position += <f64>n;
}

/**
 * Fades `n` samples of `output` from gain to gain, and limits them: softly what is to be heard as it is, or only to
 * what is sane, where a room comes before the limiter.
 */
export function finish(offset: i32, n: i32, startGain: f64, endGain: f64, softly: bool): void {
  const slope = (endGain - startGain) / <f64>n;
  for (let i = 0; i < n; i++) {
    const x = <f64>unchecked(output[offset + i]) * (startGain + slope * <f64>(i + 1));
    unchecked((output[offset + i] = <f32>(softly ? limited(x) : bounded(x))));
  }
}

/** NaN and infinity are silence. */
function bounded(x: f64): f64 {
  return abs(x) < Infinity ? min(max(x, -BOUND), BOUND) : 0;
}

/** As tinytimbre/transfer/rendering.py: the identity up to 0.8, then a tanh below 0.98; NaN is silence. */
function limited(x: f64): f64 {
  const magnitude = abs(x);
  if (magnitude <= KNEE) return x;
  if (!(magnitude < Infinity)) return 0;
  const room = CEILING - KNEE;
  const e = exp((-2.0 * (magnitude - KNEE)) / room);
  return (x < 0 ? -1.0 : 1.0) * (KNEE + (room * (1.0 - e)) / (1.0 + e));
}
