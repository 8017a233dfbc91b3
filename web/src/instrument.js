// A model made ready to be played.

import { loadBundle } from './bundle.js';
import { TinyTimbreError } from './errors.js';
import { compileGraph } from './graph.js';

/** @typedef {import('./engine.js').Instrument} Instrument */

/** What the player reads of settings.json, and of what kind it must be. @type {Record<string, string>} */
const NEEDED = {
  sample_rate_hz: 'number',
  frame_rate_hz: 'number',
  hop: 'number',
  harmonics: 'number',
  noise_bands: 'number',
  'input_scaling.midi_range': 'number',
  'input_scaling.db_range': 'number',
  'graph.inputs': 'string',
  'graph.state': 'string',
  'graph.controls': 'string',
  'graph.next_state': 'string',
  'graph.n_inputs': 'number',
  'graph.state_size': 'number',
  'graph.n_controls': 'number',
};
/** What a room may be (tinytimbre/synthesis/reverb.py); beyond that it would only be loud, or endless to compute. */
const ROOM = { bands: 24, levels: [0.001, 4], rt60_secs: [0.05, 1], low_hz: [10, 24000], high_hz: [10, 24000], response_secs: [0.001, 2] };
const QUANTITIES = ['pitch_midi', 'loudness_db', 'rms_energy_db'];
const MOMENTS = ['mean', 'std', 'max', 'quantiles.p05', 'quantiles.p50', 'quantiles.p95'];

/**
 * Fetches a model and compiles its graph.
 *
 * @param {string} url  folder with model.json, weights.bin and settings.json
 * @param {{fetch?: (url: string) => Promise<Response>}} [options]
 * @returns {Promise<Instrument>}
 * @throws {import('./errors.js').TinyTimbreError} files missing, damaged, or of another version
 */
export async function loadInstrument(url, options) {
  const { settings, graph, weights } = await loadBundle(url, options);
  checkSettings(settings);
  return { settings, program: compileGraph(graph, weights, settings.graph) };
}

/** @param {any} settings @throws {TinyTimbreError} something is missing or impossible */
export function checkSettings(settings) {
  const statistics = QUANTITIES.flatMap((quantity) => MOMENTS.map((moment) => `statistics.${quantity}.${moment}`));
  const needed = [...Object.entries(NEEDED), ...statistics.map((name) => [name, 'number'])];
  const wrong = needed.filter(([name, kind]) => !isOf(kind, reach(settings, name))).map(([name]) => name);
  if (wrong.length) throw incomplete(`${wrong.join(', ')} missing or of another kind`);
  if (!['loudness', 'rms_energy'].includes(settings.input)) throw incomplete(`input ${JSON.stringify(settings.input)}`);
  const { graph, harmonics, noise_bands: bands } = settings;
  if (graph.n_inputs !== 2 || graph.n_controls !== 1 + harmonics + bands || harmonics < 1 || bands < 2) {
    throw incomplete(`${graph.n_controls} controls for ${harmonics} harmonics and ${bands} noise bands`);
  }
  if (settings.hop < 1 || settings.hop * settings.frame_rate_hz !== settings.sample_rate_hz) {
    throw incomplete(`${settings.hop} samples a frame at ${settings.sample_rate_hz} Hz`);
  }
  if (settings.sample_rate_hz < 8000 || settings.sample_rate_hz > 48000 || settings.frame_rate_hz > 1000) {
    throw incomplete(`${settings.frame_rate_hz} frames a second at ${settings.sample_rate_hz} Hz`);
  }
  if (settings.reverb) checkRoom(settings.reverb);
}

/** @param {any} room */
function checkRoom(room) {
  const { bands, ...limits } = ROOM;
  const wrong = Object.entries(limits).filter(([name, [low, high]]) => {
    const values = [room[name]].flat();
    return !values.every((value) => isOf('number', value) && value >= low && value <= high);
  });
  const pairs = Array.isArray(room.levels) && Array.isArray(room.rt60_secs) && room.levels.length === room.rt60_secs.length;
  if (wrong.length) throw incomplete(`reverb.${wrong[0][0]} ${JSON.stringify(room[wrong[0][0]])}`);
  if (!pairs || !room.levels.length || room.levels.length > bands || !(room.low_hz < room.high_hz)) {
    throw incomplete('a reverb whose bands do not fit together');
  }
}

/** @param {string} kind @param {any} value */
const isOf = (kind, value) => typeof value === kind && (kind !== 'number' || Number.isFinite(value));

/** @param {any} value @param {string} path */
const reach = (value, path) => path.split('.').reduce((inner, key) => inner?.[key], value);

/** @param {string} got */
function incomplete(got) {
  return new TinyTimbreError('settings.json must describe the model completely', {
    got,
    cause: 'the file was edited or cut short',
    remedy: 'export or publish the model again',
  });
}
