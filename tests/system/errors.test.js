// Bad input: a clear error in the Graph envelope, nothing lost, nothing that grows.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { describe, test } from 'node:test';
import { makeGraph } from './lib/graph.js';
import { residentKib } from './lib/proc.js';
import { platformOfFile } from './lib/platform.js';
import { makeRandom, seedOfRun } from './lib/random.js';
import { untilAsked, within } from './lib/wait.js';

// A sanitizer keeps what was freed for a while; kept small, so that growth is growth.
const platform = platformOfFile({ env: { ASAN_OPTIONS: 'quarantine_size_mb=1:malloc_context_size=0' } });
const MIB = 1024 * 1024;
const CONNECTIONS = 60; // a listener and storm
const GROWTH_MAX_KIB = 8 * 1024;

/** Every failure has the envelope, whatever failed. */
function assertError(answer, status, code, what = '') {
  const said = `${what}: ${answer.status} ${answer.raw.toString().slice(0, 300)}`;
  assert.equal(answer.status, status, said);
  assert.match(answer.headers['content-type'], /^application\/json/, said);
  const { error } = answer.body ?? {};
  assert.ok(error, said);
  assert.equal(error.code, code, said);
  assert.ok(typeof error.message === 'string' && error.message.length > 0, said);
  assert.ok(typeof error.type === 'string' && error.type.length > 0, said);
  assert.ok(typeof error.fbtrace_id === 'string' && error.fbtrace_id.length > 0, said);
  return error;
}

const messagesPath = () => `/v24.0/${platform.env.PARLEY_PHONE_NUMBER_ID}/messages`;
const good = (body = 'fine') => ({
  messaging_product: 'whatsapp', to: platform.env.PARLEY_CUSTOMER_NUMBER, type: 'text', text: { body },
});

describe('authentication', () => {
  test('unknown, malformed and missing tokens', async () => {
    for (const token of ['EAAunknown0000000000000000', 'x', 'EAA'.padEnd(900, 'z'), 'a b c', `${platform.env.PARLEY_TOKEN}x`]) {
      assertError(await platform.graph.post(messagesPath(), good(), { token }), 401, 190, token.slice(0, 20));
    }
    const missing = await platform.graph.post(messagesPath(), good(), { token: null });
    assert.equal(missing.status, 401);
    assert.ok([104, 190, 200, 2500].includes(missing.body.error.code), missing.raw.toString());
    const basic = await platform.graph.post(messagesPath(), good(), { token: null, headers: { Authorization: 'Basic Zm9vOmJhcg==' } });
    assert.equal(basic.status, 401);
  });

  test('the scheme OAuth, any case, and the query parameter are taken too', async () => {
    const { PARLEY_TOKEN: token } = platform.env;
    for (const [path, headers] of [
      [messagesPath(), { Authorization: `OAuth ${token}` }],
      [messagesPath(), { Authorization: `bearer ${token}` }],
      [`${messagesPath()}?access_token=${token}`, {}],
    ]) {
      const answer = await platform.graph.post(path, good(), { token: null, headers });
      assert.equal(answer.status, 200, `${path} ${answer.raw}`);
    }
  });

  test('the app token may not send', async () => {
    const { PARLEY_APP_ID: id, PARLEY_APP_SECRET: secret } = platform.env;
    const answer = await platform.graph.post(messagesPath(), good(), { token: `${id}|${secret}` });
    assert.ok(answer.status >= 400 && answer.body.error, answer.raw.toString());
    assertError(await platform.graph.post(messagesPath(), good(), { token: `${id}|wrong` }), 401, 190);
  });

  test('appsecret_proof is checked when it is given', async () => {
    const { createHmac } = await import('node:crypto');
    const proof = createHmac('sha256', platform.env.PARLEY_APP_SECRET).update(platform.env.PARLEY_TOKEN).digest('hex');
    const right = await platform.graph.post(`${messagesPath()}?appsecret_proof=${proof}`, good());
    assert.equal(right.status, 200, right.raw.toString());
    const wrong = await platform.graph.post(`${messagesPath()}?appsecret_proof=${proof.replace(/./g, '0')}`, good());
    assert.ok(wrong.status >= 400, wrong.raw.toString());
    assert.ok(wrong.body.error.code, wrong.raw.toString());
  });
});

