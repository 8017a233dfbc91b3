// A small instrument made by hand, for tests in Node: brighter and louder with the level.

import { compileGraph } from '../src/graph.js';

const HARMONICS = 12;
const BANDS = 9;
const CONTROLS = 1 + HARMONICS + BANDS;

const around = (mean, std) => ({
  mean, std, min: mean - 3 * std, max: mean + 2 * std,
  quantiles: { p05: mean - 1.6 * std, p25: mean - 0.7 * std, p50: mean, p75: mean + 0.7 * std, p95: mean + 1.6 * std },
});

export const SETTINGS = {
  format_version: 1, instrument: 'test', input: 'rms_energy', input_scaling: { midi_range: 127, db_range: 80 },
  sample_rate_hz: 16000, frame_rate_hz: 50, hop: 320, harmonics: HARMONICS, noise_bands: BANDS, noise_seed: 3,
  graph: {
    inputs: 'inputs', state: 'state', controls: 'controls', next_state: 'next_state',
    n_inputs: 2, state_size: 4, n_controls: CONTROLS,
  },
  statistics: { pitch_midi: around(60, 5), loudness_db: around(0, 6), rms_energy_db: around(-18, 6) },
};

const node = (name, op, input, attr = {}) => ({ name, op, input, attr });
const GRAPH = {
  node: [
    node('kernel', 'Const'), node('bias', 'Const'),
    node('inputs', 'Placeholder'), node('state', 'Placeholder'),
    node('product', '_FusedMatMul', ['inputs', 'kernel', 'bias'], { fused_ops: { list: { s: [btoa('BiasAdd'), btoa('Sigmoid')] } } }),
    node('controls', 'Identity', ['product']), node('next_state', 'Identity', ['state']),
  ],
};
const kernel = new Float32Array(2 * CONTROLS);
const bias = new Float32Array(CONTROLS);
for (let i = 0; i < CONTROLS; i++) {
  kernel[CONTROLS + i] = 6;
  bias[i] = i <= HARMONICS ? -5.5 - 0.3 * i : -10;
}
const WEIGHTS = new Map([
  ['kernel', { shape: [2, CONTROLS], data: kernel }],
  ['bias', { shape: [CONTROLS], data: bias }],
]);

export const INSTRUMENT = { settings: SETTINGS, program: compileGraph(GRAPH, WEIGHTS, SETTINGS.graph) };

/** A buzz of five partials. */
export function buzz({ hz, secs, rate, gain = 0.2, from = 0 }) {
  const samples = new Float32Array(Math.round(secs * rate));
  for (let i = Math.round(from * rate); i < samples.length; i++) {
    for (let k = 1; k <= 5; k++) samples[i] += (gain / k) * Math.sin((2 * Math.PI * hz * k * i) / rate);
  }
  return samples;
}
