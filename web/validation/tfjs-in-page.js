// TensorFlow.js in a page, from the installed packages.

const PACKAGES = new URL('../node_modules/@tensorflow/', import.meta.url);

/** Runs a classic script. @param {string | URL} url */
export function script(url) {
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Error(`${url} cannot be loaded`));
    document.head.append(Object.assign(document.createElement('script'), { src: String(url), onload: resolve, onerror: failed }));
  });
}

/** @type {Map<string, Promise<unknown>>} */
const loaded = new Map();
/** @param {string} file */
const once = (file) => {
  if (!loaded.has(file)) loaded.set(file, script(new URL(`${file}.min.js`, PACKAGES)));
  return loaded.get(file);
};

/** @param {string} backend @param {Record<string, unknown>} [flags] */
export async function useBackend(backend, flags = {}) {
  for (const name of ['tfjs-core/dist/tf-core', 'tfjs-converter/dist/tf-converter']) await once(name);
  await once(`tfjs-backend-${backend}/dist/tf-backend-${backend}`);
  const { tf } = globalThis;
  for (const [name, value] of Object.entries(flags)) tf.env().set(name, value);
  if (backend === 'wasm') tf.wasm.setWasmPaths(new URL('tfjs-backend-wasm/dist/', PACKAGES).href);
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no ${backend} here`);
  await tf.ready();
  return { tf, loadGraphModel: tf.loadGraphModel };
}
