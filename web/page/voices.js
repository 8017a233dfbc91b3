// Two voices that sing small melodies, made by arithmetic: no recording of anyone, and nothing to download.
//
// Source and filter as in Klatt, JASA 67:3, 1980: a buzz of harmonics and breath through resonances of the mouth, noise
// for consonants. The same seed sings the same samples.

/** @typedef {{vowel: string, consonant: string, midi: number, from: number, seconds: number}} Syllable */
/** @typedef {{midi: number | null, beats: number, word: string}} Note */
/** @typedef {{formants: Record<string, number[]>, beatSecs: number, vibratoHz: number, seed: number, notes: Note[]}} Score */

export const RATE = 16000;
const BANDWIDTHS = [80, 110, 160];
/** Resonances of vowels in Hz: Peterson & Barney, JASA 24:2, 1952, table II, men and women; m and n are hummed. */
const MEN = {
  a: [730, 1090, 2440], e: [530, 1840, 2480], i: [270, 2290, 3010], o: [570, 840, 2410], u: [300, 870, 2240],
  m: [250, 1200, 2100], n: [250, 1500, 2300],
};
const WOMEN = {
  a: [850, 1220, 2810], e: [610, 2330, 2990], i: [310, 2790, 3310], o: [590, 920, 2710], u: [370, 950, 2670],
  m: [280, 1300, 2400], n: [280, 1650, 2600],
};
/** Consonants: seconds before the vowel; voiced ones hum, the others hiss around a frequency. */
const CONSONANTS = /** @type {Record<string, {secs: number, hum?: string, hiss?: number}>} */ ({
  m: { secs: 0.07, hum: 'm' }, n: { secs: 0.07, hum: 'n' }, l: { secs: 0.05, hum: 'n' },
  s: { secs: 0.1, hiss: 5200 }, h: { secs: 0.08, hiss: 1500 }, t: { secs: 0.04, hiss: 4000 },
});
const HISS_BANDWIDTH_HZ = 1800;
const HISS_LEVEL = 0.035;
const BREATH_LEVEL = 0.004;
const GLIDE_SECS = 0.06;
const EDGE_SECS = 0.04;
const CLICK_SECS = 0.008;
const VIBRATO_SEMITONES = 0.25;
const WANDER_SEMITONES = 0.08;
/** Formants move to their places with this time constant. */
const MOUTH_SECS = 0.025;
const MOUTH_SAMPLES = 40;
const HIGHEST_SHARE = 0.45;
const PEAK = 0.35;

/** @param {string} text  "midi:beats:syllable", a breath without a note is "-:beats" @returns {Note[]} */
function score(text) {
  return text.split(' ').map((part) => {
    const [midi, beats, word = ''] = part.split(':');
    return { midi: midi === '-' ? null : Number(midi), beats: Number(beats), word };
  });
}

export const VOICES = {
  low: {
    formants: MEN, beatSecs: 0.52, vibratoHz: 5.2, seed: 1,
    notes: score('45:1:ma 48:0.5:no 50:0.5:le 52:2:la -:0.5 52:0.5:sa 55:1:no 53:0.5:me 52:0.5:lu 50:2:na -:0.5 ' +
      '48:0.5:ta 50:0.5:a 52:1:li 57:1.5:ha 55:0.5:a 52:0.5:mo 50:0.5:le 45:2.5:mu'),
  },
  high: {
    formants: WOMEN, beatSecs: 0.46, vibratoHz: 5.8, seed: 2,
    notes: score('64:1:la 67:0.5:no 69:0.5:a 71:1.5:li 69:0.5:e 67:2:su -:0.5 66:0.5:ta 67:0.5:na 69:1:mo 64:1.5:la -:0.5 ' +
      '71:1:hi 72:0.5:e 71:0.5:na 69:0.5:lo 67:0.5:a 66:0.5:mi 64:2.5:na'),
  },
};

