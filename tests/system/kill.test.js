// Every program is killed at random moments under load; nothing accepted may be missing or doubled.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRun } from './killrun.js';
import { seedOfRun } from './lib/random.js';

const MESSAGES = 2000;
const KILLS = 50;
const ANSWERS = 60;

test('I1 I11 I19 I20 I21 I24 I25 2,000 messages and 50 SIGKILLs: each shown once, each told, no key used twice', async (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const result = await killRun({ messages: MESSAGES, kills: KILLS, answers: ANSWERS, seed, log: (line) => t.diagnostic(line) });
  assert.deepEqual(result.breaches.slice(0, 20), [], `${result.breaches.length} breaches with PARLEY_TEST_SEED=${seed}\n${result.explain}`);
  assert.equal(result.accepted, MESSAGES);
  assert.equal(result.answered, ANSWERS);
  assert.ok(result.kills >= KILLS);
});
