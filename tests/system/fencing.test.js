// A second Cloud node on the same store: stands by, takes over, and the old one has no effect any more.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { describe, test } from 'node:test';
import { cleanEnv } from './lib/command.js';
import { makeGraph } from './lib/graph.js';
import { startHooks } from './lib/hookserver.js';
import { shownCounts } from './lib/phone.js';
import { platformOfTest } from './lib/platform.js';
import { untilAsked, within } from './lib/wait.js';

const TTL_SECONDS = 15;
const GRACE_SECONDS = 5;

/** `parley-cloud --config … --node NAME`, as an operator starts one more. */
async function startNode(t, platform, name) {
  const child = spawn(path.join(platform.buildDir, 'parley-cloud'),
    ['--config', path.join(platform.dir, 'etc/parley-cloud.conf'), '--node', name],
    { env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (part) => { errors += part; });
  const ended = new Promise((resolve) => { child.once('close', (code, signal) => resolve({ code, signal })); });
  t.after(async () => {
    child.kill('SIGTERM');
    await within(10, 'the node to end', ended).catch(() => child.kill('SIGKILL'));
  });
  const first = await within(40, () => `node ${name} to say that it listens\n${errors}`, Promise.race([
    readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]().next().then(({ value }) => JSON.parse(value)),
    ended.then((how) => { throw new Error(`node ${name} ended: ${JSON.stringify(how)}\n${errors}`); }),
  ]));
  assert.match(first.listen, /:\d+$/);
  const url = `https://localhost:${first.listen.split(':').pop()}`;
  const graph = makeGraph(platform.env, { url });
  t.after(() => graph.close());
  return { child, graph, pid: child.pid, ended, explain: () => errors };
}

const send = (graph, platform, body) => graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body, {}, { seconds: 5 }).catch((error) => ({ status: 0, error }));

describe('I29 I30 I31 two Cloud nodes on one store', () => {
  test('the second stands by; after SIGKILL of the first it takes over within TTL + 5 s and loses nothing', async (t) => {
    const platform = await platformOfTest(t, { args: ['--policy', 'off'] });
    const hooks = await startHooks(t, platform.env);
    await platform.graph.subscribe(hooks.url());
    const accepted = [];
    const take = (answer) => { if (answer.status === 200) accepted.push(answer.body.messages[0].id); return answer; };

    const standby = await startNode(t, platform, 'other');
    for (let i = 0; i < 10; i++) assert.equal(take(await send(platform.graph, platform, `before ${i}`)).status, 200);
    const refused = await send(standby.graph, platform, 'to the standby');
    assert.ok(refused.status >= 400, `the standby answered ${refused.status}`);
    assert.equal(typeof refused.body.error.code, 'number');

    // The first is held down: killed, and killed again whenever the supervisor brings it back.
    const began = Date.now();
    const down = { is: true };
    const holdDown = (async () => {
      while (down.is) {
        const pid = await platform.pidOf('cloud').catch(() => null);
        if (pid) try { process.kill(pid, 'SIGKILL'); } catch { /* between two lives */ }
        await new Promise((resolve) => { setTimeout(resolve, 20); });
      }
    })();
    t.after(() => { down.is = false; });
    await untilAsked(TTL_SECONDS + GRACE_SECONDS, () => `the standby to accept\n${standby.explain().slice(-2000)}`,
      async () => take(await send(standby.graph, platform, 'taken over')).status === 200);
    t.diagnostic(`take-over after ${Date.now() - began} ms`);
    for (let i = 0; i < 10; i++) assert.equal(take(await send(standby.graph, platform, `after ${i}`)).status, 200);
    down.is = false;
    await holdDown;

    for (const id of accepted) await hooks.untilStatus(id, 'delivered');
    const counts = await shownCounts(platform);
    assert.deepEqual(accepted.map((id) => counts.get(id)), accepted.map(() => 1));
  });

  test('a holder that was stopped for longer than the lease has no effect when it wakes', async (t) => {
    const platform = await platformOfTest(t, { args: ['--policy', 'off'] });
    const hooks = await startHooks(t, platform.env);
    await platform.graph.subscribe(hooks.url());
    assert.equal((await send(platform.graph, platform, 'warm')).status, 200);
    const standby = await startNode(t, platform, 'other');
    const pid = await platform.pidOf('cloud');
    process.kill(pid, 'SIGSTOP');
    t.after(() => { try { process.kill(pid, 'SIGCONT'); } catch { /* fenced and gone */ } });

    const answer = await untilAsked(TTL_SECONDS + GRACE_SECONDS, () => `the standby to accept\n${standby.explain().slice(-2000)}`, async () => {
      const now = await send(standby.graph, platform, 'while the first sleeps');
      return now.status === 200 && now;
    });
    process.kill(pid, 'SIGCONT');
    // It must not answer 200 for this number again while the other one holds it.
    for (let i = 0; i < 20; i++) {
      const late = await send(platform.graph, platform, `from the old holder ${i}`);
      assert.notEqual(late.status, 200, 'the fenced instance accepted a message');
    }
    const last = await send(standby.graph, platform, 'the new holder goes on');
    assert.equal(last.status, 200, last.raw?.toString());
    for (const one of [answer, last]) await hooks.untilStatus(one.body.messages[0].id, 'delivered');
    const lines = (await platform.phone('inbox')).lines.map((line) => line.text);
    assert.equal(lines.filter((text) => /from the old holder/.test(text)).length, 0);
  });
});
