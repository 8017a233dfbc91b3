// From the first request to the first sound that is not zero, in a page that has fetched nothing of ours before.

const RATE = 48000;

/** A tone is already there, as a singer's would be; the way through the speakers is not counted. */
export async function coldStart({ url }) {
  const context = new AudioContext({ sampleRate: RATE });
  await context.resume();
  const tone = new OscillatorNode(context, { type: 'sawtooth', frequency: 220 });
  const level = new GainNode(context, { gain: 0.2 });
  tone.connect(level);
  tone.start();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const start = performance.now();
  const [{ Player }, { loadInstrument }] = await Promise.all([import('../src/player.js'), import('../src/instrument.js')]);
  const [player, instrument] = await Promise.all([Player.create(context), loadInstrument(url)]);
  const ready = performance.now();
  const ear = new AnalyserNode(context, { fftSize: 256 });
  level.connect(player.input);
  player.output.connect(ear).connect(context.destination);
  player.play(instrument);
  const samples = new Float32Array(256);
  await new Promise((resolve) => {
    const poll = () => {
      ear.getFloatTimeDomainData(samples);
      if (samples.some((x) => x !== 0)) resolve(undefined);
      else setTimeout(poll, 1);
    };
    poll();
  });
  const end = performance.now();
  await context.close();
  return { loadMs: ready - start, totalMs: end - start };
}
