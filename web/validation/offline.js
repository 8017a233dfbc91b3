// The player in an offline context: what a page would play live.

import { Player } from '../src/player.js';

/**
 * @param {any} instrument @param {Float32Array} samples @param {number} rate
 * @param {{plain?: boolean, recorded?: (file: Blob) => Promise<void>}} [options]  `recorded` gets the player's recording
 * @returns {Promise<{output: Float32Array, seconds: number}>} what is heard, and how long computing it took
 */
export async function playOffline(instrument, samples, rate, { plain = false, recorded } = {}) {
  const context = new OfflineAudioContext(1, samples.length, rate);
  const player = await Player.create(context, { plain });
  player.output.connect(context.destination);
  if (recorded) player.startRecording();
  player.play(instrument);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
  buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (samples), 0);
  const node = new AudioBufferSourceNode(context, { buffer });
  node.connect(player.input);
  node.start();
  const start = performance.now();
  const rendered = await context.startRendering();
  const seconds = (performance.now() - start) / 1000;
  await recorded?.(await player.stopRecording());
  return { output: rendered.getChannelData(0), seconds };
}
