// Webhooks against endpoints that are down, wrong, slow or hostile. The test clock moves the retries.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HookServer, isSigned, startHooks } from './lib/hookserver.js';
import { platformOfFile } from './lib/platform.js';

const platform = platformOfFile({ args: ['--policy', 'off'] });
const eventIdOf = (attempt) => attempt.headers['x-parley-event-id'];

async function send(body) {
  const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body);
  assert.equal(answer.status, 200, answer.raw.toString());
  return answer.body.messages[0].id;
}

async function subscribe(hooks, path) {
  const answer = await platform.graph.subscribe(hooks.url(path));
  assert.equal(answer.status, 200, answer.raw.toString());
}

/** Attempts grouped by event: every group must be the same bytes, signed. */
function assertSteady(attempts) {
  const byEvent = new Map();
  for (const attempt of attempts) {
    const id = eventIdOf(attempt);
    assert.ok(id, 'every attempt carries X-Parley-Event-Id');
    assert.ok(isSigned(attempt, platform.env.PARLEY_APP_SECRET), 'every attempt is signed over its bytes');
    if (byEvent.has(id)) assert.ok(byEvent.get(id).body.equals(attempt.body), `event ${id} changed its bytes`);
    else byEvent.set(id, attempt);
  }
  const bodies = [...byEvent.values()].map((attempt) => attempt.body.toString());
  assert.equal(new Set(bodies).size, bodies.length, 'two events with one body');
  return byEvent;
}

describe('I20 I21 retries', () => {
  for (const [what, answer] of [
    ['500', () => ({ status: 500 })],
    ['404', () => ({ status: 404 })],
    ['a redirect', (attempt, n, hooks) => ({ status: 302, headers: { Location: hooks.url('/elsewhere') } })],
    ['a reset connection', () => ({ reset: true })],
    ['no answer at all', () => ({ hang: true })],
  ]) {
    test(`an endpoint with ${what} gets the same bytes and event id until it takes them`, async (t) => {
      const hooks = await startHooks(t, platform.env);
      await subscribe(hooks);
      let isBroken = true;
      hooks.answer = (attempt, n) => (isBroken ? answer(attempt, n, hooks) : { status: 200 });
      const id = await send(`to an endpoint with ${what}`);
      const ofThis = (attempt) => attempt.body.includes(id);
      await hooks.untilAttempts(ofThis, 2);
      await platform.advance(20);
      await hooks.untilAttempts(ofThis, 4);
      isBroken = false;
      await platform.advance(3 * 3600);
      await hooks.untilStatus(id, 'sent');
      await hooks.untilStatus(id, 'delivered');
      assertSteady(hooks.attempts.filter(ofThis));
      assert.equal(hooks.attempts.filter((attempt) => attempt.url === '/elsewhere').length, 0, 'redirects are not followed');
    });
  }

  test('an endpoint that is down gets everything after it is back, also across a restart', async (t) => {
    const first = await new HookServer({ verifyToken: platform.env.PARLEY_VERIFY_TOKEN }).listen();
    const { port } = first;
    await subscribe(first);
    await first.close();
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push(await send(`while you were out ${i}`));
    await platform.restart();
    ids.push(await send('after the restart'));
    await platform.kill9();
    await platform.start();
    ids.push(await send('after the kill'));
    const hooks = await startHooks(t, platform.env, { port });
    await platform.advance(3 * 3600);
    for (const id of ids) {
      await hooks.untilStatus(id, 'sent');
      await hooks.untilStatus(id, 'delivered');
    }
    assertSteady(hooks.attempts);
  });

  test('a restart in the middle repeats the same bytes under the same event id', async (t) => {
    const hooks = await startHooks(t, platform.env);
    await subscribe(hooks);
    hooks.answer = () => ({ hang: true }); // the POST arrived, its answer never did (B3)
    const id = await send('interrupted');
    const ofThis = (attempt) => attempt.body.includes(id);
    await hooks.untilAttempts(ofThis, 1);
    await platform.kill9();
    hooks.answer = () => ({ status: 200 });
    await platform.start();
    await platform.advance(3 * 3600);
    await hooks.untilStatus(id, 'sent');
    await hooks.untilStatus(id, 'delivered');
    const byEvent = assertSteady(hooks.attempts.filter(ofThis));
    assert.ok(hooks.attempts.filter(ofThis).length > byEvent.size, 'something was repeated');
  });

  test('any 2xx ends the retries', async (t) => {
    const hooks = await startHooks(t, platform.env);
    await subscribe(hooks);
    hooks.answer = (attempt, n) => ({ status: [200, 201, 202, 204][n % 4] });
    const id = await send('one attempt is enough');
    await hooks.untilStatus(id, 'delivered');
    await platform.advance(3 * 3600);
    const later = await send('a later one');
    await hooks.untilStatus(later, 'delivered');
    const attempts = hooks.attempts.filter((attempt) => attempt.body.includes(id));
    assert.equal(attempts.length, 2); // sent and delivered, once each
  });
});

