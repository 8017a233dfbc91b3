// Runs exported bundles over frame sequences with TensorFlow.js, one step a frame, state carried.
//
//   node run-bundles.mjs plan.json
//
// plan.json: {"backend": "wasm" | "cpu", "runs": [{"bundle", "inputs", "controls", "frames"}]}
//   bundle    folder with model.json, weights.bin, settings.json
//   inputs    file of float32 [frames, n_inputs], little endian
//   controls  file to write: float32 [frames, n_controls], little endian
// Prints "progress <frames done> <frames in all>". Fails when a tensor leaks.

import { readFileSync, writeFileSync } from 'node:fs';

import { ioHandler, loadBundle } from '../src/bundle.js';
import { useBackend } from './tfjs-in-node.mjs';

const FRAMES_PER_REPORT = 500;

/** Answers like `fetch`, from the disk. */
async function fromDisk(file) {
  return new Response(readFileSync(file));
}

function readFloats(file, length) {
  const bytes = readFileSync(file);
  if (bytes.byteLength !== 4 * length) throw new Error(`${file}: ${bytes.byteLength} bytes, not ${4 * length}`);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** One sequence from a zero state; `onFrame` is called after each frame. */
function runSequence(tf, { model, graph }, inputs, { frames, onFrame }) {
  const controls = new Float32Array(frames * graph.n_controls);
  let state = tf.zeros([1, graph.state_size]);
  for (let frame = 0; frame < frames; frame++) {
    const start = frame * graph.n_inputs;
    const [now, next] = tf.tidy(() => {
      const x = tf.tensor2d(inputs.subarray(start, start + graph.n_inputs), [1, graph.n_inputs]);
      return model.execute({ [graph.inputs]: x, [graph.state]: state }, [graph.controls, graph.next_state]);
    });
    controls.set(now.dataSync(), frame * graph.n_controls);
    tf.dispose([now, state]);
    state = next;
    onFrame();
  }
  state.dispose();
  return controls;
}

async function main(planFile) {
  const plan = JSON.parse(readFileSync(planFile, 'utf8'));
  const { tf, loadGraphModel } = await useBackend(plan.backend);
  const total = plan.runs.reduce((sum, run) => sum + run.frames, 0);
  let done = 0;
  const onFrame = () => {
    done += 1;
    if (done % FRAMES_PER_REPORT === 0 || done === total) console.log(`progress ${done} ${total}`);
  };

  const before = tf.memory().numTensors;
  let loaded = { bundle: null, model: null, graph: null };
  for (const run of plan.runs) {
    if (run.bundle !== loaded.bundle) {
      loaded.model?.dispose();
      const bundle = await loadBundle(run.bundle, { fetch: fromDisk });
      loaded = { bundle: run.bundle, model: await loadGraphModel(ioHandler(bundle)), graph: bundle.settings.graph };
    }
    const inputs = readFloats(run.inputs, run.frames * loaded.graph.n_inputs);
    writeFileSync(run.controls, runSequence(tf, loaded, inputs, { frames: run.frames, onFrame }));
  }
  loaded.model?.dispose();
  const leaked = tf.memory().numTensors - before;
  if (leaked !== 0) throw new Error(`${leaked} tensors leaked over ${total} frames`);
}

main(process.argv[2]).catch((error) => {
  console.error(error.stack ?? String(error));
  process.exitCode = 1;
});
