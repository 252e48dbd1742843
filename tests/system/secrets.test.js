// Canaries: strings that occur nowhere else travel through the platform while everything is logged; then
// they are looked for where they must not be.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { startHooks } from './lib/hookserver.js';
import { phoneLines } from './lib/phone.js';
import { platformOfFile } from './lib/platform.js';
import { filesUnder, foundInFiles, foundInMemory, spellingsOf } from './lib/search.js';
import { untilAsked } from './lib/wait.js';

const platform = platformOfFile({ args: ['--log-level', 'trace', '--policy', 'off'] });

const canary = (what) => `canary-${what}-${randomBytes(9).toString('hex')}`;
const canaries = {
  outgoing: canary('outgoing'), incoming: canary('incoming'), opaque: canary('opaque'), refused: canary('refused'),
  key: canary('idempotency'), token: canary('EAAtoken'), name: canary('name'), undelivered: canary('undelivered'),
  preview: canary('preview'), path: canary('path'),
};
const texts = Object.values(canaries);
// A number with digits that nothing else has: never in a log in full.
const numbers = ['15557654321', '15550123400', '4915112345678', '15559876501'];
let secrets;

/** Canaries on every way in, well-formed and not. */
async function plantCanaries() {
  const { graph, env } = platform;
  const context = { after: (fn) => { context.end = fn; } };
  const hooks = await startHooks(context, env);
  await graph.subscribe(hooks.url());
  const to = env.PARLEY_CUSTOMER_NUMBER;
  const sent = await graph.text(to, `${canaries.outgoing} https://x.example/${canaries.preview}`,
    { biz_opaque_callback_data: canaries.opaque }, { headers: { 'Idempotency-Key': canaries.key } });
  assert.equal(sent.status, 200, sent.raw.toString());
  await hooks.untilStatus(sent.body.messages[0].id, 'delivered');

  await phoneLines(platform, 'register', '--profile', 'second', '--number', '15559876501', '--name', canaries.name, '--code');
  const [answer] = await phoneLines(platform, 'send', '--profile', 'second', '--to', env.PARLEY_BUSINESS_NUMBER,
    '--text', canaries.incoming);
  await hooks.untilMessage((message) => message.id === answer.id);

  // Error paths: refused bodies, unknown tokens, unreachable receivers, people who are not there.
  await graph.messages({ to: 'nonsense', type: 'text', text: { body: canaries.refused } });
  await graph.messages({ to, type: canaries.refused.slice(0, 30), text: { body: canaries.refused } });
  await graph.call('POST', `/v24.0/${env.PARLEY_PHONE_NUMBER_ID}/messages`, { body: `{"text": "${canaries.refused}`, headers: { 'Content-Type': 'application/json' } });
  await graph.get(`/v24.0/${canaries.path}?access_token=${canaries.token}`);
  await graph.text(to, canaries.refused, {}, { token: canaries.token });
  hooks.answer = () => ({ status: 500, body: canaries.refused });
  const missing = await graph.text('4915112345678', canaries.undelivered);
  assert.equal(missing.status, 200);
  const held = await graph.text(to, canaries.outgoing);
  await hooks.untilAttempts((attempt) => attempt.body.includes(held.body.messages[0].id), 2);
  secrets = [env.PARLEY_TOKEN, env.PARLEY_APP_SECRET, env.PARLEY_VERIFY_TOKEN, canaries.token];
  hooks.answer = () => ({ status: 200 });
  await context.end();
}

const logs = () => path.join(platform.dir, 'log');
const none = (found, what) => assert.deepEqual(found, [], what);

