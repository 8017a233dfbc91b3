// Convolution of a sound of any length with a response, block after block, where there is no ConvolverNode.

/** Memory is some ten times the response's, however long the sound. */
export class StreamingConvolution {
  /** @param {Float32Array} response */
  constructor(response) {
    const half = 2 ** Math.ceil(Math.log2(response.length));
    this.spectrum = Complex.of(response, 2 * half);
    fourier(this.spectrum);
    this.longest = 2 * half - response.length + 1;
    /** What rings on after the last block. */
    this.tail = new Float64Array(response.length - 1);
  }

  /** The next block, of any length. @param {Float32Array} samples @returns {Float32Array} as many */
  process(samples) {
    const output = new Float32Array(samples.length);
    for (let at = 0; at < samples.length; at += this.longest) {
      const end = Math.min(at + this.longest, samples.length);
      this.#block(samples.subarray(at, end), output.subarray(at, end));
    }
    return output;
  }

  /** @param {Float32Array} samples @param {Float32Array} output */
  #block(samples, output) {
    const { spectrum, tail } = this;
    const { length } = spectrum.re;
    const values = Complex.of(samples, length);
    fourier(values);
    // Times the response and conjugated, so that the same transform leads back.
    for (let k = 0; k < length; k++) {
      const [re, im] = [values.re[k], values.im[k]];
      values.re[k] = re * spectrum.re[k] - im * spectrum.im[k];
      values.im[k] = -(re * spectrum.im[k] + im * spectrum.re[k]);
    }
    fourier(values);
    const n = samples.length;
    const heard = (/** @type {number} */ i) => values.re[i] / length + (tail[i] ?? 0);
    for (let i = 0; i < n; i++) output[i] = heard(i);
    this.tail = Float64Array.from(tail, (_, i) => heard(n + i));
  }
}

class Complex {
  /** @param {number} length */
  constructor(length) {
    this.re = new Float64Array(length);
    this.im = new Float64Array(length);
  }

  /** Real values, then zeros. @param {Float32Array} values @param {number} length */
  static of(values, length) {
    const made = new Complex(length);
    made.re.set(values);
    return made;
  }
}

/** The discrete Fourier transform in place, a power of two long: radix 2, decimation in frequency. @param {Complex} values */
function fourier({ re, im }) {
  for (let half = re.length / 2; half >= 1; half /= 2) {
    for (let j = 0; j < half; j++) {
      const angle = (-Math.PI * j) / half;
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let p = j; p < re.length; p += 2 * half) {
        const q = p + half;
        const [x, y] = [re[p] - re[q], im[p] - im[q]];
        re[p] += re[q];
        im[p] += im[q];
        re[q] = x * c - y * s;
        im[q] = x * s + y * c;
      }
    }
  }
  reorder(re);
  reorder(im);
}

/** Values to the places of their reversed binary numbers. @param {Float64Array} values */
function reorder(values) {
  for (let i = 0, j = 0; i < values.length; i++) {
    if (i < j) [values[i], values[j]] = [values[j], values[i]];
    let bit = values.length >> 1;
    for (; bit >= 1 && j & bit; bit >>= 1) j ^= bit;
    j |= bit;
  }
}