describe('I22 isolation', () => {
  test('a hanging endpoint does not delay the one that other events go to', async (t) => {
    const hanging = await startHooks(t, platform.env);
    const healthy = await startHooks(t, platform.env);
    await subscribe(hanging);
    hanging.answer = () => ({ hang: true });
    for (let i = 0; i < 30; i++) await send(`into the void ${i}`);
    await hanging.untilAttempts(() => true, 1);
    await subscribe(healthy);
    const id = await send('on time');
    await healthy.untilStatus(id, 'delivered', 20);
  });

  test('an endless answer is cut off, and counts as an answer or is repeated, but harms nobody', async (t) => {
    const hooks = await startHooks(t, platform.env);
    await subscribe(hooks);
    hooks.answer = () => ({ status: 200, body: Buffer.alloc(8 * 1024 * 1024, 'x') });
    const id = await send('large answers');
    await hooks.untilAttempts((attempt) => attempt.body.includes(id), 1);
    hooks.answer = () => ({ status: 200 });
    const next = await send('small answers');
    await platform.advance(20);
    await hooks.untilStatus(next, 'delivered');
  });
});

describe('targets', () => {
  test('the path is kept as given, overrides of number and WABA win', async (t) => {
    const app = await startHooks(t, platform.env);
    const waba = await startHooks(t, platform.env);
    const number = await startHooks(t, platform.env);
    const { graph, env } = platform;
    await subscribe(app, '/hooks/%C3%A1%20b/?tenant=7&x=%2F');
    await app.untilStatus(await send('to the app'), 'delivered');
    assert.match(app.attempts[0].url, /^\/hooks\/%C3%A1%20b\/\?tenant=7&x=%2F$/);

    const override = (hooks) => ({ override_callback_uri: hooks === null ? '' : hooks.url(), verify_token: env.PARLEY_VERIFY_TOKEN });
    const setWaba = await graph.post(`/v24.0/${env.PARLEY_WABA_ID}/subscribed_apps`, override(waba));
    assert.equal(setWaba.status, 200, setWaba.raw.toString());
    await waba.untilStatus(await send('to the WABA'), 'delivered');
    const setNumber = await graph.post(`/v24.0/${env.PARLEY_PHONE_NUMBER_ID}`, { webhook_configuration: override(number) });
    assert.equal(setNumber.status, 200, setNumber.raw.toString());
    await number.untilStatus(await send('to the number'), 'delivered');
    const shown = await graph.get(`/v24.0/${env.PARLEY_PHONE_NUMBER_ID}?fields=webhook_configuration`);
    assert.deepEqual(shown.body.webhook_configuration.phone_number, number.url());

    assert.equal((await graph.post(`/v24.0/${env.PARLEY_PHONE_NUMBER_ID}`, { webhook_configuration: override(null) })).status, 200);
    assert.equal((await graph.post(`/v24.0/${env.PARLEY_WABA_ID}/subscribed_apps`, {})).status, 200);
    await app.untilStatus(await send('to the app again'), 'delivered');
  });
});
