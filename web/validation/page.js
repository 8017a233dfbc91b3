// Validates bundles in this browser: fetches the jobs from the server that opened the page, and posts what it finds.

import { check } from './checks.js';
import { playOffline } from './offline.js';
import { useBackend } from './tfjs-in-page.js';

/** @param {any} message */
const tell = (message) => fetch('/found', { method: 'POST', body: JSON.stringify(message) });

const runtime = {
  fetch: (/** @type {string} */ url) => fetch(url),
  compile: async () => WebAssembly.compile(await (await fetch('../src/engine.wasm')).arrayBuffer()),
  useBackend,
  playByWorklet: playOffline,
};

/** What every bundle needs; without it none is to blame. */
async function begin() {
  await runtime.compile();
  for (const name of ['cpu', 'wasm']) await useBackend(name);
}

await tell({ browser: navigator.userAgent });
await begin().catch((error) => tell({ broken: String(error instanceof Error ? error.message : error) }));
const jobs = await (await fetch('/jobs/jobs.json')).json();
for (const [index, job] of jobs.entries()) {
  try {
    await tell({ index, answer: await check(job, runtime) });
  } catch (error) {
    await tell({ index, failure: String(error instanceof Error ? error.message : error) });
  }
}
await tell({ done: true });
