// Playing without an audio context: whole recordings, faster than they sound.

import { StreamingConvolution } from './convolution.js';
import { impulseResponse, limited } from './reverb.js';

/**
 * Plays a recording, in the instrument's room where it has one.
 * @param {import('./voice.js').Voice} voice @param {Float32Array} samples  at the voice's rate
 * @returns {Float32Array} as many samples; what would ring on after them is cut off
 */
export function playThrough(voice, samples) {
  const output = new Float32Array(samples.length);
  voice.process(samples, output);
  if (!voice.room) return output;
  return new StreamingConvolution(impulseResponse(voice.room, voice.rate)).process(output).map(limited);
}
