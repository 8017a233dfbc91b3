// Recording what is played, and handing it over as a WAV file.

import { LONGEST_RECORDING_SECS } from '../src/player.js';

/** @typedef {import('../src/player.js').Player} Player */

export class Recorder {
  /**
   * @param {{button: HTMLButtonElement, download: HTMLAnchorElement, replay: HTMLAudioElement}} elements
   * @param {{say: (words: string) => void, name: () => string}} page
   */
  constructor({ button, download, replay }, { say, name }) {
    this.button = button;
    this.download = download;
    this.replay = replay;
    this.say = say;
    this.name = name;
    /** @type {Player | null} */
    this.player = null;
    button.onclick = () => this.toggle();
  }

  /** From now on there is something to record. @param {Player} player */
  attach(player) {
    this.player = player;
    this.button.disabled = false;
    player.addEventListener('recordingfull', () => this.finish());
  }

  toggle() {
    if (!this.player) return;
    if (this.player.recording) {
      this.finish();
      return;
    }
    this.player.startRecording();
    this.show('Stop recording', true);
    this.say(`Recording; ${LONGEST_RECORDING_SECS / 60} minutes at most.`);
  }

  async finish() {
    if (!this.player) return;
    const file = await this.player.stopRecording();
    this.show('Record', false);
    URL.revokeObjectURL(this.download.href);
    this.download.href = this.replay.src = URL.createObjectURL(file);
    this.download.download = `tinytimbre-${this.name()}.wav`;
    this.download.hidden = this.replay.hidden = false;
    this.say('Recorded.');
  }

  /** @param {string} words @param {boolean} pressed */
  show(words, pressed) {
    this.button.textContent = words;
    this.button.setAttribute('aria-pressed', String(pressed));
  }
}
