// The pitch roll: eight seconds of what was heard and played, newest at the right.

/** @typedef {import('../src/voice.js').Frame} Frame */

const SECONDS = 8;
const NAMES = ['C', 'C♯', 'D', 'E♭', 'E', 'F', 'F♯', 'G', 'A♭', 'A', 'B♭', 'B'];
const LEAST_SEMITONES = 26;
const MARGIN_SEMITONES = 3;
/** Share of the way to a new range that a picture covers. */
const EASE = 0.08;
const LABELS = 44;
const LEVEL_STRIP = 46;

/** Name of the nearest note, with octave. @param {number} midi */
export function noteName(midi) {
  const note = Math.round(midi);
  return `${NAMES[((note % 12) + 12) % 12]}${Math.floor(note / 12) - 1}`;
}

/** How far from the nearest note, in words. @param {number} midi */
export function cents(midi) {
  const off = Math.round(100 * (midi - Math.round(midi)));
  return `${off < 0 ? '−' : '+'}${Math.abs(off)}`;
}

export class Roll {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    /** @type {(Frame & {seconds: number})[]} */
    this.frames = [];
    this.low = 45;
    this.high = 45 + LEAST_SEMITONES;
    this.now = 0;
    this.colours = { quiet: '', line: '', source: '', played: '', wash: '' };
    this.font = '';
    this.readColours();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.readColours();
      this.draw();
    });
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    /** @param {string} name */
    const colour = (name) => style.getPropertyValue(name).trim();
    this.colours = {
      quiet: colour('--quiet'),
      line: colour('--line'),
      source: colour('--source'),
      played: colour('--played'),
      wash: colour('--wash'),
    };
    this.font = `12px ${style.fontFamily}`;
  }

  resize() {
    const scale = globalThis.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * scale);
    this.canvas.height = Math.round(this.canvas.clientHeight * scale);
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.draw();
  }

  clear() {
    this.frames = [];
    this.draw();
  }

  /** @param {Frame[]} frames @param {number} sampleRate */
  add(frames, sampleRate) {
    for (const frame of frames) this.frames.push({ ...frame, seconds: frame.samples / sampleRate });
    this.now = this.frames[this.frames.length - 1].seconds;
    while (this.frames.length && this.frames[0].seconds < this.now - SECONDS) this.frames.shift();
  }

  /** @param {number} seconds */
  x(seconds) {
    const width = this.canvas.clientWidth - LABELS - 14;
    return LABELS + width * (1 - (this.now - seconds) / SECONDS);
  }

  /** @param {number} midi */
  y(midi) {
    const height = this.canvas.clientHeight - LEVEL_STRIP - 8;
    return 8 + (height * (this.high - midi)) / (this.high - this.low);
  }

  draw() {
    const { pen, canvas } = this;
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.follow();
    this.drawGrid();
    this.drawLevel();
    this.drawLine((frame) => frame.playedMidi, this.colours.played, (frame) => 2 + 9 * frame.gain * loudness(frame));
    this.drawLine((frame) => frame.sourceMidi, this.colours.source, () => 2.5);
    this.drawHeads();
  }

  /** Lets the range of notes glide to what is to be seen. */
  follow() {
    const notes = this.frames.flatMap((frame) => [frame.sourceMidi, frame.playedMidi]).filter(Number.isFinite);
    if (!notes.length) return;
    const low = Math.min(...notes) - MARGIN_SEMITONES;
    const high = Math.max(...notes) + MARGIN_SEMITONES;
    const missing = Math.max(0, LEAST_SEMITONES - (high - low)) / 2;
    this.low += EASE * (low - missing - this.low);
    this.high += EASE * (high + missing - this.high);
  }

  drawGrid() {
    const { pen, canvas } = this;
    pen.font = this.font;
    pen.textBaseline = 'middle';
    const tight = this.high - this.low > 34;
    for (let note = Math.ceil(this.low); note <= this.high; note++) {
      const key = ((note % 12) + 12) % 12;
      if (key !== 0 && (tight || (key !== 4 && key !== 7 && key !== 9))) continue;
      const y = Math.round(this.y(note)) + 0.5;
      pen.strokeStyle = this.colours.line;
      pen.lineWidth = key === 0 ? 1.5 : 0.75;
      stroke(pen, [[LABELS, y], [canvas.clientWidth, y]]);
      pen.fillStyle = this.colours.quiet;
      pen.textAlign = 'right';
      pen.fillText(noteName(note), LABELS - 10, y);
    }
  }

  /** Loudness of the source, as a wave along the bottom. */
  drawLevel() {
    const { pen, canvas } = this;
    const base = canvas.clientHeight - LEVEL_STRIP / 2;
    const outline = this.frames.map((frame) => /** @type {[number, number]} */ ([
      this.x(frame.seconds), 2 + (LEVEL_STRIP / 2 - 6) * share(frame.energyDb),
    ]));
    pen.fillStyle = this.colours.wash;
    pen.beginPath();
    outline.forEach(([x, h]) => pen.lineTo(x, base - h));
    outline.reverse().forEach(([x, h]) => pen.lineTo(x, base + h));
    pen.fill();
  }

  /** @param {(frame: Frame) => number} of @param {string} colour @param {(frame: Frame) => number} width */
  drawLine(of, colour, width) {
    const { pen } = this;
    pen.strokeStyle = colour;
    pen.lineCap = 'round';
    for (let i = 1; i < this.frames.length; i++) {
      const [a, b] = [this.frames[i - 1], this.frames[i]];
      if (!(Math.abs(of(a) - of(b)) < 4)) continue;
      pen.lineWidth = width(b);
      stroke(pen, [[this.x(a.seconds), this.y(of(a))], [this.x(b.seconds), this.y(of(b))]]);
    }
  }

  /** A dot where each line is now. */
  drawHeads() {
    const last = this.frames[this.frames.length - 1];
    if (!last) return;
    const heads = /** @type {[number, string][]} */ ([
      [last.playedMidi, this.colours.played],
      [last.sourceMidi, this.colours.source],
    ]);
    for (const [midi, colour] of heads) {
      if (!Number.isFinite(midi)) continue;
      this.pen.fillStyle = colour;
      this.pen.beginPath();
      this.pen.arc(this.x(last.seconds), this.y(midi), 5, 0, 2 * Math.PI);
      this.pen.fill();
    }
  }
}

/** @param {CanvasRenderingContext2D} pen @param {[number, number][]} points */
function stroke(pen, points) {
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.stroke();
}

/** Of the way from -60 dB to full scale. @param {number} db */
const share = (db) => Math.max(0, Math.min(1, (db + 60) / 60));

/** @param {Frame} frame */
const loudness = (frame) => share(frame.energyDb);
