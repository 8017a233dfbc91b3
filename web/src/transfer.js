// What a source becomes in the hands of an instrument, as tinytimbre/transfer/plan.py has it, but as it happens: what
// Python knows of the whole source is known here of what was heard so far.

/** @typedef {{mean: number, std: number, min: number, max: number, quantiles: Record<string, number>}} Distribution */

const MAX_OCTAVES = 6;
const OCTAVE_COST_SEMITONES = 0.5;
const MARGIN_SEMITONES = 7;
const SPREAD_RATIO = [0.5, 2];
/**
 * Changing the octave in the middle of a song must be worth this much; in its first seconds less, when little is known.
 */
const OCTAVE_PATIENCE_SEMITONES = 1;
const SETTLED_SECS = 10;
const FLOOR_DB = -80;

/** Bins of the running histograms: narrower than anyone hears, wide enough to be counted in a blink. */
const MIDI_BINS = { start: 0, width: 0.25, count: 512 };
const LEVEL_BINS = { start: -80, width: 0.25, count: 480 };
/** What was heard longer ago than this fades: singers change places. */
const MEMORY_SECS = 60;
/** Until the source is known, it is taken for a voice into a microphone, weighing as much as this. */
const PRIOR_SECS = 0.5;
const PRIOR_ENERGY_DB = -24;
const PRIOR_STD_DB = 5;

/** @param {number} hz */
export const hzToMidi = (hz) => 69 + 12 * Math.log2(hz / 440);
/** @param {number} midi */
export const midiToHz = (midi) => 440 * 2 ** ((midi - 69) / 12);

/** A histogram whose weights can fade. */
export class Histogram {
  /** @param {{start: number, width: number, count: number}} bins */
  constructor({ start, width, count }) {
    this.start = start;
    this.width = width;
    this.weights = new Float64Array(count);
    this.total = 0;
  }

  /** @param {number} value @param {number} [weight] */
  add(value, weight = 1) {
    const bin = Math.round((value - this.start) / this.width);
    this.weights[Math.min(Math.max(bin, 0), this.weights.length - 1)] += weight;
    this.total += weight;
  }

  /** @param {number} factor */
  fade(factor) {
    for (let i = 0; i < this.weights.length; i++) this.weights[i] *= factor;
    this.total *= factor;
  }

  /** @param {number} share in [0, 1] */
  quantile(share) {
    let sum = 0;
    for (let i = 0; i < this.weights.length; i++) {
      sum += this.weights[i];
      if (sum >= share * this.total && this.weights[i] > 0) return this.value(i);
    }
    return this.value(0);
  }

  /** Middle of a bin. @param {number} bin */
  value(bin) {
    return this.start + bin * this.width;
  }

  /** Weighted mean of a function of the value. @param {(value: number) => number} of */
  mean(of) {
    let sum = 0;
    for (let i = 0; i < this.weights.length; i++) {
      if (this.weights[i] > 0) sum += this.weights[i] * of(this.value(i));
    }
    return sum / this.total;
  }
}

/**
 * How far a shift by whole octaves leaves the notes from where the instrument usually plays, in semitones.
 * @param {Histogram} midi @param {number} octaves @param {Distribution} target
 */
function octaveCost(midi, octaves, target) {
  const { p05, p95 } = target.quantiles;
  const outside = midi.mean((note) => Math.max(0, p05 - note - 12 * octaves, note + 12 * octaves - p95));
  return Math.round(1e6 * (outside + OCTAVE_COST_SEMITONES * Math.abs(octaves))) / 1e6;
}

/**
 * Whole octaves that bring the notes closest to where the instrument usually plays; between equals, closest to its
 * median.
 * @param {Histogram} midi @param {Distribution} target
 */
export function chooseOctaves(midi, target) {
  const median = midi.quantile(0.5);
  let best = { octaves: 0, cost: Infinity, distance: Infinity };
  for (let octaves = -MAX_OCTAVES; octaves <= MAX_OCTAVES; octaves++) {
    const cost = octaveCost(midi, octaves, target);
    const distance = Math.abs(median + 12 * octaves - target.quantiles.p50);
    if (cost < best.cost || (cost === best.cost && distance < best.distance)) best = { octaves, cost, distance };
  }
  return best.octaves;
}

