// Looking for strings where they must not be: files, folders, memory.
import fs from 'node:fs';
import path from 'node:path';
import { memoryOf } from './proc.js';

/** The ways a text may be spelt in a file: as it is, base64 at each offset, hex, UTF-16. */
export function spellingsOf(text) {
  const raw = Buffer.from(text);
  const spellings = [raw, Buffer.from(raw.toString('hex')), Buffer.from(raw.toString('hex').toUpperCase()), Buffer.from(text, 'utf16le')];
  for (let shift = 0; shift < 3; shift++) {
    const padded = Buffer.concat([Buffer.alloc(shift), raw]).toString('base64');
    // Leave out the first and last groups: they depend on the neighbours.
    const sure = padded.slice(4, padded.length - 4);
    if (sure.length >= 12) spellings.push(Buffer.from(sure));
  }
  return spellings;
}

export function* filesUnder(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(full);
    else if (entry.isFile()) yield full;
  }
}

const firstOf = (bytes, needles) => needles.find((needle) => bytes.includes(needle));

/** [[file, what]] of the files under a folder (or of one file) that hold one of the texts. */
export function foundInFiles(where, texts, spell = spellingsOf) {
  const found = [];
  const files = fs.statSync(where).isDirectory() ? filesUnder(where) : [where];
  for (const file of files) {
    const bytes = fs.readFileSync(file);
    for (const text of texts) if (firstOf(bytes, spell(text))) found.push([file, text]);
  }
  return found;
}

/** The texts that a process has in its memory. */
export function foundInMemory(pid, texts) {
  const found = new Set();
  const needles = texts.map((text) => [text, spellingsOf(text)]);
  let tail = Buffer.alloc(0);
  for (const bytes of memoryOf(pid)) {
    const all = Buffer.concat([tail, bytes]);
    for (const [text, spellings] of needles) if (!found.has(text) && firstOf(all, spellings)) found.add(text);
    tail = all.subarray(Math.max(0, all.length - 256));
  }
  return [...found];
}
