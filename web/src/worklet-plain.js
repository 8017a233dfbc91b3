// Loaded into the worklet before worklet.js where WebAssembly with SIMD is not to be had.

import { instantiatePlain } from './engine-plain.js';

// @ts-expect-error: the worklet's global scope is the only place that both modules share.
globalThis.tinytimbrePlain = instantiatePlain;
