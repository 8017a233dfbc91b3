// The package carries the repository's licence; npm packs what lies in its own folder only.

import { copyFileSync } from 'node:fs';

const file = (/** @type {string} */ name) => new URL(name, import.meta.url);
copyFileSync(file('../../LICENSE'), file('../LICENSE'));
