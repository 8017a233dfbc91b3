// Writes into the page what a model's decoder gives in this browser: `tinytimbre smoke` compares it with TensorFlow.js.
//
//   controls.html?model=/models/violin/0001-…/&inputs=[[0.5,0.6],…]      scaled pitch and level of each frame

import { Engine } from '../src/engine.js';
import { loadInstrument } from '../src/instrument.js';

const RATE = 48000; // of the audio device; controls do not depend on it

async function controls() {
  const given = new URLSearchParams(location.search);
  const instrument = await loadInstrument(given.get('model') ?? '');
  const bytes = await (await fetch('../src/engine.wasm')).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes);
  const engine = new Engine(/** @type {any} */ (instance.exports), instrument, RATE);
  return JSON.parse(given.get('inputs') ?? '[]').map(([pitch, level]) => {
    engine.decodeInputs(pitch, level);
    return [...engine.readControls()];
  });
}

try {
  document.body.textContent = JSON.stringify(await controls());
} catch (error) {
  document.body.textContent = String(error);
}
