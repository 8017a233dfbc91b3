// Reading a model: model.json, weights.bin and settings.json of one folder.

import { TinyTimbreError } from './errors.js';

/** @typedef {{name: string, op: string, input?: string[], attr?: Record<string, any>}} GraphNode */
/** @typedef {{shape: number[], data: Float32Array}} Tensor */
/** @typedef {{settings: any, graph: {node: GraphNode[]}, weights: Map<string, Tensor>}} Bundle */

/** @type {Record<string, {bytes: number, read: (view: DataView, at: number) => number}>} */
const STORED = {
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  float16: { bytes: 2, read: (view, at) => fromHalf(view.getUint16(at, true)) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
};

/**
 * Fetches a model and decodes its weights to float32.
 *
 * @param {string} url  folder of the model, relative to the page or absolute
 * @param {{fetch?: typeof fetch}} [options]
 * @returns {Promise<Bundle>}
 * @throws {TinyTimbreError} a file is missing, cut short, damaged, or of another format version
 */
export async function loadBundle(url, { fetch: get = globalThis.fetch } = {}) {
  const folder = url.endsWith('/') ? url : `${url}/`;
  const [settings, model, bytes] = await Promise.all([
    fetchFile(get, `${folder}settings.json`).then((response) => json(response, 'settings.json')),
    fetchFile(get, `${folder}model.json`).then((response) => json(response, 'model.json')),
    fetchFile(get, `${folder}weights.bin`).then((response) => response.arrayBuffer()),
  ]);
  if (settings?.format_version !== 1) {
    throw new TinyTimbreError('this version plays models of format 1', {
      got: `format_version ${JSON.stringify(settings?.format_version)}`,
      cause: 'the model was exported by another version of TinyTimbre',
      remedy: 'export it again, or use the player of that version',
    });
  }
  return { settings, graph: model?.modelTopology, weights: decode(model, bytes) };
}

/** @param {typeof fetch} get @param {string} url */
async function fetchFile(get, url) {
  const name = url.slice(url.lastIndexOf('/') + 1);
  let response;
  try {
    response = await get(url);
  } catch (error) {
    throw new TinyTimbreError(`the model's ${name} must be reachable`, {
      got: String(error instanceof Error ? error.message : error),
      remedy: 'check the connection, then load the page again',
    });
  }
  if (!response.ok) {
    throw new TinyTimbreError('a model is a folder with model.json, weights.bin and settings.json', {
      got: `${name}: ${response.status} ${response.statusText}`.trim(),
      remedy: 'publish the folder as a whole',
    });
  }
  return response;
}

/** @param {Response} response @param {string} name */
async function json(response, name) {
  try {
    return await response.json();
  } catch (error) {
    throw damaged(`${name} is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {any} model @param {ArrayBuffer} bytes @returns {Map<string, Tensor>} */
function decode(model, bytes) {
  const entries = model?.weightsManifest?.[0]?.weights;
  if (!Array.isArray(entries) || !Array.isArray(model?.modelTopology?.node)) {
    throw damaged('model.json is no TensorFlow.js graph model');
  }
  const view = new DataView(bytes);
  const weights = new Map();
  let at = 0;
  for (const entry of entries) {
    const stored = STORED[entry.quantization?.dtype ?? entry.dtype];
    if (!stored) throw damaged(`weights of type ${entry.quantization?.dtype ?? entry.dtype}`);
    const { scale = 1, min = 0 } = entry.quantization ?? {};
    const count = entry.shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    if (at + count * stored.bytes > bytes.byteLength) throw damaged(`weights.bin ends in ${entry.name}`);
    const data = Float32Array.from({ length: count }, (_, i) => stored.read(view, at + i * stored.bytes) * scale + min);
    weights.set(entry.name, { shape: entry.shape, data });
    at += count * stored.bytes;
  }
  if (at !== bytes.byteLength) throw damaged(`weights.bin has ${bytes.byteLength} bytes, model.json says ${at}`);
  return weights;
}

/** @param {number} bits */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** @param {string} got */
function damaged(got) {
  return new TinyTimbreError('the files of a model must fit together', {
    got,
    cause: 'a copy was cut short, or files of two models were mixed',
    remedy: 'copy or publish the folder again',
  });
}