/** Further octaves that bring a note into the instrument's range. @param {number} midi @param {Distribution} target */
export function foldOctaves(midi, target) {
  const low = target.quantiles.p05 - MARGIN_SEMITONES;
  const high = target.quantiles.p95 + MARGIN_SEMITONES;
  if (midi < low) return Math.ceil((low - midi) / 12);
  return midi > high ? -Math.ceil((midi - high) / 12) : 0;
}

/**
 * The source's level on the instrument's scale: mean and spread of its tones become the instrument's; below the
 * source's p05, where there is no tone, distances never shrink.
 * @param {number} levelDb @param {{mean: number, std: number, p05: number}} source @param {Distribution} target
 */
export function matchLevel(levelDb, source, target) {
  const spread = source.std > 1e-3 ? target.std / source.std : 1;
  const ratio = Math.min(Math.max(spread, SPREAD_RATIO[0]), SPREAD_RATIO[1]);
  const above = target.mean + ratio * (Math.max(levelDb, source.p05) - source.mean);
  const below = Math.max(1, ratio) * Math.min(levelDb - source.p05, 0);
  return Math.min(Math.max(above + below, FLOOR_DB), target.max);
}

/** Pitch and level of a source, moved frame by frame to where an instrument plays. */
export class Transfer {
  /** @param {any} settings  settings.json */
  constructor(settings) {
    const { statistics, input, frame_rate_hz: frameRate } = settings;
    /** @type {Distribution} */
    this.pitch = statistics.pitch_midi;
    /** @type {Distribution} */
    this.level = input === 'loudness' ? statistics.loudness_db : statistics.rms_energy_db;
    this.settledFrames = SETTLED_SECS * frameRate;
    this.fading = 1 - 1 / (MEMORY_SECS * frameRate);
    this.notes = new Histogram(MIDI_BINS);
    this.levels = new Histogram(LEVEL_BINS);
    const scale = this.level.mean - statistics.rms_energy_db.mean;
    for (const offset of [-PRIOR_STD_DB, PRIOR_STD_DB]) {
      this.levels.add(PRIOR_ENERGY_DB + scale + offset, (PRIOR_SECS * frameRate) / 2);
    }
    this.octaves = 0;
    this.folded = 0;
    /** Octaves that the player asks for, on top. */
    this.wish = 0;
    this.source = this.#measured();
  }

  /** Takes a frame of a tone into account. @param {number} midi @param {number} levelDb */
  learn(midi, levelDb) {
    this.notes.fade(this.fading);
    this.levels.fade(this.fading);
    this.notes.add(midi);
    this.levels.add(levelDb);
    this.source = this.#measured();
  }

  #measured() {
    const mean = this.levels.mean((level) => level);
    const variance = this.levels.mean((level) => (level - mean) ** 2);
    return { mean, std: Math.sqrt(Math.max(variance, 0)), p05: this.levels.quantile(0.05) };
  }

  /** A tone begins at this note: the octave may change now. @param {number} midi */
  beginTone(midi) {
    if (this.notes.total < 1) this.notes.add(midi);
    const best = chooseOctaves(this.notes, this.pitch);
    const gain = octaveCost(this.notes, this.octaves, this.pitch) - octaveCost(this.notes, best, this.pitch);
    const settled = Math.min(1, this.notes.total / this.settledFrames);
    if (gain > OCTAVE_PATIENCE_SEMITONES * settled) this.octaves = best;
    this.beginNote(midi);
  }

  /** A note begins: it moves as one, so vibrato stays whole. @param {number} midi */
  beginNote(midi) {
    this.folded = foldOctaves(midi + 12 * (this.octaves + this.wish), this.pitch);
  }

  /** @param {number} midi @returns {number} the note to play */
  note(midi) {
    return midi + 12 * (this.octaves + this.wish + this.folded);
  }

  /** @param {number} levelDb @returns {number} the level to play at */
  match(levelDb) {
    return matchLevel(levelDb, this.source, this.level);
  }
}
