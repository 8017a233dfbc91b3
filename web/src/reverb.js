// The room of an instrument: an impulse response made from a few numbers (tinytimbre/synthesis/reverb.py).

/**
 * @typedef {object} Room  `reverb` of settings.json
 * @property {number[]} levels  reverberant to direct sound per band, an amplitude ratio
 * @property {number[]} rt60_secs  seconds until a band has fallen by 60 dB
 * @property {number} low_hz  lower edge of the first band; the edges are equally wide in pitch
 * @property {number} high_hz  upper edge of the last
 * @property {number} response_secs
 */

/** At half the sample rate a band's filter would have no width. */
const HIGHEST_SHARE = 0.49;
/** Each band has its own stretch of the hash's counter. */
const COUNTERS_PER_BAND = 2 ** 20;

/** @param {Room} room @param {number} sampleRate @returns {Float32Array} the direct sound is 1 at the first sample */
export function impulseResponse(room, sampleRate) {
  const samples = Math.round(room.response_secs * sampleRate);
  const response = new Float64Array(samples);
  const bands = room.levels.length;
  /** @param {number} band */
  const edge = (band) => room.low_hz * (room.high_hz / room.low_hz) ** (band / bands);
  for (let band = 0; band < bands; band++) {
    const stop = Math.min(edge(band + 1), HIGHEST_SHARE * sampleRate);
    if (edge(band) >= stop) continue;
    const decay = Math.log(1000) / room.rt60_secs[band];
    const level = room.levels[band] * Math.sqrt((2 * decay * 3) / sampleRate);
    const filter = bandPass(edge(band) / sampleRate, stop / sampleRate);
    addBand(response, filter, { stream: band, level, fall: Math.exp(-decay / sampleRate) });
  }
  response[0] = 1;
  return Float32Array.from(response);
}

/**
 * Adds one band's noise: MurmurHash3's 32-bit finaliser of a counter, twice through the filter, falling from `level`.
 * One loop for all of it: a page waits for 400,000 rounds of it before it can play.
 * @param {Float64Array} response @param {{b: number, a1: number, a2: number}} filter
 * @param {{stream: number, level: number, fall: number}} band
 */
function addBand(response, { b, a1, a2 }, { stream, level, fall }) {
  let [s1, s2, t1, t2] = [0, 0, 0, 0];
  let gain = level;
  for (let i = 0; i < response.length; i++) {
    let hash = (i + stream * COUNTERS_PER_BAND + 1) | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    const x = ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 31 - 1;
    const y = b * x + s1;
    s1 = s2 - a1 * y;
    s2 = -b * x - a2 * y;
    const z = b * y + t1;
    t1 = t2 - a1 * z;
    t2 = -b * y - a2 * z;
    response[i] += gain * z;
    gain *= fall;
  }
}

/**
 * A first-order Butterworth band pass by the bilinear transform; the middle coefficient is 0, the third -b.
 * @param {number} start @param {number} stop  shares of the sample rate
 */
function bandPass(start, stop) {
  const lower = Math.tan(Math.PI * start);
  const upper = Math.tan(Math.PI * stop);
  const [width, centre] = [upper - lower, upper * lower];
  const scale = 1 + width + centre;
  return { b: width / scale, a1: (2 * (centre - 1)) / scale, a2: (1 - width + centre) / scale };
}

/** What all left out at a response's end can add up to, for sound of full scale: -100 dB. */
const INAUDIBLE = 1e-5;

/** A response without the end that nobody hears. @param {Float32Array} response */
export function audible(response) {
  let length = response.length;
  for (let left = INAUDIBLE; length > 1 && left >= 0; length--) left -= Math.abs(response[length - 1]);
  return response.subarray(0, length + 1);
}

const KNEE = 0.8;
const CEILING = 0.98;

/** The limiter of assembly/index.ts, for what comes out of a room: the identity up to 0.8, then a tanh below 0.98. @param {number} x */
export function limited(x) {
  const magnitude = Math.abs(x);
  const above = CEILING - KNEE;
  return magnitude <= KNEE ? x : Math.sign(x) * (KNEE + above * Math.tanh((magnitude - KNEE) / above));
}
