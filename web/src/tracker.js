// From what the engine finds in the last milliseconds to tones: when one sounds, and its pitch.

/** Clarity that begins a tone, and that keeps it; noise stays below 0.5, breath and room between. */
const OPENS = 0.8;
const HOLDS = 0.6;
/** Two sights in a row must agree on a beginning. */
const AGREE_SEMITONES = 1;
/** A gap of this many sights ends a tone. */
const PATIENCE = 3;
/** A leap of an octave is believed when it lasts, for it is what trackers err by. */
const OCTAVE_SIGHTS = 3;
const OCTAVE_TOLERANCE_SEMITONES = 0.7;
/** So early in a tone the first pitch is no better known than the next. */
const YOUNG_SIGHTS = 6;
/** A tone may fall this far below the level that begins one. */
const QUIETER_DB = 6;

/** Follows one voice, a sight every few milliseconds. */
export class ToneTracker {
  /** @param {{silenceDb?: number}} [options]  RMS energy from which a tone can begin */
  constructor({ silenceDb = -50 } = {}) {
    this.silenceDb = silenceDb;
    this.sounding = false;
    this.midi = 0;
    this.misses = 0;
    this.leaps = 0;
    /** Sights since the tone began. */
    this.age = 0;
    /** The last sight that could begin a tone. */
    this.candidate = NaN;
  }

  /** @param {{midi: number, clarity: number, energyDb: number}} sight  midi is NaN where there is no pitch */
  see({ midi, clarity, energyDb }) {
    if (this.sounding) this.#follow(midi, clarity, energyDb);
    else this.#wait(midi, clarity, energyDb);
    return this.sounding;
  }

  /** @param {number} midi @param {number} clarity @param {number} energyDb */
  #wait(midi, clarity, energyDb) {
    const heard = clarity >= OPENS && energyDb > this.silenceDb;
    const again = heard && Math.abs(midi - this.candidate) <= AGREE_SEMITONES;
    this.candidate = heard ? midi : NaN;
    if (!again) return;
    this.sounding = true;
    this.midi = midi;
    this.age = 0;
    this.misses = 0;
    this.leaps = 0;
  }

  /** @param {number} midi @param {number} clarity @param {number} energyDb */
  #follow(midi, clarity, energyDb) {
    if (!(clarity >= HOLDS && energyDb > this.silenceDb - QUIETER_DB)) {
      this.misses += 1;
      if (this.misses < PATIENCE) return;
      this.sounding = false;
      this.candidate = NaN;
      return;
    }
    this.misses = 0;
    this.age += 1;
    const leap = Math.abs(midi - this.midi);
    const octaves = Math.round(leap / 12);
    const suspect = this.age > YOUNG_SIGHTS && octaves > 0 && Math.abs(leap - 12 * octaves) <= OCTAVE_TOLERANCE_SEMITONES;
    this.leaps = suspect ? this.leaps + 1 : 0;
    if (!suspect || this.leaps >= OCTAVE_SIGHTS) {
      this.midi = midi;
      this.leaps = 0;
    }
  }
}
