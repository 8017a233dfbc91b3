// The demonstration page: connects what one sees with the player.

import { TinyTimbreError } from '../src/errors.js';
import { loadInstrument } from '../src/instrument.js';
import { Player, unsupported } from '../src/player.js';
import { showGallery } from './gallery.js';
import { fetchIndex, showInstruments } from './instruments.js';
import { Recorder } from './recorder.js';
import { Roll, cents, noteName } from './roll.js';
import { FileSource, openClip, openMicrophone } from './sources.js';

/** @typedef {import('../src/voice.js').Frame} Frame */
/** @typedef {import('./sources.js').Source} Source */

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} #${id}`);
  return found;
}

const SILENT_DB = -75;
const PATIENCE_SECS = 4;
const WAKE_SECS = 3;
const MODELS = new URL('../models/', import.meta.url);

const alertBox = element('alert', HTMLDivElement);
const status = element('status', HTMLParagraphElement);
const buttons = {
  microphone: element('use-microphone', HTMLButtonElement),
  clip: element('use-clip', HTMLButtonElement),
  song: element('use-song', HTMLButtonElement),
  file: element('use-file', HTMLButtonElement),
};
const fileInput = element('file', HTMLInputElement);
const filePlayer = element('file-player', HTMLAudioElement);
const volume = element('volume', HTMLInputElement);
const silence = element('silence', HTMLInputElement);
const octave = element('octave', HTMLSelectElement);
const level = element('level', HTMLMeterElement);
const sourceNote = element('source-note', HTMLOutputElement);
const playedNote = element('played-note', HTMLOutputElement);
const drop = element('drop', HTMLDivElement);

const roll = new Roll(element('roll', HTMLCanvasElement));
const files = new FileSource(filePlayer);
const recorder = new Recorder(
  {
    button: element('record', HTMLButtonElement),
    download: element('download', HTMLAnchorElement),
    replay: element('replay', HTMLAudioElement),
  },
  { say, name: () => chosen?.name ?? 'instrument' },
);

/** @type {AudioContext | null} */
let context = null;
/** @type {Promise<Player> | null} */
let opening = null;
/** @type {Player | null} */
let player = null;
/** @type {Source | null} */
let source = null;
/** @type {keyof typeof buttons | null} */
let sounding = null;
/** @type {{name: string, ready: Promise<import('../src/engine.js').Instrument>} | null} */
let chosen = null;
/** Counts what the user asked for, so that an answer that comes late is dropped. */
let wish = 0;
let quietSince = 0;

/** @param {unknown} error */
function explain(error) {
  const lines = error instanceof TinyTimbreError
    ? [`${error.rule[0].toUpperCase()}${error.rule.slice(1)}.`, error.got && `Here: ${error.got}.`,
       error.cause && `Likely cause: ${error.cause}.`, error.remedy && `Way out: ${error.remedy}.`]
    : [`Something went wrong: ${error instanceof Error ? error.message : error}`];
  alertBox.replaceChildren(...lines.filter(Boolean).map((text) => Object.assign(document.createElement('p'), { textContent: text })));
  alertBox.hidden = false;
}

/** @param {string} words */
function say(words) {
  status.textContent = words;
}

function calm() {
  alertBox.hidden = true;
  alertBox.replaceChildren();
}

/** @returns {Promise<Player>} */
async function openPlayer() {
  const found = globalThis.AudioContext;
  if (!found || !globalThis.AudioWorkletNode) throw unsupported();
  context = new AudioContext({ latencyHint: 'interactive' });
  context.addEventListener('statechange', () => watchContext());
  const made = await Player.create(context);
  made.output.connect(context.destination);
  made.addEventListener('frames', (event) => see(/** @type {CustomEvent<Frame[]>} */ (event).detail));
  made.addEventListener('failed', (event) => explain(/** @type {CustomEvent} */ (event).detail));
  player = made;
  recorder.attach(made);
  showRuntime(made, context);
  applyControls();
  return made;
}