/** Numbers in [-1, 1) from a seed (mulberry32). @param {number} seed */
function noise(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

/** Two poles, gain 1 at 0 Hz: Klatt's equation 2. */
class Resonator {
  constructor() {
    this.a = 1;
    this.b = this.c = this.last = this.before = 0;
  }

  /** @param {number} hz @param {number} bandwidthHz */
  tune(hz, bandwidthHz) {
    this.c = -Math.exp((-2 * Math.PI * bandwidthHz) / RATE);
    this.b = 2 * Math.exp((-Math.PI * bandwidthHz) / RATE) * Math.cos((2 * Math.PI * hz) / RATE);
    this.a = 1 - this.b - this.c;
  }

  /** @param {number} x */
  pass(x) {
    const y = this.a * x + this.b * this.last + this.c * this.before;
    [this.before, this.last] = [this.last, y];
    return y;
  }
}

/** @param {number} midi */
export const toHz = (midi) => 440 * 2 ** ((midi - 69) / 12);

/** Harmonics that fall by 12 dB an octave, as of a glottis. @param {number} phase  in turns @param {number} count */
function glottis(phase, count) {
  const angle = 2 * Math.PI * phase;
  const twice = 2 * Math.cos(angle);
  let [before, now, sum] = [0, Math.sin(angle), 0];
  for (let k = 1; k <= count; k++) {
    sum += now / (k * k);
    [before, now] = [now, twice * now - before];
  }
  return sum;
}

/** One singer: keeps phase, mouth and breath from note to note. */
class Singer {
  /** @param {Score} voice */
  constructor(voice) {
    this.voice = voice;
    this.random = noise(voice.seed);
    this.mouth = BANDWIDTHS.map(() => new Resonator());
    this.hissing = new Resonator();
    this.formants = [...voice.formants.a];
    this.phase = this.wander = this.seconds = 0;
  }

  /** @param {Float32Array} out @param {Syllable} syllable */
  sing(out, { vowel, consonant, midi, from, seconds }) {
    const sound = CONSONANTS[consonant];
    if (sound?.hiss) this.hissing.tune(sound.hiss, HISS_BANDWIDTH_HZ);
    const partials = Math.floor((HIGHEST_SHARE * RATE) / toHz(Math.max(midi, from) + 1));
    for (let i = 0; i < out.length; i++) {
      const at = i / RATE;
      const consonantal = sound !== undefined && at < sound.secs;
      if (i % MOUTH_SAMPLES === 0) this.#shape(consonantal && sound.hum ? sound.hum : vowel);
      const pitch = from + (midi - from) * Math.min(1, at / GLIDE_SECS) + this.#sway(at);
      this.phase = (this.phase + toHz(pitch) / RATE) % 1;
      const hissed = consonantal && sound.hiss ? Math.sin((Math.PI * at) / sound.secs) : 0;
      const voiced = hissed ? 0 : this.#edge(at - (sound?.hiss ? sound.secs : 0), seconds - at);
      const source = voiced * (consonantal ? 0.5 : 1) * glottis(this.phase, partials) + BREATH_LEVEL * this.random();
      const hiss = HISS_LEVEL * hissed * this.hissing.pass(this.random());
      out[i] = this.mouth.reduce((x, resonator) => resonator.pass(x), source) + hiss;
    }
  }

  /** A breath: noise through an open mouth. @param {Float32Array} out */
  breathe(out) {
    for (let i = 0; i < out.length; i++) {
      if (i % MOUTH_SAMPLES === 0) this.#shape('e');
      const swell = Math.sin((Math.PI * i) / out.length) ** 2;
      out[i] = this.mouth.reduce((x, resonator) => resonator.pass(x), 4 * BREATH_LEVEL * swell * this.random());
    }
  }

  /** Moves the resonances a little towards a vowel. @param {string} vowel */
  #shape(vowel) {
    const share = 1 - Math.exp(-MOUTH_SAMPLES / RATE / MOUTH_SECS);
    this.voice.formants[vowel].forEach((hz, k) => {
      this.formants[k] += share * (hz - this.formants[k]);
      this.mouth[k].tune(this.formants[k], BANDWIDTHS[k]);
    });
  }

  /** Vibrato that sets in late, and a voice that is never quite still, in semitones. @param {number} at  seconds */
  #sway(at) {
    this.seconds += 1 / RATE;
    this.wander += 0.002 * (this.random() - this.wander);
    const vibrato = VIBRATO_SEMITONES * Math.min(1, at / 0.6) * Math.sin(2 * Math.PI * this.voice.vibratoHz * this.seconds);
    return vibrato + 20 * WANDER_SEMITONES * this.wander;
  }

  /** Rises and falls with a tone, from nothing to nothing without a click. @param {number} since @param {number} left  seconds */
  #edge(since, left) {
    const inside = Math.max(0, Math.min(since, left));
    const swell = 0.75 + 0.25 * Math.sin(Math.PI * Math.min(1, since));
    return swell * (0.3 + 0.7 * Math.min(1, inside / EDGE_SECS)) * Math.min(1, inside / CLICK_SECS);
  }
}

/**
 * A melody as one of the voices sings it.
 * @param {keyof typeof VOICES} name @returns {{samples: Float32Array, sampleRate: number}}
 */
export function sing(name) {
  const voice = VOICES[name];
  const singer = new Singer(voice);
  const ends = voice.notes.reduce((times, { beats }) => [...times, times[times.length - 1] + beats * voice.beatSecs], [0]);
  const samples = new Float32Array(Math.ceil(ends[ends.length - 1] * RATE));
  let from = NaN;
  voice.notes.forEach(({ midi, beats, word }, i) => {
    const out = samples.subarray(Math.round(ends[i] * RATE), Math.round(ends[i + 1] * RATE));
    if (midi === null) singer.breathe(out);
    else {
      const [vowel, consonant] = [word[word.length - 1], word.length > 1 ? word[0] : ''];
      singer.sing(out, { vowel, consonant, midi, from: Number.isNaN(from) ? midi : from, seconds: beats * voice.beatSecs });
    }
    from = midi ?? NaN;
  });
  return { samples: scaled(samples), sampleRate: RATE };
}

/** @param {Float32Array} samples */
export function scaled(samples) {
  const loudest = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return samples.map((x) => (x * PEAK) / loudest);
}
