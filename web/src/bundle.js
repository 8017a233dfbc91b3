// Reading a model: model.json, weights.bin and settings.json of one folder. docs/bundle-format.md is the format.
//
//   const bundle = await loadBundle('published/violin/0001-3f9c0a21b4');
//   const model = await tf.loadGraphModel(ioHandler(bundle));       // the same files in TensorFlow.js

import { TinyTimbreError } from './errors.js';

/** @typedef {{name: string, op: string, input?: string[], attr?: Record<string, any>}} GraphNode */
/** @typedef {{shape: number[], data: Float32Array, dtype: string}} Tensor */
/** @typedef {{settings: any, graph: {node: GraphNode[]}, signature: any, weights: Map<string, Tensor>}} Bundle */

export const FORMAT_VERSIONS = [1, 2];
const NEEDED = [
  'instrument', 'sample_rate_hz', 'frame_rate_hz', 'hop', 'input', 'input_scaling', 'harmonics', 'noise_bands',
  'control_layout', 'graph', 'decoder', 'noise_seed', 'statistics',
];

/** @type {Record<string, {bytes: number, read: (view: DataView, at: number) => number}>} */
const STORED = {
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  float16: { bytes: 2, read: (view, at) => fromHalf(view.getUint16(at, true)) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  bool: { bytes: 1, read: (view, at) => view.getUint8(at) },
};

/**
 * Fetches a model and decodes its weights to float32.
 *
 * @param {string | URL} url  folder of the model, relative to the page or absolute
 * @param {{fetch?: (url: string) => Promise<Response>}} [options]
 * @returns {Promise<Bundle>} `weights` holds every constant of the graph by name
 * @throws {TinyTimbreError} a file is missing, cut short, changed, or of another format version
 */
export async function loadBundle(url, { fetch: get = (file) => globalThis.fetch(file) } = {}) {
  const folder = String(url).replace(/\/?$/, '/');
  const names = ['settings.json', 'model.json', 'weights.bin'];
  const files = await Promise.all(names.map((name) => fetchFile(get, folder + name, name)));
  const settings = parse(files[0], 'settings.json');
  checkSettings(settings);
  const model = parse(files[1], 'model.json');
  const [entries] = groupsOf(model, 'model.json', 1);
  const weights = decode(entries, files[2], 'weights.bin');
  if (settings.format_version > 1) checkSum(settings.checksum, files[1], files[2]);
  checkTogether(settings, model, weights);
  return { settings, graph: model.modelTopology, signature: model.signature, weights };
}

/**
 * The same model for whole blocks of frames, for offline use; where the folder has block.json and block.bin.
 *
 * @param {string | URL} url  folder that `bundle` was loaded from
 * @param {Bundle} bundle
 * @param {{fetch?: (url: string) => Promise<Response>}} [options]
 * @returns {Promise<Bundle>} with the graph of a block and its constants beside the weights
 * @throws {TinyTimbreError} a file is missing or does not belong to the model
 */
export async function loadBlock(url, bundle, { fetch: get = (file) => globalThis.fetch(file) } = {}) {
  const folder = String(url).replace(/\/?$/, '/');
  const files = await Promise.all(['block.json', 'block.bin'].map((name) => fetchFile(get, folder + name, name)));
  const model = parse(files[0], 'block.json');
  const [shared, own] = groupsOf(model, 'block.json', 2);
  const names = shared.map(({ name }) => name).join();
  if (names !== [...bundle.weights.keys()].join()) throw damaged('block.json and model.json tell of other weights');
  const weights = new Map([...bundle.weights, ...decode(own, files[1], 'block.bin')]);
  checkTogether(bundle.settings, model, weights);
  return { ...bundle, graph: model.modelTopology, signature: model.signature, weights };
}

/**
 * What `tf.loadGraphModel` takes instead of an address; works for every quantisation.
 *
 * @param {Bundle} bundle
 */
export function ioHandler({ graph, signature, weights }) {
  const tensors = [...weights].map(([name, { shape, dtype, data }]) => ({ spec: { name, shape, dtype }, data }));
  const bytes = tensors.map(({ spec, data }) => bytesOf(spec.dtype, data));
  return {
    load: async () => ({
      format: 'graph-model',
      modelTopology: graph,
      signature,
      weightSpecs: tensors.map(({ spec }) => spec),
      weightData: joined(bytes).buffer,
    }),
  };
}

/** @param {(url: string) => Promise<Response>} get @param {string} url @param {string} name */
async function fetchFile(get, url, name) {
  try {
    const response = await get(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new Error(`${response.status} ${response.statusText}`.trim());
  } catch (error) {
    throw new TinyTimbreError('a model is a folder with model.json, weights.bin and settings.json', {
      got: `${name}: ${error instanceof Error ? error.message : error}`,
      cause: 'the address is not that of a model, or the connection failed',
      remedy: 'check the address and the connection; publish the folder as a whole',
    });
  }
}

/** @param {Uint8Array} bytes @param {string} name */
function parse(bytes, name) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw damaged(`${name} is no JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {any} settings */
function checkSettings(settings) {
  if (!FORMAT_VERSIONS.includes(settings?.format_version)) {
    throw new TinyTimbreError(`this version plays models of format ${FORMAT_VERSIONS.join(' and ')}`, {
      got: `format_version ${JSON.stringify(settings?.format_version)}`,
      cause: 'the model was exported by another version of TinyTimbre',
      remedy: 'export it again, or use the player of that version',
    });
  }
  const missing = NEEDED.filter((key) => settings[key] === undefined || settings[key] === null);
  if (missing.length) throw damaged(`settings.json lacks ${missing.join(', ')}`);
}

/** The lists of tensors in each file. @param {any} model @param {string} name @param {number} count @returns {any[][]} */
function groupsOf(model, name, count) {
  const groups = model?.weightsManifest;
  const whole = Array.isArray(groups) && groups.length === count && groups.every(({ weights }) => Array.isArray(weights));
  if (!whole || !Array.isArray(model.modelTopology?.node) || !model.signature) {
    throw damaged(`${name} is no TensorFlow.js graph model with ${count === 1 ? 'one file' : `${count} files`} of weights`);
  }
  return groups.map(({ weights }) => weights);
}

/** @param {any[]} entries @param {Uint8Array} bytes @param {string} file @returns {Map<string, Tensor>} */
function decode(entries, bytes, file) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weights = new Map();
  let at = 0;
  for (const entry of entries) {
    const length = storedLength(entry);
    if (at + length > bytes.byteLength) throw damaged(`${file} ends in ${entry.name}`);
    const part = new DataView(view.buffer, view.byteOffset + at, length);
    const data = bitsOf(entry) ? unpack(entry, part) : unquantise(entry, part);
    weights.set(entry.name, { shape: entry.shape, dtype: entry.dtype, data });
    at += length;
  }
  if (at !== bytes.byteLength) throw damaged(`${file} has ${bytes.byteLength} bytes, its graph says ${at}`);
  return weights;
}

/** @param {any} entry @returns {number} bits of a weight packed by TinyTimbre, 0 if stored as TensorFlow.js does */
function bitsOf(entry) {
  return Number(/^int([2-9]|1[0-6])$/.exec(entry.quantization?.dtype ?? '')?.[1] ?? 0);
}

/** @param {any} entry */
function storedLength(entry) {
  const count = size(entry.shape);
  const bits = bitsOf(entry);
  if (bits) return (entry.shape[entry.quantization.axis] ?? 0) + count * (bits > 8 ? 2 : 1);
  const type = entry.quantization?.dtype ?? entry.dtype;
  if (!STORED[type] || !(count >= 0)) throw damaged(`${entry.name} is of type ${type}, shape ${entry.shape}`);
  return count * STORED[type].bytes;
}

/** The converter's types: stored * scale + min in double precision. @param {any} entry @param {DataView} view */
function unquantise({ shape, dtype, quantization }, view) {
  const { bytes, read } = STORED[quantization?.dtype ?? dtype];
  const { scale = 1, min = 0 } = quantization ?? {};
  return Float32Array.from({ length: size(shape) }, (_, i) => read(view, i * bytes) * scale + min);
}

/** TinyTimbre's types: integer * multiple of its channel * scale. @param {any} entry @param {DataView} view */
function unpack({ shape, quantization: { dtype, scale, axis } }, view) {
  const count = size(shape);
  const channels = shape[axis] ?? 0;
  // Values that follow each other in one channel.
  const run = axis === undefined ? 1 : size(shape.slice(axis + 1));
  const wide = Number(dtype.slice(3)) > 8;
  const data = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const high = view.getInt8(channels + i);
    const integer = wide ? high * 256 + view.getUint8(channels + count + i) : high;
    const multiple = channels ? view.getUint8(Math.floor(i / run) % channels) : 1;
    data[i] = integer * multiple * scale;
  }
  return data;
}

/** @param {string} expected @param {Uint8Array[]} files */
function checkSum(expected, ...files) {
  const found = crc32(files).toString(16).padStart(8, '0');
  if (found !== expected) throw damaged(`checksum of model.json and weights.bin ${found}, not ${expected || 'given'}`);
}

/** CRC-32 (ISO 3309, as in zip and PNG). @param {Uint8Array[]} parts */
function crc32(parts) {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (const byte of part) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** @param {any} settings @param {any} model @param {Map<string, Tensor>} weights */
function checkTogether({ graph, decoder }, model, weights) {
  for (const { name, op } of model.modelTopology.node) {
    if (op === 'Const' && !weights.has(name)) throw damaged(`no weights for ${name} of the graph`);
  }
  const controls = weights.get('head_bias')?.data.length;
  if (controls !== graph.n_controls || controls !== 1 + decoder.harmonics + decoder.noise_bands) {
    throw damaged(`settings.json tells of ${graph.n_controls} controls, weights.bin of ${controls}`);
  }
}

/** @param {number[]} shape */
function size(shape) {
  return shape.reduce((product, n) => product * n, 1);
}

/** @param {string} dtype @param {Float32Array} data */
function bytesOf(dtype, data) {
  const typed = dtype === 'int32' ? Int32Array.from(data) : dtype === 'bool' ? Uint8Array.from(data) : data;
  return new Uint8Array(typed.buffer);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
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
    cause: 'a copy was cut short, a file was changed, or files of two models were mixed',
    remedy: 'copy or publish the folder again',
  });
}
