// Builds the engine from assembly/: WebAssembly with SIMD, and the same program as plain JavaScript.
//
//   node tools/build-engine.mjs [folder]      (default: src)
//
// Both files are committed; a test builds them again and compares the bytes.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const SOURCE = path.join(root, 'assembly', 'index.ts');
const COMMON = ['--runtime', 'stub', '-O3', '--noAssert', '--use', 'abort='];
// What plain JavaScript has no counterpart for.
const OLD = ['bulk-memory', 'nontrapping-f2i', 'sign-extension', 'mutable-globals'];

function tool(name, args) {
  const bin = path.join(root, 'node_modules', '.bin', name);
  execFileSync(bin, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
}

function build(folder) {
  const work = mkdtempSync(path.join(tmpdir(), 'tinytimbre-engine-'));
  try {
    tool('asc', [SOURCE, ...COMMON, '--enable', 'simd', '-o', path.join(folder, 'engine.wasm')]);
    const scalar = path.join(work, 'scalar.wasm');
    tool('asc', [SOURCE, ...COMMON, ...OLD.flatMap((name) => ['--disable', name]), '-o', scalar]);
    const plain = path.join(work, 'plain.js');
    tool('wasm2js', [scalar, '-O3', '-o', plain]);
    writeFileSync(path.join(folder, 'engine-plain.js'), asModule(readFileSync(plain, 'utf8')));
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** A function that makes instances, in place of the single one that wasm2js exports. */
function asModule(text) {
  const start = text.indexOf('function asmFunc');
  const end = text.indexOf('var retasmFunc');
  if (start < 0 || end < 0) throw new Error('wasm2js writes another form than it used to');
  const prelude = text.slice(0, start).replace(/^import .*$/gm, '');
  const notice = '// Made by tools/build-engine.mjs from assembly/; do not edit.\n// @ts-nocheck\n';
  const maker = 'export const instantiatePlain = () => asmFunc({ env: {} });\n';
  return notice + prelude.trim() + '\n' + text.slice(start, end) + maker;
}

build(path.resolve(process.argv[2] ?? path.join(root, 'src')));
