// The instruments on offer: models/index.json, as the publisher writes it.

import { TinyTimbreError } from '../src/errors.js';

/** @typedef {{name: string, label: string, url: string, bytes: number}} Choice */

/** @param {URL} base  folder with index.json @returns {Promise<Choice[]>} */
export async function fetchIndex(base) {
  const index = await readIndex(new URL('index.json', base));
  const choices = Object.entries(index?.instruments ?? {}).map(([name, { latest, versions }]) => ({
    name,
    label: (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' '),
    url: new URL(`${encodeURIComponent(name)}/${encodeURIComponent(latest)}/`, base).href,
    bytes: versions.find((/** @type {any} */ entry) => entry.version === latest)?.bytes,
  }));
  if (!choices.length) throw none('index.json lists none');
  return choices;
}

/** @param {URL} url */
async function readIndex(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return await response.json();
  } catch (error) {
    throw none(`models/index.json: ${error instanceof Error ? error.message : error}`);
  }
}

/** @param {string} got */
function none(got) {
  return new TinyTimbreError('this page needs models to play', {
    got, remedy: 'publish some beside it (make demo, then make web), then load the page again',
  });
}

/** @param {HTMLElement} list @param {Choice[]} choices @param {(choice: Choice) => void} onChoose */
export function showInstruments(list, choices, onChoose) {
  list.replaceChildren(...choices.map((choice, i) => card(choice, i === 0, onChoose)));
  onChoose(choices[0]);
}

/** @param {Choice} choice @param {boolean} checked @param {(choice: Choice) => void} onChoose */
function card(choice, checked, onChoose) {
  const input = Object.assign(document.createElement('input'), {
    type: 'radio', name: 'instrument', value: choice.name, checked, onchange: () => onChoose(choice),
  });
  const title = Object.assign(document.createElement('strong'), { textContent: choice.label });
  const size = Object.assign(document.createElement('span'), {
    textContent: choice.bytes ? `${(choice.bytes / 1000).toFixed(1)} KB` : '',
  });
  const label = document.createElement('label');
  label.append(input, title, size);
  return label;
}
