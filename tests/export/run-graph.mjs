// Runs graph models on the CPU backend: node run-graph.mjs plan.json
//
// plan.json: {"modules": folder of node_modules, "runs": [{"model": folder, "output": file}],
//             "frames": [{input: {"shape", "values"}}], "outputs": [names]}; what each frame gives is written in this order.

import { appendFileSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const require = createRequire(plan.modules);
const tf = require('@tensorflow/tfjs-core');
const { loadGraphModel } = require('@tensorflow/tfjs-converter');
require('@tensorflow/tfjs-backend-cpu');

for (const { model: folder, output } of plan.runs) {
  const read = (name) => readFileSync(`${folder}/${name}`);
  const load = async (manifest) => [manifest[0].weights, new Uint8Array(read('weights.bin')).buffer];
  const model = await loadGraphModel({ load: () => tf.io.getModelArtifactsForJSON(JSON.parse(read('model.json')), load) });
  for (const frame of plan.frames) {
    const inputs = Object.entries(frame).map(([name, { shape, values }]) => [name, tf.tensor(values, shape, 'float32')]);
    for (const made of [model.execute(Object.fromEntries(inputs), plan.outputs)].flat()) {
      appendFileSync(output, new Uint8Array((await made.data()).buffer));
    }
  }
}