describe('objects', () => {
  test("I32 another business's objects answer exactly as missing ones do, on every route", async () => {
    const other = await platform.commandJson('business', 'add', '--name', 'Harbour Tea', '--number', '447700900123');
    // Ids that never existed, of the same kinds as the other's.
    const missing = (id) => id.slice(0, 2) + id.slice(2).replace(/\d/g, (d) => String((Number(d) + 3) % 10));
    const routes = [
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/messages', good()],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/messages', { messaging_product: 'whatsapp', status: 'read', message_id: 'wamid.x' }],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/messages', {}],
      ['PARLEY_PHONE_NUMBER_ID', 'GET', ''],
      ['PARLEY_PHONE_NUMBER_ID', 'GET', '?fields=id,verified_name,webhook_configuration'],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '', { webhook_configuration: { override_callback_uri: '' } }],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/register', { messaging_product: 'whatsapp', pin: '123456' }],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/deregister', {}],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/request_code', { code_method: 'SMS', language: 'en' }],
      ['PARLEY_PHONE_NUMBER_ID', 'POST', '/verify_code', { code: '123456' }],
      ['PARLEY_PHONE_NUMBER_ID', 'DELETE', ''],
      ['PARLEY_PHONE_NUMBER_ID', 'GET', '/nothing_like_it'],
      ['PARLEY_WABA_ID', 'GET', ''],
      ['PARLEY_WABA_ID', 'GET', '/phone_numbers'],
      ['PARLEY_WABA_ID', 'GET', '/subscribed_apps'],
      ['PARLEY_WABA_ID', 'POST', '/subscribed_apps', {}],
      ['PARLEY_WABA_ID', 'DELETE', '/subscribed_apps'],
      ['PARLEY_BUSINESS_ID', 'GET', ''],
      ['PARLEY_BUSINESS_ID', 'GET', '/owned_whatsapp_business_accounts'],
      ['PARLEY_APP_ID', 'GET', ''],
      ['PARLEY_APP_ID', 'GET', '/subscriptions'],
      ['PARLEY_APP_ID', 'POST', '/subscriptions', { object: 'whatsapp_business_account', fields: 'messages' }],
      ['PARLEY_APP_ID', 'DELETE', '/subscriptions'],
    ];
    const tokens = {
      'system user': platform.env.PARLEY_TOKEN,
      app: `${platform.env.PARLEY_APP_ID}|${platform.env.PARLEY_APP_SECRET}`,
      unknown: 'EAAnobody',
    };
    // What must be equal: everything but the trace id and the id that the caller itself sent.
    const shape = (answer, id) => JSON.stringify([answer.status,
      answer.raw.toString().replaceAll(id, 'ID').replace(/"fbtrace_id":"[^"]*"/, '')]);
    for (const [key, method, edge, json] of routes) {
      for (const [whose, token] of Object.entries(tokens)) {
        const foreign = await platform.graph.call(method, `/v24.0/${other[key]}${edge}`, { json, token });
        const nowhere = await platform.graph.call(method, `/v24.0/${missing(other[key])}${edge}`, { json, token });
        assert.ok(foreign.status >= 400, `${whose}: ${method} ${key}${edge} answered ${foreign.status} ${foreign.raw}`);
        assert.equal(shape(foreign, other[key]), shape(nowhere, missing(other[key])), `${whose}: ${method} ${key}${edge}`);
        assert.ok(foreign.body.error.code, foreign.raw.toString());
      }
    }
    // And its own token still works on its own number.
    const own = makeGraph(other);
    const answer = await own.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'From the harbour');
    own.close();
    assert.equal(answer.status, 200, answer.raw.toString());
  });

  test('a wrong number id is 100/33', async () => {
    for (const id of ['1', '999999999999999', '120000000000001', '18446744073709551616', '0', '-1', '12x']) {
      const answer = await platform.graph.post(`/v24.0/${id}/messages`, good());
      assert.equal(answer.status, 400, `${id} ${answer.raw}`);
      assert.ok([100, 2500, 803].includes(answer.body.error.code), `${id} ${answer.raw}`);
    }
    const error = assertError(await platform.graph.post('/v24.0/120000000000001/messages', good()), 400, 100);
    assert.equal(error.error_subcode, 33);
  });
});

