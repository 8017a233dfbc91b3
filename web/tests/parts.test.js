// Tracker, transfer, settings and WAV files by themselves.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { FORMAT_VERSIONS } from '../src/bundle.js';
import { StreamingConvolution } from '../src/convolution.js';
import { checkSettings } from '../src/instrument.js';
import { audible, impulseResponse, limited } from '../src/reverb.js';
import { ToneTracker } from '../src/tracker.js';
import { Transfer, foldOctaves } from '../src/transfer.js';
import { toInt16, wavFile } from '../src/wav.js';
import { SETTINGS } from './instrument.js';

const sight = (midi, clarity = 0.95, energyDb = -20) => ({ midi, clarity, energyDb });

test('a tone begins when two sights agree, and ends after a gap', () => {
  const tracker = new ToneTracker();
  assert.equal(tracker.see(sight(60)), false);
  assert.equal(tracker.see(sight(67)), false, 'another pitch is no second sight');
  assert.equal(tracker.see(sight(67.2)), true);
  assert.equal(tracker.see(sight(67, 0.2)), true, 'one bad sight is no end');
  tracker.see(sight(67, 0.2));
  assert.equal(tracker.see(sight(67, 0.2)), false);
});

test('a leap of an octave is believed when it lasts, any other at once', () => {
  const tracker = new ToneTracker();
  for (let i = 0; i < 12; i++) tracker.see(sight(60));
  tracker.see(sight(72));
  assert.equal(tracker.midi, 60);
  tracker.see(sight(60));
  tracker.see(sight(72));
  tracker.see(sight(72));
  tracker.see(sight(72));
  assert.equal(tracker.midi, 72);
  tracker.see(sight(67));
  assert.equal(tracker.midi, 67);
});

test('what is too quiet begins no tone', () => {
  const tracker = new ToneTracker({ silenceDb: -40 });
  tracker.see(sight(60, 0.95, -45));
  assert.equal(tracker.see(sight(60, 0.95, -45)), false);
});

test('the octave of a song does not change with a single note', () => {
  const transfer = new Transfer(SETTINGS);
  transfer.beginTone(43);
  for (let i = 0; i < 200; i++) transfer.learn(43 + (i % 5), -25);
  assert.equal(transfer.octaves, 1);
  transfer.beginTone(55);
  assert.equal(transfer.octaves, 1);
});

test('an octave chosen by a first low note gives way when the song is higher', () => {
  const transfer = new Transfer(SETTINGS);
  transfer.beginTone(44);
  const first = transfer.octaves;
  for (let i = 0; i < 100; i++) transfer.learn(58 + (i % 5), -25);
  transfer.beginTone(60);
  assert.equal(first, 1);
  assert.equal(transfer.octaves, 0);
});

test('notes beyond the range and its margin are folded by whole octaves', () => {
  const { pitch_midi: target } = SETTINGS.statistics;
  assert.equal(foldOctaves(60, target), 0);
  assert.equal(foldOctaves(target.quantiles.p05 - 8, target), 1);
  assert.equal(foldOctaves(target.quantiles.p95 + 20, target), -2);
});

test('settings that lack something are named', () => {
  checkSettings(SETTINGS);
  const { statistics: _, ...rest } = SETTINGS;
  assert.throws(() => checkSettings(rest), /statistics\.pitch_midi\.mean/);
  assert.throws(() => checkSettings({ ...SETTINGS, hop: '320' }), /hop/);
  assert.throws(() => checkSettings({ ...SETTINGS, hop: 300 }), /300 samples/);
  assert.throws(() => checkSettings({ ...SETTINGS, hop: 1, frame_rate_hz: 16000 }), /16000 frames a second/);
  assert.throws(() => checkSettings({ ...SETTINGS, hop: 2e6, sample_rate_hz: 1e8 }), /100000000 Hz/);
  assert.throws(() => checkSettings({ ...SETTINGS, input: 'taste' }), /taste/);
  assert.throws(() => checkSettings({ ...SETTINGS, harmonics: 5 }), /controls/);
});

const ROOM = { levels: [0.3, 0.3, 0.3], rt60_secs: [0.4, 0.4, 0.4], low_hz: 100, high_hz: 7000, response_secs: 1 };

