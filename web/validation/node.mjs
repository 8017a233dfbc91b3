// Validates bundles without a browser: TensorFlow.js on cpu and wasm, and the engine.
//
//   node node.mjs jobs.json        prints a line of JSON for each job

import { readFileSync } from 'node:fs';

import { useBackend } from '../tools/tfjs-in-node.mjs';
import { check } from './checks.js';

const runtime = {
  // Answers like `fetch`, from the disk.
  fetch: async (file) => new Response(readFileSync(file)),
  compile: async () => WebAssembly.compile(readFileSync(new URL('../src/engine.wasm', import.meta.url))),
  useBackend,
  playByWorklet: null,
};

for (const [index, job] of JSON.parse(readFileSync(process.argv[2], 'utf8')).entries()) {
  try {
    console.log(JSON.stringify({ index, answer: await check(job, runtime) }));
  } catch (error) {
    console.log(JSON.stringify({ index, failure: String(error instanceof Error ? error.message : error) }));
  }
}
