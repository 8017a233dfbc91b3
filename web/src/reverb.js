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
    const noise = whiteNoise(band, samples, sampleRate);
    const filter = bandPass(edge(band) / sampleRate, stop / sampleRate);
    filter(filter(noise));
    const decay = Math.log(1000) / room.rt60_secs[band];
    const scale = room.levels[band] * Math.sqrt(2 * decay);
    for (let i = 0; i < samples; i++) response[i] += scale * Math.exp((-decay * i) / sampleRate) * noise[i];
  }
  response[0] = 1;
  return Float32Array.from(response);
}

/** MurmurHash3's 32-bit finaliser of a counter; a power density of 1 per Hz. @param {number} stream @param {number} samples @param {number} sampleRate */
function whiteNoise(stream, samples, sampleRate) {
  const scale = Math.sqrt(3 / sampleRate);
  const noise = new Float64Array(samples);
  for (let i = 0; i < samples; i++) {
    let x = (i + stream * COUNTERS_PER_BAND + 1) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x = (x ^ (x >>> 16)) >>> 0;
    noise[i] = scale * (x / 2 ** 31 - 1);
  }
  return noise;
}

/**
 * A first-order Butterworth band pass by the bilinear transform; filters in place.
 * @param {number} start @param {number} stop  shares of the sample rate
 * @returns {(values: Float64Array) => Float64Array}
 */
function bandPass(start, stop) {
  const lower = Math.tan(Math.PI * start);
  const upper = Math.tan(Math.PI * stop);
  const [width, centre] = [upper - lower, upper * lower];
  const scale = 1 + width + centre;
  const [b, a1, a2] = [width / scale, (2 * (centre - 1)) / scale, (1 - width + centre) / scale];
  return (values) => {
    let [s1, s2] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      const x = values[i];
      const y = b * x + s1;
      s1 = s2 - a1 * y;
      s2 = -b * x - a2 * y;
      values[i] = y;
    }
    return values;
  };
}

const KNEE = 0.8;
const CEILING = 0.98;

/** The limiter of assembly/index.ts, for what comes out of a room: the identity up to 0.8, then a tanh below 0.98. @param {number} x */
export function limited(x) {
  const magnitude = Math.abs(x);
  const above = CEILING - KNEE;
  return magnitude <= KNEE ? x : Math.sign(x) * (KNEE + above * Math.tanh((magnitude - KNEE) / above));
}
