// The live path without a browser: what sounds, when, how loud, and what it does with broken input.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Engine } from '../src/engine.js';
import { playThrough } from '../src/rendering.js';
import { hzToMidi } from '../src/transfer.js';
import { Voice } from '../src/voice.js';
import { ENGINES } from './engines.js';
import { INSTRUMENT, SETTINGS, buzz } from './instrument.js';

const RATES = [8000, 16000, 22050, 44100, 48000, 96000];

function play(samples, { rate = 48000, kind = 'wasm' } = {}) {
  const frames = [];
  const engine = new Engine(ENGINES[kind](), INSTRUMENT, rate);
  const voice = new Voice(engine, SETTINGS, { onFrame: (frame) => frames.push(frame) });
  return { output: playThrough(voice, samples), frames, voice, engine };
}

/** Fundamental of a sound by its strongest autocorrelation, over whole periods; independent of the engine's. */
function pitchOf(samples, rate) {
  const part = samples.subarray(0, Math.round(rate / 5));
  const first = Math.floor(rate / 1000);
  const values = Array.from({ length: Math.floor(rate / 60) - first }, (_, i) => {
    let sum = 0;
    for (let j = 0; j + first + i < part.length; j++) sum += part[j] * part[j + first + i];
    return sum / (part.length - first - i);
  });
  const high = values.findIndex((value) => value >= 0.9 * Math.max(...values));
  let top = high;
  while (values[top + 1] > values[top]) top++;
  return rate / (first + top);
}

const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

for (const rate of RATES) {
  test(`at ${rate} Hz a tone is played at its pitch`, () => {
    const { output, frames } = play(buzz({ hz: 220, secs: 1.5, rate }), { rate });
    const steady = output.subarray(Math.round(0.7 * rate));
    // One sample of a period: that is how exactly this test's own tracker knows it.
    assert.ok(Math.abs(pitchOf(steady, rate) / 220 - 1) < 1.5 * (220 / rate) + 0.002, `${pitchOf(steady, rate)} Hz`);
    assert.ok(rms(steady) > 0.01);
    // A hundredth of a semitone: the tracker's parabola on a steady tone.
    assert.ok(Math.abs(frames.at(-1).sourceMidi - hzToMidi(220)) < 0.01, `${frames.at(-1).sourceMidi}`);
  });
}

test('the plain engine plays the very same samples', () => {
  const samples = buzz({ hz: 170, secs: 1, rate: 44100 });
  const [wasm, plain] = ['wasm', 'plain'].map((kind) => play(samples, { rate: 44100, kind }).output);
  assert.deepEqual(wasm, plain);
});

test('sound follows within 50 ms, at every pitch of a voice and wherever the tone falls between two looks', () => {
  for (const hz of [98, 131, 220, 440, 880]) {
    for (let offset = 0; offset < 0.02; offset += 0.0037) {
      const begin = 0.4 + offset;
      const { output } = play(buzz({ hz, secs: 1.2, rate: 48000, from: begin }));
      const loudest = output.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const first = output.findIndex((x) => Math.abs(x) > 0.1 * loudest);
      const latency = first / 48000 - begin;
      assert.ok(latency > 0 && latency <= 0.05, `${hz} Hz: ${1000 * latency} ms`);
    }
  }
});

test('silence and noise stay silent', () => {
  assert.equal(rms(play(new Float32Array(48000)).output), 0);
  let seed = 1;
  const noise = Float32Array.from({ length: 3 * 48000 }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return 0.3 * (seed / 2 ** 31 - 1);
  });
  assert.equal(rms(play(noise).output), 0);
});

test('NaN, infinity and absurd levels never come out as noise, and playing goes on', () => {
  const samples = buzz({ hz: 220, secs: 3, rate: 48000 });
  samples.fill(NaN, 48000, 52000);
  samples.fill(Infinity, 60000, 61000);
  samples.fill(1e30, 70000, 71000);
  for (let i = 72000; i < 76000; i++) samples[i] = i % 2 ? 1e9 : -1e9;
  const { output } = play(samples);
  assert.ok(output.every((x) => Math.abs(x) <= 0.98), 'beyond the limiter');
  assert.ok(Math.abs(pitchOf(output.subarray(120000), 48000) / 220 - 1) < 0.007);
});

