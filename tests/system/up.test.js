// `parley up`: comes up, stays up, ends, and comes up again on the same folder.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { runCommand } from './lib/command.js';
import { groupMembers, isAlive, listeningPorts } from './lib/proc.js';
import { Platform, freePorts, platformOfTest } from './lib/platform.js';
import { untilAsked } from './lib/wait.js';

const envPath = (platform) => path.join(platform.dir, 'demo.env');
const membersOf = (platform) => groupMembers(platform.child.pid);

async function assertCarries(platform, body) {
  const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body);
  assert.equal(answer.status, 200, answer.raw.toString());
  const id = answer.body.messages[0].id;
  await untilAsked(60, `"${body}" on the phone`, async () => {
    const { lines } = await platform.phone('inbox');
    return lines.some((line) => line.id === id);
  });
}

describe('parley up --demo', () => {
  test('writes demo.env once, 0600, and keeps it over restart and SIGKILL of everything', async (t) => {
    const platform = await platformOfTest(t);
    assert.equal(fs.statSync(envPath(platform)).mode & 0o777, 0o600);
    const first = fs.readFileSync(envPath(platform), 'utf8');
    for (const key of ['PARLEY_URL', 'PARLEY_HTTP_URL', 'PARLEY_CA_FILE', 'PARLEY_TOKEN', 'PARLEY_BUSINESS_ID', 'PARLEY_WABA_ID',
      'PARLEY_PHONE_NUMBER_ID', 'PARLEY_APP_ID', 'PARLEY_APP_SECRET', 'PARLEY_VERIFY_TOKEN', 'PARLEY_BUSINESS_NUMBER',
      'PARLEY_CUSTOMER_NUMBER', 'PARLEY_CUSTOMER_PROFILE', 'PARLEY_RELAY', 'PARLEY_RELAY_KEY']) {
      assert.ok(platform.env[key], key);
    }
    for (const key of Object.keys(platform.env).filter((name) => name.endsWith('_ID'))) {
      assert.match(platform.env[key], /^\d+$/, key);
      assert.ok(Number(platform.env[key]) < 2 ** 53, key);
    }
    assert.equal(Buffer.from(platform.env.PARLEY_RELAY_KEY, 'base64').length, 32);
    assert.ok(platform.output.includes(platform.env.PARLEY_TOKEN), 'demo.env is printed too');
    await assertCarries(platform, 'first life');

    const stopped = await platform.stop();
    assert.equal(stopped.code, 0, platform.output);
    await platform.start();
    assert.equal(fs.readFileSync(envPath(platform), 'utf8'), first);
    await assertCarries(platform, 'second life');

    await platform.kill9();
    await platform.start();
    assert.equal(fs.readFileSync(envPath(platform), 'utf8'), first);
    await assertCarries(platform, 'third life');
    const { lines } = await platform.phone('inbox');
    for (const body of ['first life', 'second life', 'third life']) {
      assert.equal(lines.filter((line) => (line.text) === body).length, 1, body);
    }
  });

  test('SIGTERM ends all of it within 3 s and leaves no process and no listener', async (t) => {
    const platform = await platformOfTest(t);
    const members = membersOf(platform);
    assert.ok(members.length >= 5, `members ${members}`);
    const began = Date.now();
    const ended = await platform.stop();
    const took = Date.now() - began;
    assert.equal(ended.code, 0);
    assert.ok(took < 3000, `took ${took} ms`);
    assert.deepEqual(members.filter(isAlive), []);
    assert.ok(await freePortsAgain(platform.basePort), 'the ports are free');
  });

  test('the children end with a supervisor that was killed alone', async (t) => {
    const platform = await platformOfTest(t);
    const members = membersOf(platform);
    process.kill(platform.child.pid, 'SIGKILL');
    await untilAsked(10, () => `no process left of ${members.filter(isAlive)}`, () => !members.some(isAlive));
    platform.child = null;
    await platform.start();
    await assertCarries(platform, 'after the supervisor');
  });

  test('a program that crashes is started again, and messages go on', async (t) => {
    const platform = await platformOfTest(t);
    for (const { name, pid } of await platform.programs()) {
      process.kill(pid, 'SIGKILL');
      await untilAsked(60, () => `${name} to be ready again\n${platform.explain()}`, async () => {
        const row = (await platform.programs()).find((r) => r.name === name);
        return row.pid !== pid && row.state === 'ready' && row.restarts >= 1;
      });
      await untilAsked(30, 'the API to answer', async () => {
        const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, `ping after ${name}`).catch(() => null);
        return answer?.status === 200;
      });
      await assertCarries(platform, `after ${name}`);
    }
  });

  test('a second one on the same folder is refused and disturbs nothing', async (t) => {
    const platform = await platformOfTest(t);
    const second = await runCommand(platform.parley,
      ['up', '--demo', '--data-dir', platform.dir, '--base-port', String(await freePorts())]);
    assert.notEqual(second.code, 0);
    assert.match(second.stderr, /another/);
    await assertCarries(platform, 'undisturbed');
  });

  test('only the ten ports from the base are used, on loopback', async (t) => {
    const platform = await platformOfTest(t);
    for (const pid of membersOf(platform)) {
      for (const port of listeningPorts(pid)) {
        assert.ok(port >= platform.basePort && port < platform.basePort + 10, `port ${port}`);
      }
    }
    assert.equal(new URL(platform.env.PARLEY_URL).port, String(platform.basePort));
    assert.equal(new URL(platform.env.PARLEY_HTTP_URL).port, String(platform.basePort + 1));
    assert.ok(platform.env.PARLEY_RELAY.endsWith(`:${platform.basePort + 5}`));
  });

  test('with a seed, ids and secrets are the same in two folders; without, they differ; keys always do', async (t) => {
    const identities = [];
    for (const seed of [7, 7, undefined]) {
      const platform = await platformOfTest(t, { seed });
      identities.push(platform.env);
      await platform.stop();
    }
    const [one, two, three] = identities;
    for (const key of ['PARLEY_TOKEN', 'PARLEY_BUSINESS_ID', 'PARLEY_WABA_ID', 'PARLEY_PHONE_NUMBER_ID', 'PARLEY_APP_ID', 'PARLEY_APP_SECRET', 'PARLEY_VERIFY_TOKEN']) {
      assert.equal(one[key], two[key], key);
    }
    assert.notEqual(one.PARLEY_TOKEN, three.PARLEY_TOKEN);
    assert.notEqual(one.PARLEY_APP_SECRET, three.PARLEY_APP_SECRET);
    assert.notEqual(one.PARLEY_RELAY_KEY, two.PARLEY_RELAY_KEY);
  });

  test('a seed goes with loopback only, and wrong flags are usage errors', async (t) => {
    const platform = new Platform();
    t.after(() => platform.dispose());
    for (const args of [['--seed', '1', '--listen', '0.0.0.0'], ['--base-port', '80'], ['--policy', 'maybe'], ['--no-such-flag'], ['word']]) {
      const done = await runCommand(platform.parley, ['up', '--data-dir', platform.dir, ...args]);
      assert.equal(done.code, 2, `${args.join(' ')}: ${done.code} ${done.stderr}`);
    }
  });

  test('parley ready and parley stop', async (t) => {
    const platform = await platformOfTest(t);
    const ready = await platform.command('ready', '--wait', '10');
    assert.equal(ready.code, 0, ready.stderr);
    const stopped = await platform.command('stop');
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.equal((await platform.ended).code, 0);
    assert.notEqual((await platform.command('ready')).code, 0);
  });
});

async function freePortsAgain(base) {
  const net = await import('node:net');
  for (let port = base; port < base + 10; port++) {
    const isFree = await new Promise((resolve) => {
      const server = net.createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (!isFree) return false;
  }
  return true;
}
