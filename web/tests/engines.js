// Both builds of the engine, for tests in Node.

import { readFileSync } from 'node:fs';

import { instantiatePlain } from '../src/engine-plain.js';

const module = new WebAssembly.Module(readFileSync(new URL('../src/engine.wasm', import.meta.url)));

/** Makes a fresh instance of each. */
export const ENGINES = {
  wasm: () => new WebAssembly.Instance(module).exports,
  plain: () => instantiatePlain(),
};