describe('paths', () => {
  test('any version, none, and a trailing slash', async () => {
    const id = platform.env.PARLEY_PHONE_NUMBER_ID;
    for (const path of [`/${id}/messages`, `/v13.0/${id}/messages`, `/v26.0/${id}/messages/`, `/v99.9/${id}/messages`, `/${id}/messages/`]) {
      const answer = await platform.graph.post(path, good());
      assert.equal(answer.status, 200, `${path} ${answer.raw}`);
    }
    for (const path of [`/${id}`, `/v24.0/${id}/`, `/v17.0/${id}?fields=id`]) {
      const answer = await platform.graph.get(path);
      assert.equal(answer.status, 200, `${path} ${answer.raw}`);
      assert.equal(answer.body.id, id);
    }
  });

  test('plain HTTP on loopback answers the same', async () => {
    const plain = makeGraph(platform.env, { url: platform.env.PARLEY_HTTP_URL });
    const answer = await plain.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'Over plain HTTP');
    plain.close();
    assert.equal(answer.status, 200, answer.raw.toString());
  });

  test('unknown paths, edges and methods carry the envelope', async () => {
    const id = platform.env.PARLEY_PHONE_NUMBER_ID;
    const { graph } = platform;
    for (const [method, path] of [
      ['GET', '/'], ['GET', '/v24.0'], ['GET', '/favicon.ico'], ['GET', '/v24.0/nothing/here/at/all'],
      ['GET', '/%00'], ['GET', '/..%2f..%2fetc%2fpasswd'], ['GET', `/${'a'.repeat(3000)}`],
      ['POST', `/v24.0/${id}/no_such_edge`], ['DELETE', `/v24.0/${id}/messages`], ['GET', `/v24.0/${id}/messages`],
      ['PATCH', `/v24.0/${id}/messages`], ['PUT', '/'],
    ]) {
      const answer = await graph.call(method, path);
      assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`);
      assert.equal(typeof answer.body?.error?.code, 'number', `${method} ${path}: ${answer.raw}`);
      assert.equal(typeof answer.body.error.message, 'string', `${method} ${path}`);
    }
  });
});

describe('bodies', () => {
  test('malformed JSON is 100', async () => {
    const headers = { 'Content-Type': 'application/json' };
    for (const body of ['{', '{"to":', 'nonsense', '[]', '"text"', '123', '{"a":1,"a":2}', '\u0000', '{"a":"\\ud800"}',
      Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), '['.repeat(100000), `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`]) {
      assertError(await platform.graph.call('POST', messagesPath(), { body, headers }), 400, 100, String(body).slice(0, 20));
    }
  });

  test('wrong types, missing and forbidden values', async () => {
    const { messages } = platform.graph;
    const to = platform.env.PARLEY_CUSTOMER_NUMBER;
    const text = { body: 'x' };
    for (const [what, json] of [
      ['no product', { messaging_product: undefined, to, type: 'text', text }],
      ['another product', { messaging_product: 'telegram', to, type: 'text', text }],
      ['no to', { type: 'text', text }],
      ['to null', { to: null, type: 'text', text }],
      ['to object', { to: {}, type: 'text', text }],
      ['to array', { to: [to], type: 'text', text }],
      ['to letters', { to: 'somebody', type: 'text', text }],
      ['to with 00', { to: `00${to}`, type: 'text', text }],
      ['to short', { to: '123', type: 'text', text }],
      ['to long', { to: '1234567890123456', type: 'text', text }],
      ['to ourselves', { to: platform.env.PARLEY_BUSINESS_NUMBER, type: 'text', text }],
      ['no text', { to, type: 'text' }],
      ['text null', { to, type: 'text', text: null }],
      ['text string', { to, type: 'text', text: 'hello' }],
      ['text array', { to, type: 'text', text: ['hello'] }],
      ['no body', { to, type: 'text', text: {} }],
      ['body empty', { to, type: 'text', text: { body: '' } }],
      ['body number', { to, type: 'text', text: { body: 7 } }],
      ['body object', { to, type: 'text', text: { body: {} } }],
      ['body 4097', { to, type: 'text', text: { body: 'x'.repeat(4097) } }],
      ['type unknown', { to, type: 'jpeg', text }],
      ['type number', { to, type: 5, text }],
      ['context string', { to, type: 'text', text, context: 'wamid.x' }],
      ['opaque 513', { to, type: 'text', text, biz_opaque_callback_data: 'x'.repeat(513) }],
      ['opaque object', { to, type: 'text', text, biz_opaque_callback_data: {} }],
      ['status unknown', { status: 'deleted', message_id: 'wamid.x' }],
      ['read without id', { status: 'read' }],
      ['typing of sounds', { status: 'read', message_id: 'wamid.x', typing_indicator: { type: 'audio' } }],
    ]) {
      const answer = await messages(json);
      assert.equal(answer.status, 400, `${what}: ${answer.status} ${answer.raw}`);
      assert.ok([100, 131008, 131009, 131021, 131051].includes(answer.body.error.code), `${what}: ${answer.raw}`);
    }
    // Right at the limits.
    for (const json of [
      { to, type: 'text', text: { body: 'é'.repeat(4096) } },
      { to, type: 'text', text: { body: '🚀'.repeat(4096) }, biz_opaque_callback_data: 'ü'.repeat(512) },
      { to: `+1 (555) ${to.slice(4, 7)}-${to.slice(7)}`, type: 'text', text },
    ]) {
      const answer = await messages(json);
      assert.equal(answer.status, 200, answer.raw.toString());
    }
  });

  test('form-encoded, query parameters and content as JSON text', async () => {
    const to = platform.env.PARLEY_CUSTOMER_NUMBER;
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const fields = { messaging_product: 'whatsapp', to, type: 'text', text: '{"body":"form"}' };
    for (const [what, path, options] of [
      ['form with JSON', messagesPath(), { body: new URLSearchParams(fields).toString(), headers: form }],
      ['form with brackets', messagesPath(), {
        body: new URLSearchParams({ messaging_product: 'whatsapp', to, type: 'text', 'text[body]': 'brackets' }).toString(), headers: form,
      }],
      ['query only', `${messagesPath()}?${new URLSearchParams(fields)}`, {}],
      ['query and body', `${messagesPath()}?messaging_product=whatsapp&to=${to}`, { json: { type: 'text', text: { body: 'both' } } }],
      ['JSON text in JSON', messagesPath(), { json: fields }],
      ['unknown keys', messagesPath(), { json: { ...good(), ttl: 5, whatever: [1] } }],
    ]) {
      const answer = await platform.graph.call('POST', path, options);
      assert.equal(answer.status, 200, `${what}: ${answer.raw}`);
    }
  });

  test('an oversize body is refused with the envelope or the connection closed, never taken', async () => {
    const body = JSON.stringify(good('x'.repeat(12 * MIB)));
    const answer = await platform.graph.call('POST', messagesPath(), { body, headers: { 'Content-Type': 'application/json' } })
      .catch((error) => error);
    if (!(answer instanceof Error)) {
      assert.ok([400, 413].includes(answer.status), `status ${answer.status}`);
      assert.equal(typeof answer.body?.error?.code, 'number', answer.raw.toString().slice(0, 200));
    }
    const after = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'after the large one');
    assert.equal(after.status, 200);
  });

  test('chunked bodies and keep-alive', async () => {
    const socket = tls.connect({ host: 'localhost', port: Number(new URL(platform.env.PARLEY_URL).port), rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const body = JSON.stringify(good('in pieces'));
    const head = `POST ${messagesPath()} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${platform.env.PARLEY_TOKEN}\r\n`
      + 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    for (let round = 0; round < 2; round++) {
      socket.write(head);
      for (const piece of [body.slice(0, 7), body.slice(7)]) socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
      socket.write('0\r\n\r\n');
      let answer = '';
      while (!answer.includes('"messages":')) {
        const [part] = await within(20, () => `an answer to a chunked request, got ${answer}`, once(socket, 'data'));
        answer += part;
      }
      assert.match(answer, /^HTTP\/1\.1 200 /);
    }
    socket.destroy();
  });
});

describe('I39 hostile connections', () => {
  const port = (name) => {
    const [host, number] = name === 'relay' ? platform.env.PARLEY_RELAY.split(':')
      : [new URL(platform.env[name]).hostname, new URL(platform.env[name]).port];
    return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(number) };
  };
  const listeners = ['relay', 'PARLEY_URL', 'PARLEY_HTTP_URL'];

  const opened = async (where) => {
    const socket = net.connect(where);
    socket.on('error', () => {});
    await once(socket, 'connect').catch(() => {});
    return socket;
  };
  const memory = async () => {
    const rows = await platform.programs();
    return new Map(rows.map((row) => [row.name, { pid: row.pid, kib: residentKib(row.pid), restarts: row.restarts }]));
  };

  test('garbage and half-open connections leave every program alive and small', async (t) => {
    const random = makeRandom(seedOfRun());
    const garbage = (size) => Buffer.from(Array.from({ length: size }, () => random.below(256)));
    const shapes = [
      () => garbage(1 + random.below(4000)),
      () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n'),
      () => Buffer.from(`POST /1/messages HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n`),
      () => Buffer.from(`GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(3000)}`),
      () => Buffer.from(`GET /${'a'.repeat(70000)} HTTP/1.1\r\n\r\n`),
      () => Buffer.from([0xff, 0xff, 0xff]),
      () => Buffer.concat([Buffer.from('PLY'), garbage(100)]),
      () => Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff]),
      () => Buffer.alloc(0),
    ];
    const storm = async () => {
      const t0 = Date.now();
      const sockets = [];
      for (const name of listeners) {
        for (let i = 0; i < CONNECTIONS; i++) {
          const socket = await opened(port(name));
          const bytes = shapes[i % shapes.length]();
          if (bytes.length > 0 && !socket.destroyed) socket.write(bytes);
          sockets.push(socket);
          if (i % 2 === 0) socket.resetAndDestroy(); // the others stay half open while the next listener suffers
        }
      }
      const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'in the storm');
      assert.equal(answer.status, 200, answer.raw.toString());
      for (const socket of sockets) socket.destroy();
      t.diagnostic('storm ' + (Date.now() - t0));
    };
    for (let i = 0; i < 3; i++) await storm(); // first use of everything: buffers, tables, allocator
    const before = await memory();
    for (let i = 0; i < 6; i++) await storm();
    const after = await memory();
    for (const [name, { pid, kib, restarts }] of before) {
      t.diagnostic(`${name}: ${kib} KiB, then ${after.get(name).kib} KiB`);
      assert.equal(after.get(name).pid, pid, `${name} went on`);
      assert.equal(after.get(name).restarts, restarts, name);
      assert.ok(after.get(name).kib - kib < GROWTH_MAX_KIB, `${name} grew from ${kib} to ${after.get(name).kib} KiB`);
    }
    const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'still here');
    assert.equal(answer.status, 200);
  });

  test('a peer that says nothing to the relay is sent away', async () => {
    const socket = await opened(port('relay'));
    await within(40, 'the relay to close a silent connection', once(socket, 'close'));
  });

  test('the platform still carries messages afterwards', async () => {
    const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, 'after the storm');
    assert.equal(answer.status, 200);
    await untilAsked(30, 'the message at the phone', async () => {
      const { lines } = await platform.phone('inbox');
      return lines.some((line) => line.id === answer.body.messages[0].id);
    });
  });
});
