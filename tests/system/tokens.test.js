// Tokens on the command line, and what the API makes of them at once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { platformOfFile } from './lib/platform.js';
import { untilAsked } from './lib/wait.js';

const platform = platformOfFile();

const send = (token) => platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'who am I?', {}, { token });
const create = (...more) => platform.commandJson('token', 'create', '--app-id', platform.env.PARLEY_APP_ID, ...more);

describe('tokens', () => {
  test('a created token works, a revoked one does not, at once', async () => {
    const made = await create();
    assert.equal((await send(made.token)).status, 200);
    assert.equal((await send(made.token)).status, 200, 'from the cache');
    const revoked = await platform.command('token', 'revoke', made.id ?? made.token_id);
    assert.equal(revoked.code, 0, revoked.stderr);
    // The push leaves when the revocation is durable; it may be under way when the command returns.
    const answer = await untilAsked(3, 'the revocation to reach the Cloud', async () => {
      const now = await send(made.token);
      return now.status !== 200 && now;
    });
    assert.equal(answer.status, 401, answer.raw.toString());
    assert.equal(answer.body.error.code, 190);
    assert.equal((await send(platform.env.PARLEY_TOKEN)).status, 200, 'the other token is untouched');
  });

  test('a token without the messaging permission may not send', async () => {
    const made = await create('--scopes', 'whatsapp_business_management');
    const answer = await send(made.token);
    assert.equal(answer.status, 403, answer.raw.toString());
    assert.ok([10, 200, 131005].includes(answer.body.error.code));
    const read = await platform.graph.get(`/v24.0/${platform.env.PARLEY_PHONE_NUMBER_ID}`, { token: made.token });
    assert.equal(read.status, 200);
  });

  test('a token that was valid for a moment is expired afterwards, 190/463', async () => {
    const made = await create('--expires-in', '600');
    assert.equal((await send(made.token)).status, 200);
    await platform.advance(601);
    const answer = await send(made.token);
    assert.equal(answer.status, 401, answer.raw.toString());
    assert.equal(answer.body.error.code, 190);
    assert.equal(answer.body.error.error_subcode, 463);
  });

  test('tokens are shown once and listed without their secret', async () => {
    const made = await create();
    const listed = await platform.command('token', 'list', '--business-id', platform.env.PARLEY_BUSINESS_ID, '--json');
    assert.equal(listed.code, 0, listed.stderr);
    assert.ok(listed.stdout.includes(made.id ?? made.token_id));
    assert.ok(!listed.stdout.includes(made.token));
  });

  test('revoking the app takes its tokens along', async () => {
    const app = await platform.commandJson('app', 'create', '--business-id', platform.env.PARLEY_BUSINESS_ID, '--name', 'Second app');
    const made = await platform.commandJson('token', 'create', '--app-id', app.id);
    assert.equal((await send(made.token)).status, 200);
    assert.equal((await platform.command('app', 'revoke', app.id)).code, 0);
    await untilAsked(3, 'the revocation to reach the Cloud', async () => (await send(made.token)).status === 401);
  });

  test('a manager that is gone for a moment does not stop calls with a cached token', async () => {
    assert.equal((await send(platform.env.PARLEY_TOKEN)).status, 200);
    const pid = await platform.pidOf('manager');
    process.kill(pid, 'SIGKILL');
    assert.equal((await send(platform.env.PARLEY_TOKEN)).status, 200);
    await platform.untilReady();
    const unknown = await untilAsked(30, 'the manager to be asked again', async () => {
      const answer = await send('EAAnobody');
      return answer.status === 401 && answer;
    });
    assert.equal(unknown.body.error.code, 190);
  });
});
