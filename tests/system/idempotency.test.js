// The optional Idempotency-Key header: one key, one message, however often and whenever it is sent.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startHooks } from './lib/hookserver.js';
import { phoneLines, shownCounts } from './lib/phone.js';
import { platformOfFile } from './lib/platform.js';
import { untilAsked } from './lib/wait.js';

const platform = platformOfFile({ args: ['--policy', 'off'] });
const DUPLICATES = 32;

const sendWith = (key, body, more) => platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body, more,
  { headers: { 'Idempotency-Key': key } });

const untilShown = (ids) => untilAsked(60, 'every message on the phone', async () => {
  const counts = await shownCounts(platform);
  return ids.every((id) => counts.has(id)) && counts;
});

describe('I2 Idempotency-Key', () => {
  test('32 concurrent duplicates are one message with one id', async (t) => {
    const hooks = await startHooks(t, platform.env);
    await platform.graph.subscribe(hooks.url());
    const answers = await Promise.all(Array.from({ length: DUPLICATES }, () => sendWith('once-1', 'only once')));
    assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
    const ids = new Set(answers.map((answer) => answer.body.messages[0].id));
    assert.equal(ids.size, 1);
    const [id] = ids;
    await hooks.untilStatus(id, 'delivered');
    const counts = await untilShown([id]);
    assert.equal(counts.get(id), 1);
    const lines = await phoneLines(platform, 'inbox');
    assert.equal(lines.filter((line) => line.text === 'only once').length, 1);
  });

  test('the same key with another body is 409, code 100, and sends nothing', async () => {
    const first = await sendWith('once-2', 'the first');
    assert.equal(first.status, 200);
    for (const body of ['the second', 'the first ']) {
      const answer = await sendWith('once-2', body);
      assert.equal(answer.status, 409, answer.raw.toString());
      assert.equal(answer.body.error.code, 100);
    }
    const again = await sendWith('once-2', 'the first');
    assert.equal(again.body.messages[0].id, first.body.messages[0].id);
  });

  test('another key, or none, is another message', async () => {
    const ids = new Set();
    for (const headers of [{ 'Idempotency-Key': 'a' }, { 'Idempotency-Key': 'A' }, {}, {}]) {
      const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'same words', {}, { headers });
      assert.equal(answer.status, 200);
      ids.add(answer.body.messages[0].id);
    }
    assert.equal(ids.size, 4);
  });

  test('a refused call does not use the key up, an overlong or empty key is refused', async () => {
    const refused = await sendWith('once-3', '');
    assert.equal(refused.status, 400);
    const accepted = await sendWith('once-3', 'now with words');
    assert.equal(accepted.status, 200, accepted.raw.toString());
    const overlong = await sendWith('k'.repeat(2000), 'x');
    assert.equal(overlong.status, 400);
    assert.equal(overlong.body.error.code, 100);
  });

  test('duplicates across SIGKILL of the whole platform are still one message', async () => {
    const before = await sendWith('once-4', 'before and after');
    assert.equal(before.status, 200);
    const unanswered = Array.from({ length: 16 }, (_, i) => sendWith(`cut-${i}`, `cut ${i}`).then((a) => a, () => null));
    await Promise.race(unanswered);
    await platform.kill9();
    const first = await Promise.all(unanswered);
    await platform.start();

    const after = await sendWith('once-4', 'before and after');
    assert.equal(after.status, 200);
    assert.equal(after.body.messages[0].id, before.body.messages[0].id);
    const again = await Promise.all(first.map((_, i) => sendWith(`cut-${i}`, `cut ${i}`)));
    for (const [i, answer] of again.entries()) {
      assert.equal(answer.status, 200, answer.raw.toString());
      if (first[i]?.status === 200) assert.equal(answer.body.messages[0].id, first[i].body.messages[0].id);
    }
    const ids = [before, ...again].map((answer) => answer.body.messages[0].id);
    const counts = await untilShown(ids);
    assert.deepEqual(ids.map((id) => counts.get(id)), ids.map(() => 1));
    const shown = (await phoneLines(platform, 'inbox')).map((line) => line.text);
    for (let i = 0; i < again.length; i++) assert.equal(shown.filter((text) => text === `cut ${i}`).length, 1, `cut ${i}`);
  });
});
