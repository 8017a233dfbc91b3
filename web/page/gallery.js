// The gallery: what each instrument makes of a phrase in its range and of a voice, rendered here when it is opened.

import { TinyTimbreError } from '../src/errors.js';
import { loadInstrument } from '../src/instrument.js';
import { Player } from '../src/player.js';
import { toInt16, wavFile } from '../src/wav.js';
import { plainPhrase } from './phrase.js';
import { asBuffer, melody } from './sources.js';

/** @typedef {import('./instruments.js').Choice} Choice */
/** @typedef {import('../src/engine.js').Instrument} Instrument */

const RATE = 48000;
/** A little more than the sound itself: the last tone may ring. */
const TAIL_SECS = 0.5;
/** Instruments below this note are given the low voice. */
const LOW_BELOW_MIDI = 57;

/** @param {HTMLElement} list @param {Choice[]} choices */
export function showGallery(list, choices) {
  list.replaceChildren(...choices.map(exhibit));
}

/** @param {Choice} choice */
function exhibit({ label, url }) {
  const summary = Object.assign(document.createElement('summary'), { textContent: label });
  const status = Object.assign(document.createElement('p'), { className: 'quiet' });
  status.setAttribute('role', 'status');
  const players = Object.assign(document.createElement('div'), { className: 'players' });
  const box = Object.assign(document.createElement('details'), { className: 'exhibit' });
  box.append(summary, status, players);
  let begun = false;
  box.addEventListener('toggle', async () => {
    if (!box.open || begun) return;
    begun = true;
    status.textContent = 'Playing it through the model …';
    try {
      players.replaceChildren(...await sounds(await loadInstrument(url), label));
      status.textContent = 'Made just now, on this device.';
    } catch (error) {
      // So that opening it again tries again.
      begun = false;
      status.textContent = words(error);
    }
  });
  return box;
}

/** @param {Instrument} instrument @param {string} label */
async function sounds(instrument, label) {
  const home = instrument.settings.statistics.pitch_midi.quantiles.p50;
  const phrase = asBuffer(plainPhrase(instrument.settings));
  const voice = melody(home < LOW_BELOW_MIDI ? 'low' : 'high');
  const name = label.toLowerCase();
  return [
    player('A phrase, as a plain tone', phrase),
    player(`The phrase, played by the ${name}`, await played(instrument, phrase)),
    player('A voice', voice),
    player(`The voice, turned ${name}`, await played(instrument, voice)),
  ];
}

/**
 * A sound as an instrument plays it, by the very player that plays live.
 * @param {Instrument} instrument @param {AudioBuffer} sound @returns {Promise<AudioBuffer>}
 */
export async function played(instrument, sound) {
  const context = new OfflineAudioContext(1, Math.ceil((sound.duration + TAIL_SECS) * RATE), RATE);
  const made = await Player.create(context);
  /** @type {Error | null} */
  let failure = null;
  made.addEventListener('failed', (event) => {
    failure = /** @type {CustomEvent} */ (event).detail;
  });
  made.output.connect(context.destination);
  made.play(instrument);
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  source.connect(made.input);
  source.start();
  const rendered = await context.startRendering();
  if (failure) throw failure;
  return rendered;
}

/** @param {string} caption @param {AudioBuffer} buffer */
function player(caption, buffer) {
  const file = wavFile([toInt16(buffer.getChannelData(0))], buffer.sampleRate);
  const audio = Object.assign(document.createElement('audio'), { controls: true, src: URL.createObjectURL(file) });
  audio.setAttribute('aria-label', caption);
  const figure = document.createElement('figure');
  figure.append(Object.assign(document.createElement('figcaption'), { textContent: caption }), audio);
  return figure;
}

/** @param {unknown} error */
function words(error) {
  if (!(error instanceof TinyTimbreError)) return `Something went wrong: ${error instanceof Error ? error.message : error}`;
  return [error.rule, error.got && `here: ${error.got}`, error.remedy && `way out: ${error.remedy}`].filter(Boolean).join('; ');
}
