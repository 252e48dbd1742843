// I24 and I25 from the programs' logs at level "trace": among the ciphertexts that left a program, no
// message key stands for two plaintexts, and no (message, device) for two ciphertexts.
import fs from 'node:fs';

const field = (line, name) => new RegExp(`\\b${name}=([0-9a-f]+)`).exec(line)?.[1];

/** {keys, published, breaches}: breaches is a list of sentences. */
export function checkKeyTrace(logFiles) {
  const encrypted = new Map(); // ciphertext -> {key, plain}
  const sent = []; // {message, device, cipher}
  for (const file of logFiles) {
    for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
      if (line.includes(' endpoint.encrypted ')) {
        encrypted.set(field(line, 'cipher'), { key: field(line, 'key'), plain: field(line, 'plain') });
      } else if (line.includes(' endpoint.published ')) {
        sent.push({ message: field(line, 'message'), device: field(line, 'device'), cipher: field(line, 'cipher') });
      }
    }
  }
  const breaches = [];
  const plainOf = new Map();
  const cipherOf = new Map();
  const published = new Set(sent.map((row) => row.cipher));
  for (const cipher of published) {
    const how = encrypted.get(cipher);
    if (how === undefined) {
      breaches.push(`ciphertext ${cipher} left without a trace of its key`);
      continue;
    }
    if (plainOf.has(how.key) && plainOf.get(how.key) !== how.plain) breaches.push(`key ${how.key} met two plaintexts`);
    plainOf.set(how.key, how.plain);
  }
  for (const { message, device, cipher } of sent) {
    const name = `${message} for device ${device}`;
    if (cipherOf.has(name) && cipherOf.get(name) !== cipher) breaches.push(`message ${name} left as two ciphertexts`);
    cipherOf.set(name, cipher);
  }
  return { keys: plainOf.size, published: sent.length, breaches };
}