describe('canaries', () => {
  before(plantCanaries);

  test('the search itself finds what is there', () => {
    const file = path.join(platform.dir, 'canary-check');
    for (const spelling of spellingsOf(texts[0])) {
      fs.writeFileSync(file, Buffer.concat([randomBytes(100), spelling, randomBytes(100)]));
      assert.equal(foundInFiles(file, texts).length, 1, 'every spelling is recognised');
    }
    fs.rmSync(file);
    globalThis.kept = texts[0]; // this process has it: the memory search must say so
    assert.ok(foundInMemory(process.pid, [texts[0]]).length === 1, 'memory is searched');
  });

  test('I33 no content, name or key on the relay\'s disk', () => {
    none(foundInFiles(path.join(platform.dir, 'relay'), texts), 'relay');
  });

  test('I33 no content in the memory of the relay, while messages wait in its queues', async (t) => {
    const pid = await platform.pidOf('relay');
    try {
      fs.closeSync(fs.openSync(`/proc/${pid}/mem`, 'r'));
    } catch (error) {
      t.skip(`the relay's memory may not be read here: ${error.code}`);
      return;
    }
    // Something must be waiting: the phone is away.
    const phone = await platform.pidOf('phone');
    process.kill(phone, 'SIGSTOP');
    t.after(() => process.kill(phone, 'SIGCONT'));
    const sent = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, canaries.outgoing);
    assert.equal(sent.status, 200);
    const known = path.join(platform.dir, 'relay');
    assert.deepEqual(foundInMemory(pid, [known, ...texts]), [known], 'its folder\'s name and nothing of ours');
    none(foundInFiles(path.join(platform.dir, 'relay'), texts), 'relay');
  });

  test('I33 no private identity key of a device on the relay\'s side: nothing of one part lies in another', () => {
    // What the relay may know is in its folder; its own Noise key is there, and no ring that opens content.
    const names = fs.readdirSync(path.join(platform.dir, 'relay'));
    assert.ok(!names.includes('master.key') && !names.includes('keys.ring'), names.join(' '));
  });

  test('I34 no content, token, secret or full number in any log at level trace', async () => {
    const size = fs.readdirSync(logs()).reduce((sum, name) => sum + fs.statSync(path.join(logs(), name)).size, 0);
    assert.ok(size > 1000, 'something was logged');
    none(foundInFiles(logs(), [...texts, ...secrets]), 'logs');
    none(foundInFiles(logs(), numbers, (number) => [Buffer.from(number)]), 'numbers in logs');
  });

  test('I33 I34 the manager knows no message, and nothing of one in its store, log or memory', async () => {
    const content = texts.filter((text) => ![canaries.token, canaries.path].includes(text)); // calls, not content
    none(foundInFiles(path.join(platform.dir, 'manager'), [...texts, ...secrets]), 'manager');
    none(foundInFiles(path.join(platform.dir, 'manager'), ['4915112345678', '15557654321'], (n) => [Buffer.from(n)]), 'users');
    const pid = await platform.pidOf('manager');
    none(foundInMemory(pid, content), 'manager memory');
  });

  test('the gateway\'s and the phone\'s stores are sealed: no plaintext in database, WAL or elsewhere', () => {
    for (const part of ['cloud', 'phone']) {
      const wal = fs.readdirSync(path.join(platform.dir, part), { recursive: true }).filter((name) => /\.db|wal/.test(name));
      assert.ok(wal.length > 0, `${part} has a store`);
      none(foundInFiles(path.join(platform.dir, part), [...texts, ...secrets]), part);
    }
  });

  test('folders and keys are readable by their owner only', () => {
    for (const [name, mode] of [['relay', 0o700], ['cloud', 0o700], ['manager', 0o700], ['phone', 0o700], ['log', 0o700], ['demo.env', 0o600]]) {
      assert.equal(fs.statSync(path.join(platform.dir, name)).mode & 0o777, mode, name);
    }
    const keys = [...filesUnder(platform.dir)].filter((name) => /\.(key|db|sealed|conf)$|keyring$|keys\.ring$|outbox$/.test(name));
    assert.ok(keys.length >= 12, keys.join(' '));
    for (const name of keys) assert.equal(fs.statSync(name).mode & 0o077, 0, name);
  });

  test('the customer still sees it all', async () => {
    const lines = await untilAsked(30, 'the messages', () => phoneLines(platform, 'inbox'));
    assert.ok(lines.some((line) => JSON.stringify(line).includes(canaries.outgoing)));
  });
});
