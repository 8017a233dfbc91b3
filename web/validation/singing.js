// A song without a recording.

/** Singing by arithmetic: notes of a second, seven partials, a short rest after each. */
export function singing(seconds, rate) {
  const samples = new Float32Array(seconds * rate);
  const notes = [57, 60, 64, 62, 55, 67];
  for (let i = 0; i < samples.length; i++) {
    const t = i / rate;
    if (t % 1 > 0.9) continue;
    const hz = 440 * 2 ** ((notes[Math.floor(t) % notes.length] - 69) / 12);
    for (let k = 1; k <= 7; k++) samples[i] += (0.15 / k) * Math.sin(2 * Math.PI * k * hz * t);
  }
  return samples;
}