test('the loudest input stays within the limiter', () => {
  const { output } = play(buzz({ hz: 110, secs: 2, rate: 48000, gain: 0.9 }));
  assert.ok(output.every((x) => Math.abs(x) <= 0.98));
});

test('with a room, its limiter is the last, and NaN and absurd controls do not stay in it', () => {
  const reverb = { levels: [0.5], rt60_secs: [0.5], low_hz: 62.5, high_hz: 8000, response_secs: 1 };
  const engine = new Engine(ENGINES.wasm(), INSTRUMENT, 16000);
  const voice = new Voice(engine, { ...SETTINGS, reverb });
  const samples = buzz({ hz: 220, secs: 2, rate: 16000 });
  const controls = new Float32Array(INSTRUMENT.program.controlCount);
  const decode = engine.decodeInputs.bind(engine);
  let frames = 0;
  // Controls that no decoder may give, now and then.
  engine.decodeInputs = (...inputs) => {
    decode(...inputs);
    frames += 1;
    if (frames % 20 === 0) engine.writeControls(controls.fill(frames % 40 ? NaN : 1e30));
  };
  const output = playThrough(voice, samples);
  assert.ok(output.every((x) => Math.abs(x) <= Math.fround(0.98)));
  assert.ok(output.subarray(16000).some((x) => x !== 0));
});

test('an octave out of range is folded into the instrument, a wish moves it', () => {
  const { frames } = play(buzz({ hz: 55, secs: 1, rate: 48000 }));
  const { p05, p95 } = SETTINGS.statistics.pitch_midi.quantiles;
  const played = frames.at(-1).playedMidi;
  assert.ok(played >= p05 - 7 && played <= p95 + 7, `${played}`);
  assert.ok(Math.abs(((played - hzToMidi(55)) / 12) % 1) < 0.01, 'whole octaves');
});

test('half an hour needs no more memory than a second', () => {
  const engine = new Engine(ENGINES.wasm(), INSTRUMENT, 8000);
  const voice = new Voice(engine, SETTINGS);
  const second = buzz({ hz: 200, secs: 1, rate: 8000 });
  second.fill(0, 7000);
  const output = new Float32Array(second.length);
  voice.process(second, output);
  const before = engine.exports.memory.buffer.byteLength;
  for (let i = 0; i < 1800; i++) voice.process(second, output);
  assert.equal(engine.exports.memory.buffer.byteLength, before);
  assert.ok(rms(output) > 0.01);
});

test('phase is exact after as many samples as an hour at 8 kHz has', () => {
  const rate = 48000;
  const hz = 440.1;
  const engine = new Engine(ENGINES.wasm(), INSTRUMENT, rate);
  const controls = new Float32Array(INSTRUMENT.program.controlCount);
  controls[0] = controls[1] = 1;
  engine.writeControls(controls);
  engine.prime(hz);
  const seconds = 600;
  const end = seconds * rate;
  let at = 0;
  while (at < end) {
    const due = engine.due();
    if (due <= 0) engine.advance(hz);
    else {
      const n = Math.min(due, end - at);
      engine.render(0, n);
      at += n;
    }
  }
  engine.advance(hz);
  engine.render(0, 1);
  const turns = Number((BigInt(end + 1) * 4401n) % 480000n) / 480000;
  // Rounding of float64 adds up to at most 1.2e-16 turns a sample: 4e-9 here, 3e-7 in twelve hours at 48 kHz; the
  // output's float32 rounds by 6e-8. A phase in float32 would be off by whole turns.
  assert.ok(Math.abs(engine.output(1)[0] - Math.sin(2 * Math.PI * turns)) < 1e-6);
});
