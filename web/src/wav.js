// WAV files: 16 bit, mono.

const HEADER = 44;

/** @param {Float32Array} samples @returns {Int16Array} rounded, held within full scale */
export function toInt16(samples) {
  return Int16Array.from(samples, (x) => Math.round(Math.max(-1, Math.min(1, x)) * 32767));
}

/**
 * @param {Int16Array[]} parts @param {number} sampleRate
 * @returns {Blob} audio/wav
 */
export function wavFile(parts, sampleRate) {
  const bytes = 2 * parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(HEADER));
  /** @param {number} at @param {string} text */
  const name = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  name(0, 'RIFF');
  view.setUint32(4, HEADER - 8 + bytes, true);
  name(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // mono
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  name(36, 'data');
  view.setUint32(40, bytes, true);
  return new Blob([view, .../** @type {BlobPart[]} */ (parts)], { type: 'audio/wav' });
}