test('a room that cannot be is refused', () => {
  checkSettings({ ...SETTINGS, reverb: ROOM });
  const wrong = { levels: [0.3, 1e9, 0.3], rt60_secs: [0.4, 0.4], response_secs: 1e6, low_hz: '100', high_hz: 50 };
  for (const [name, value] of Object.entries(wrong)) {
    assert.throws(() => checkSettings({ ...SETTINGS, reverb: { ...ROOM, [name]: value } }), /reverb/, name);
  }
  assert.throws(() => checkSettings({ ...SETTINGS, reverb: { ...ROOM, levels: 0.3, rt60_secs: 0.4 } }), /reverb/);
});

const random = (count, seed = 1) => {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
};

test('convolution in blocks of any length is the sum that defines it', () => {
  const response = random(300, 2);
  const samples = random(3000);
  const expected = samples.map((_, i) => {
    let sum = 0;
    for (let j = 0; j < Math.min(i + 1, 300); j++) sum += response[j] * samples[i - j];
    return sum;
  });
  for (const lengths of [[3000], [1, 2, 299, 300, 301, 0, 2097], Array(24).fill(125), Array(3000).fill(1)]) {
    const convolution = new StreamingConvolution(response);
    const found = [];
    for (let at = 0, i = 0; i < lengths.length; at += lengths[i++]) found.push(...convolution.process(samples.subarray(at, at + lengths[i])));
    // Sums of some ten, rounded to float32 once.
    found.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) < 4e-6, `sample ${i}`));
    assert.equal(found.length, 3000);
  }
});

test('a response of one sample is a gain', () => {
  assert.deepEqual(new StreamingConvolution(Float32Array.of(0.5)).process(Float32Array.of(1, -2)), Float32Array.of(0.5, -1));
});

test('of a response only what adds up to less than -100 dB is left out', () => {
  const short = impulseResponse({ ...ROOM, rt60_secs: [0.1, 0.2, 0.1] }, 16000);
  const kept = audible(short);
  const sum = (from) => short.subarray(from).reduce((total, x) => total + Math.abs(x), 0);
  assert.ok(sum(kept.length) <= 1e-5 && sum(kept.length - 1) > 1e-5);
  assert.ok(kept.length < 8000);
  assert.deepEqual(audible(Float32Array.of(1)), Float32Array.of(1));
  assert.equal(audible(Float32Array.of(1, 0.5, 0.5)).length, 3);
});

test('the limiter after a room leaves alone what is quiet and holds what is loud', () => {
  assert.equal(limited(-0.8), -0.8);
  assert.ok(limited(0.9) < 0.9 && limited(0.9) > 0.8);
  for (const x of [2, 50, 1e30]) assert.ok(limited(x) <= 0.98 && limited(-x) >= -0.98);
});

test('WAV files have the right header and rounded samples', async () => {
  const file = wavFile([toInt16(Float32Array.of(0, 1, -1, 2)), toInt16(Float32Array.of(0.5))], 44100);
  const view = new DataView(await file.arrayBuffer());
  assert.equal(view.byteLength, 44 + 10);
  assert.equal(view.getUint32(24, true), 44100);
  assert.equal(view.getUint32(40, true), 10);
  assert.deepEqual([0, 1, 2, 3, 4].map((i) => view.getInt16(44 + 2 * i, true)), [0, 32767, -32767, 32767, 16384]);
});

test('the package is versioned with the newest format it reads', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(Number(version.split('.')[0]), Math.max(...FORMAT_VERSIONS));
});

test('a room has the direct sound first, the asked energy after it, and dies away at the asked rate', () => {
  for (const rate of [16000, 48000]) {
    const response = impulseResponse(ROOM, rate);
    assert.equal(response.length, rate);
    assert.equal(response[0], 1);
    const energy = (from, to) => response.slice(from * rate, to * rate).reduce((sum, x) => sum + x * x, 0);
    const late = response.slice(1).reduce((sum, x) => sum + x * x, 0);
    // The direct sound has as much energy a Hz everywhere; a twofold first-order band pass lets pi / 4 of it through.
    // Bands are noise, so their energy scatters by some tenths.
    const asked = (0.3 ** 2 * 6900 * (Math.PI / 4)) / (rate / 2);
    assert.ok(Math.abs(late / asked - 1) < 0.2, `${late / asked}`);
    const fall = 10 * Math.log10(energy(0.02, 0.12) / energy(0.22, 0.32));
    assert.ok(Math.abs(fall - 30) < 2, `${fall} dB in 0.2 s of RT60 0.4 s`);
  }
});
