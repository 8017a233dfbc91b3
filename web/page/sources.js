// Where the sound comes from: microphone, file, built-in melodies. Each connects itself and can be stopped.

import { TinyTimbreError } from '../src/errors.js';
import { sing } from './voices.js';

/** @typedef {{node: AudioNode, stop: () => void}} Source */

const REFUSALS = {
  NotAllowedError: {
    got: 'the browser or you said no',
    remedy: 'allow the microphone for this page (the icon beside the address), then press the button again',
  },
  NotFoundError: { got: 'no microphone', remedy: 'plug one in, or play the melody or a recording' },
  NotReadableError: {
    got: 'a microphone that cannot be opened',
    cause: 'another program holds it, or the system blocks it',
    remedy: 'close the other program, or check the privacy settings of your system',
  },
};

/**
 * @param {AudioContext} context @param {{onGone: () => void}} events
 * @returns {Promise<Source>}
 */
export async function openMicrophone(context, { onGone }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new TinyTimbreError('singing needs a microphone', {
      got: 'a browser that gives none to this page',
      cause: globalThis.isSecureContext ? 'an old browser' : 'browsers allow it on https and localhost only',
      remedy: 'use a current browser over https, or play the melody or a recording',
    });
  }
  const stream = await ask();
  const [track] = stream.getAudioTracks();
  track.addEventListener('ended', onGone);
  const node = sourceOf(context, stream);
  const stop = () => {
    node.disconnect();
    track.removeEventListener('ended', onGone);
    track.stop();
  };
  return { node, stop };
}

/** What browsers do to voices for calls would bend the sound of an instrument. */
async function ask() {
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = /** @type {Error} */ (error).name;
    const refusal = REFUSALS[/** @type {keyof typeof REFUSALS} */ (name)];
    throw new TinyTimbreError('singing needs the microphone', refusal ?? { got: String(error) });
  }
}

/** @param {AudioContext} context @param {MediaStream} stream */
function sourceOf(context, stream) {
  try {
    return context.createMediaStreamSource(stream);
  } catch (error) {
    stream.getTracks().forEach((track) => track.stop());
    throw new TinyTimbreError('microphone and speakers must run at one sample rate in this browser', {
      got: String(error),
      cause: 'a headset that was plugged in meanwhile',
      remedy: 'load the page again',
    });
  }
}

/** @typedef {keyof typeof import('./voices.js').VOICES} VoiceName */
/** What has been sung once. @type {Map<VoiceName, AudioBuffer>} */
const sung = new Map();

/** A voice's melody as a buffer. @param {VoiceName} name */
export function melody(name) {
  const known = sung.get(name) ?? asBuffer(sing(name));
  sung.set(name, known);
  return known;
}

/** @param {{samples: Float32Array, sampleRate: number}} sound */
export function asBuffer({ samples, sampleRate }) {
  const buffer = new AudioBuffer({ length: samples.length, sampleRate });
  buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (samples), 0);
  return buffer;
}

/** @param {AudioContext} context @param {{voice: VoiceName, onEnd: () => void}} options @returns {Source} */
export function openClip(context, { voice, onEnd }) {
  const buffer = melody(voice);
  const node = new AudioBufferSourceNode(context, { buffer });
  node.onended = onEnd;
  node.start();
  const stop = () => {
    node.onended = null;
    node.stop();
    node.disconnect();
  };
  return { node, stop };
}

/** Plays files through one <audio> element, which reads them piece by piece: length does not matter. */
export class FileSource {
  /** @param {HTMLAudioElement} element */
  constructor(element) {
    this.element = element;
    /** @type {MediaElementAudioSourceNode | null} */
    this.node = null;
    this.url = '';
  }

  /** @param {AudioContext} context @param {File} file @returns {Promise<Source>} */
  async open(context, file) {
    // An element can be given to a context once only.
    this.node ??= context.createMediaElementSource(this.element);
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(file);
    this.element.src = this.url;
    this.element.hidden = false;
    try {
      await this.element.play();
    } catch (error) {
      this.close();
      throw unreadable(file, /** @type {Error} */ (error));
    }
    return { node: this.node, stop: () => this.close() };
  }

  close() {
    this.element.pause();
    this.element.hidden = true;
    this.node?.disconnect();
  }
}

/** @param {File} file @param {Error} error */
function unreadable(file, error) {
  return new TinyTimbreError('the recording must be audio that this browser plays', {
    got: `${file.name} (${file.type || 'of no known type'}): ${error.message}`,
    remedy: 'try a wav, mp3, m4a, ogg or flac file',
  });
}
