// An instrument that follows a source, block by block: what the worklet runs, and `playThrough` too.
// A room is not part of it: `Player` and `playThrough` put it after the voice.

import { ToneTracker } from './tracker.js';
import { Transfer, hzToMidi, midiToHz } from './transfer.js';

/** @typedef {import('./engine.js').Engine} Engine */

/** Samples between two decisions: what an audio worklet works in. */
const QUANTUM = 128;
/** Between two looks at the pitch; closer together while a tone is waited for, as nothing else is to do then. */
const SIGHT_SECS = 0.01;
const WAITING_SIGHT_SECS = 0.005;
/** The gate opens with a tone, waits a little after it, and closes. */
const OPEN_SECS = 0.008;
const HOLD_SECS = 0.1;
const CLOSE_SECS = 0.12;
/** Closing for good, when another instrument takes over. */
const LEAVE_SECS = 0.03;
/** A faster change of pitch begins another note (tinytimbre/transfer/plan.py). */
const NOTE_JUMP_SEMITONES_PER_SEC = 35;

/**
 * What was heard and played in a frame.
 * @typedef {object} Frame
 * @property {number} samples  input samples since the beginning
 * @property {number} sourceMidi  note of the source, NaN without a tone
 * @property {number} clarity  in [0, 1]
 * @property {number} energyDb  of the source, RMS
 * @property {number} playedMidi  note played, NaN in silence
 * @property {number} playedDb  level that the instrument was asked for
 * @property {number} gain  of the gate, in [0, 1]
 */

export class Voice {
  /**
   * @param {Engine} engine @param {any} settings  settings.json
   * @param {{silenceDb?: number, onFrame?: (frame: Frame) => void}} [options]
   */
  constructor(engine, settings, { silenceDb, onFrame } = {}) {
    this.engine = engine;
    this.tracker = new ToneTracker({ silenceDb });
    this.transfer = new Transfer(settings);
    this.onFrame = onFrame;
    /** @type {import('./reverb.js').Room | null} follows what the voice itself plays, and the limiter follows it */
    this.room = settings.reverb ?? null;
    this.rate = engine.contextRate;
    this.sightHop = Math.round(SIGHT_SECS * settings.sample_rate_hz);
    this.waitingHop = Math.round(WAITING_SIGHT_SECS * settings.sample_rate_hz);
    this.noteJump = NOTE_JUMP_SEMITONES_PER_SEC / settings.frame_rate_hz;
    this.samples = 0;
    this.unseen = 0;
    this.sight = { midi: NaN, clarity: 0, energyDb: -80 };
    /** Pitch of the source in the last frame, or where the instrument is at home before any. */
    this.midi = settings.statistics.pitch_midi.quantiles.p50;
    this.playedMidi = this.midi;
    this.playedDb = -80;
    /** True while the synthesiser runs; then its clock counts frames, otherwise `silence` does. */
    this.playing = false;
    this.silence = 0;
    this.gain = 0;
    this.hold = 0;
    this.leaving = false;
  }

  /** Takes a block of input and fills a block of output, of equal length. @param {Float32Array} input @param {Float32Array} output */
  process(input, output) {
    for (let at = 0; at < output.length; at += QUANTUM) {
      this.#block(input.subarray(at, at + QUANTUM), output.subarray(at, at + QUANTUM));
    }
  }

  /** @param {Float32Array} input @param {Float32Array} output */
  #block(input, output) {
    this.samples += input.length;
    this.unseen += this.engine.hear(input);
    const hop = this.playing ? this.sightHop : this.waitingHop;
    if (this.unseen >= hop) {
      this.unseen %= hop;
      this.#look();
    }
    if (this.playing) this.#play(output);
    else this.#rest(output);
  }

  #look() {
    const { engine, tracker } = this;
    const { hz, clarity } = engine.followPitch();
    this.sight = { midi: hz > 0 ? hzToMidi(hz) : NaN, clarity, energyDb: engine.energy() };
    const before = tracker.sounding;
    const sounding = tracker.see(this.sight);
    if (sounding && !before) this.#begin();
  }

  /** A tone begins; out of silence, its frame begins right now. */
  #begin() {
    this.midi = this.tracker.midi;
    this.transfer.beginTone(this.midi);
    if (this.playing || this.leaving) return;
    this.#decode();
    const hz = midiToHz(this.playedMidi);
    // The tone began about a frame before it could be known for one; the decoder makes up for that frame.
    this.engine.decode(hz, this.playedDb);
    this.engine.prime(hz);
    this.engine.advance(hz);
    this.playing = true;
    this.#report();
  }

  /** A frame of what is heard now. */
  #decode() {
    const { engine, tracker, transfer } = this;
    const levelDb = engine.level();
    if (tracker.sounding) {
      if (Math.abs(tracker.midi - this.midi) > this.noteJump) transfer.beginNote(tracker.midi);
      this.midi = tracker.midi;
      transfer.learn(this.midi, levelDb);
    }
    this.playedMidi = transfer.note(this.midi);
    this.playedDb = transfer.match(levelDb);
    engine.decode(midiToHz(this.playedMidi), this.playedDb);
  }

  #report() {
    this.onFrame?.({
      samples: this.samples,
      sourceMidi: this.tracker.sounding ? this.tracker.midi : NaN,
      clarity: this.sight.clarity,
      energyDb: this.sight.energyDb,
      playedMidi: this.playing ? this.playedMidi : NaN,
      playedDb: this.playedDb,
      gain: this.gain,
    });
  }

  /** Nothing sounds, but the decoder lives on, so that its next tone begins as after a pause. @param {Float32Array} output */
  #rest(output) {
    const { engine } = this;
    output.fill(0);
    this.silence += output.length;
    if (this.silence < engine.frameSamples) return;
    this.silence %= engine.frameSamples;
    this.#decode();
    this.#report();
  }

  /** @param {Float32Array} output */
  #play(output) {
    const { engine } = this;
    const n = output.length;
    for (let at = 0; at < n; ) {
      const due = engine.due();
      if (due > 0) {
        const count = Math.min(due, n - at);
        engine.render(at, count);
        at += count;
      } else {
        this.#decode();
        engine.advance(midiToHz(this.playedMidi));
        this.#report();
      }
    }
    const before = this.gain;
    this.gain = this.#gate(n);
    engine.finish(0, n, before, this.gain, !this.room);
    output.set(engine.output(n));
    if (this.gain === 0 && !this.tracker.sounding) this.#stop();
  }

  /** Gain of the gate after `n` more samples. @param {number} n */
  #gate(n) {
    const seconds = n / this.rate;
    if (this.leaving) return Math.max(0, this.gain - seconds / LEAVE_SECS);
    if (this.tracker.sounding) {
      this.hold = HOLD_SECS;
      return Math.min(1, this.gain + seconds / OPEN_SECS);
    }
    this.hold -= seconds;
    return this.hold > 0 ? this.gain : Math.max(0, this.gain - seconds / CLOSE_SECS);
  }

  #stop() {
    this.playing = false;
    this.silence = 0;
  }

  /** Fades out for good; true once silent. */
  get left() {
    return this.leaving && this.gain === 0;
  }
}
