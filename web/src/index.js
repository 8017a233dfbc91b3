// TinyTimbre in the browser.

export { FORMAT_VERSIONS, ioHandler, loadBundle } from './bundle.js';
export { Engine } from './engine.js';
export { TinyTimbreError } from './errors.js';
export { loadInstrument } from './instrument.js';
export { LONGEST_RECORDING_SECS, Player } from './player.js';
export { playThrough } from './rendering.js';
export { TfjsDecoder } from './tfjs.js';
export { Voice } from './voice.js';
export { wavFile } from './wav.js';
