// TensorFlow.js in Node, from the installed packages.

import { createRequire } from 'node:module';
import path from 'node:path';

// The packages' Node builds are CommonJS.
const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');

/** @param {string} name  "wasm" or "cpu" */
export async function useBackend(name) {
  const backend = require(`@tensorflow/tfjs-backend-${name}`);
  if (name === 'wasm') {
    const main = require.resolve('@tensorflow/tfjs-backend-wasm');
    backend.setWasmPaths(path.dirname(main) + path.sep);
  }
  if (!(await tf.setBackend(name))) throw new Error(`TensorFlow.js could not start its ${name} backend`);
  await tf.ready();
  return { tf, loadGraphModel };
}