/** Starts the sound; browsers that wait for a device, or forbid it, never say so. */
async function wake() {
  const running = /** @type {AudioContext} */ (context);
  await Promise.race([running.resume(), new Promise((resolve) => setTimeout(resolve, 1000 * WAKE_SECS))]);
  if (running.state === 'running') return;
  throw new TinyTimbreError('playing needs a sound output', {
    got: `the system keeps the sound ${running.state}`,
    cause: 'no loudspeaker or headphones, or another program holds them',
    remedy: 'check the sound output of your system, then press the button again',
  });
}

function watchContext() {
  if (sounding && context && context.state !== 'running') {
    say('The system has taken the sound away; press the button again to go on.');
    stop();
  }
}

function applyControls() {
  silence.setAttribute('aria-valuetext', `${silence.value} decibels`);
  element('silence-value', HTMLOutputElement).value = `−${Math.abs(Number(silence.value))} dB`;
  if (!player || !context) return;
  player.setOctaves(Number(octave.value));
  player.setSilence(Number(silence.value));
  player.output.gain.setTargetAtTime(Number(volume.value), context.currentTime, 0.02);
}

/** @param {Frame[]} frames */
function see(frames) {
  if (!context || !sounding) return;
  roll.add(frames, context.sampleRate);
  const last = frames[frames.length - 1];
  level.value = last.energyDb;
  sourceNote.value = Number.isFinite(last.sourceMidi) ? `${noteName(last.sourceMidi)} ${cents(last.sourceMidi)}` : '–';
  playedNote.value = Number.isFinite(last.playedMidi) ? noteName(last.playedMidi) : '–';
  hint(last);
}

/** Says it when a microphone is open and nothing comes in. @param {Frame} frame */
function hint(frame) {
  if (!context || sounding !== 'microphone') return;
  if (frame.energyDb > SILENT_DB) quietSince = context.currentTime;
  if (context.currentTime - quietSince < PATIENCE_SECS) return;
  quietSince = Infinity;
  say('The microphone is open but hears nothing: is it muted, or is another one meant?');
}

function drawForever() {
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  let next = 0;
  const draw = (/** @type {number} */ now) => {
    if (sounding && now >= next) {
      next = now + (still ? 250 : 0);
      roll.draw();
    }
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}

function stop() {
  wish += 1;
  source?.stop();
  source = null;
  if (sounding) buttons[sounding].setAttribute('aria-pressed', 'false');
  sounding = null;
  sourceNote.value = playedNote.value = '–';
  level.value = -60;
}

/**
 * Starts a source, or stops it if it is playing.
 * @param {keyof typeof buttons} kind @param {(context: AudioContext) => Promise<Source> | Source} open @param {string} words
 */
async function toggle(kind, open, words) {
  calm();
  const again = sounding === kind && kind !== 'file';
  stop();
  if (again) return say('Stopped.');
  const mine = wish;
  say('One moment …');
  try {
    const opened = await openSource(open);
    if (mine === wish) begin(kind, opened, words);
    else opened.stop();
  } catch (error) {
    if (mine === wish) say('Not playing.');
    explain(error);
  }
}

/** Everything a source needs, then the source. @param {(context: AudioContext) => Promise<Source> | Source} open */
async function openSource(open) {
  opening ??= openPlayer();
  try {
    await opening;
  } catch (error) {
    opening = null;
    await context?.close();
    throw error;
  }
  await wake();
  const loaded = await instrument();
  const opened = await open(/** @type {AudioContext} */ (context));
  player?.play(loaded);
  return opened;
}

/** @param {keyof typeof buttons} kind @param {Source} opened @param {string} words */
function begin(kind, opened, words) {
  source = opened;
  sounding = kind;
  quietSince = context?.currentTime ?? 0;
  roll.clear();
  opened.node.connect(/** @type {Player} */ (player).input);
  buttons[kind].setAttribute('aria-pressed', 'true');
  say(words);
}

/** @returns {Promise<import('../src/engine.js').Instrument>} */
async function instrument() {
  if (!chosen) throw new TinyTimbreError('choose an instrument first');
  return chosen.ready;
}

/** @param {{name: string, url: string, label: string}} choice */
function choose({ name, url, label }) {
  // Now and not when it is loaded: by then something else may have to be said.
  calm();
  const ready = loadInstrument(url);
  chosen = { name, ready };
  element('played-name', HTMLSpanElement).textContent = label;
  ready.then(
    (loaded) => {
      if (chosen?.ready !== ready) return;
      if (sounding) player?.play(loaded);
      showFacts(loaded, label);
    },
    (error) => chosen?.ready === ready && explain(error),
  );
}

/** @param {Player} made @param {AudioContext} running */
function showRuntime({ plain }, { sampleRate, baseLatency }) {
  element('runtime', HTMLParagraphElement).textContent =
    `Running at ${sampleRate / 1000} kHz in ${plain ? 'plain JavaScript' : 'WebAssembly'}; ` +
    `the browser adds ${Math.round(1000 * baseLatency)} ms, the loudspeaker's way comes on top.`;
}

/** @param {import('../src/engine.js').Instrument} loaded @param {string} label */
function showFacts({ settings, program }, label) {
  const mflops = (program.flopsPerFrame * settings.frame_rate_hz) / 1e6;
  element('facts', HTMLParagraphElement).textContent =
    `${label}: ${settings.decoder.kind.toUpperCase()} of width ${settings.decoder.width}, ${mflops.toFixed(2)} MFLOP/s, ` +
    `${settings.harmonics} harmonics, ${settings.noise_bands} noise bands, ${settings.frame_rate_hz} frames a second.`;
  const credits = (settings.data ?? []).map((/** @type {any} */ d) => `${d.attribution || d.source} (${d.licence})`);
  element('credits', HTMLParagraphElement).textContent = credits.length ? `Recordings it learnt from: ${credits.join('; ')}.` : '';
}

/** @param {File | undefined} file */
function playFile(file) {
  if (!file) return;
  toggle('file', (context) => files.open(context, file), `Playing ${file.name}.`);
}

function wireSources() {
  const gone = () => {
    stop();
    explain(new TinyTimbreError('the microphone must stay connected', {
      got: 'it is gone', remedy: 'connect it again, then press the button',
    }));
  };
  const ended = () => {
    stop();
    say('It is over.');
  };
  buttons.microphone.onclick = () =>
    toggle('microphone', (context) => openMicrophone(context, { onGone: gone }), 'Listening: sing or hum, one note at a time.');
  /** @param {'clip' | 'song'} kind @param {'low' | 'high'} voice @param {string} words */
  const sings = (kind, voice, words) => () => toggle(kind, (context) => openClip(context, { voice, onEnd: ended }), words);
  buttons.clip.onclick = sings('clip', 'low', 'Playing the melody.');
  buttons.song.onclick = sings('song', 'high', 'Playing the song.');
  buttons.file.onclick = () => {
    if (sounding !== 'file') return fileInput.click();
    stop();
    say('Stopped.');
  };
  fileInput.onchange = () => {
    playFile(fileInput.files?.[0]);
    fileInput.value = '';
  };
  filePlayer.onended = () => {
    say('The recording is over.');
  };
}

function wireDrops() {
  addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.hidden = false;
  });
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) drop.hidden = true;
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    drop.hidden = true;
    playFile(event.dataTransfer?.files[0]);
  });
}

async function start() {
  wireSources();
  wireDrops();
  for (const control of [octave, volume, silence]) control.addEventListener('input', applyControls);
  applyControls();
  drawForever();
  try {
    if (!globalThis.AudioWorkletNode) throw unsupported();
    const choices = await fetchIndex(MODELS);
    showInstruments(element('instrument-list', HTMLDivElement), choices, choose);
    showGallery(element('gallery-list', HTMLDivElement), choices);
    for (const button of Object.values(buttons)) button.disabled = false;
  } catch (error) {
    element('instrument-list', HTMLDivElement).replaceChildren();
    say('Not ready.');
    explain(error);
  }
}

start();
