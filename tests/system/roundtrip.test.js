// A text message from the API call to the phone and back: what the phone shows, what the webhooks say.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import Client from '@great-detail/whatsapp';
import { startGreatDetail } from './lib/greatdetail.js';
import { isSigned, startHooks } from './lib/hookserver.js';
import { phoneLines, shownCounts } from './lib/phone.js';
import { platformOfFile } from './lib/platform.js';
import { untilAsked } from './lib/wait.js';

const platform = platformOfFile();

async function subscribed(t, more) {
  const hooks = await startHooks(t, platform.env);
  const answer = await platform.graph.subscribe(hooks.url(), more);
  assert.deepEqual([answer.status, answer.body], [200, { success: true }]);
  return hooks;
}

async function sendText(body, more) {
  const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body, more);
  assert.equal(answer.status, 200, answer.raw.toString());
  return answer.body.messages[0].id;
}

/** The customer's line for a message, once it is there. */
const inboxLine = (id) => untilAsked(30, `${id} in the inbox`, async () => {
  const lines = await phoneLines(platform, 'inbox');
  return lines.find((line) => line.id === id);
});

describe('webhook subscription', () => {
  test('is stored only after the hub.challenge handshake', async (t) => {
    const hooks = await subscribed(t);
    assert.equal(hooks.handshakes.length, 1);
    const { query, headers } = hooks.handshakes[0];
    assert.equal(query['hub.mode'], 'subscribe');
    assert.match(query['hub.challenge'], /^\d+$/);
    assert.equal(query['hub.verify_token'], platform.env.PARLEY_VERIFY_TOKEN);
    assert.equal(headers['x-hub-signature-256'], undefined);
  });

  test('is refused when the endpoint does not return the challenge, and nothing changes', async (t) => {
    const kept = await subscribed(t);
    const other = await startHooks(t, { PARLEY_VERIFY_TOKEN: 'something-else' });
    const answer = await platform.graph.subscribe(other.url());
    assert.ok(answer.status >= 400, `status ${answer.status}`);
    assert.equal(typeof answer.body.error.code, 'number');
    const id = await sendText('still to the first endpoint');
    await kept.untilStatus(id, 'sent');
    assert.equal(other.attempts.length, 0);
  });
});

describe('business to customer', () => {
  test('I16 a text is shown once and reported sent and delivered, signed over the raw bytes', async (t) => {
    const hooks = await subscribed(t);
    const id = await sendText('Your kettle has shipped. Prêt à partir 🚀', { biz_opaque_callback_data: 'order=8841;step=2' });
    const delivered = await hooks.untilStatus(id, 'delivered');
    await hooks.untilStatus(id, 'sent');

    const line = await inboxLine(id);
    assert.equal(line.text, 'Your kettle has shipped. Prêt à partir 🚀');
    assert.equal(line.type, 'text');
    assert.equal(line.from, platform.env.PARLEY_BUSINESS_NUMBER);
    assert.equal((await shownCounts(platform)).get(id), 1);

    assert.equal(delivered.value.metadata.phone_number_id, platform.env.PARLEY_PHONE_NUMBER_ID);
    assert.equal(delivered.value.metadata.display_phone_number, platform.env.PARLEY_BUSINESS_NUMBER);
    assert.equal(delivered.detail.recipient_id, platform.env.PARLEY_CUSTOMER_NUMBER);
    for (const { detail, attempt, eventId } of hooks.statuses(id)) {
      assert.equal(detail.biz_opaque_callback_data, 'order=8841;step=2');
      assert.match(detail.timestamp, /^\d{10}$/);
      assert.ok(isSigned(attempt, platform.env.PARLEY_APP_SECRET), 'signature over the raw bytes');
      assert.ok(attempt.body.every((byte) => byte >= 0x20 && byte < 0x7f), 'ASCII only');
      assert.ok(eventId, 'X-Parley-Event-Id');
    }
  });

  test('I17 read follows delivered when the customer reads', async (t) => {
    const hooks = await subscribed(t);
    const id = await sendText('Please read this');
    await inboxLine(id);
    const listen = await platform.phone('listen', '--read', '--timeout', '5');
    assert.ok(listen.lines.some((line) => line.id === id), 'listen prints the message');
    await hooks.untilStatus(id, 'read');
    await hooks.untilStatus(id, 'delivered');
    await hooks.untilStatus(id, 'sent');
    assert.deepEqual(hooks.statuses(id).map((event) => event.status).sort(), ['delivered', 'read', 'sent']);
  });

  test('the npm client @great-detail/whatsapp sends, and is told its own errors', async (t) => {
    const hooks = await subscribed(t);
    const call = startGreatDetail(t, platform.env);
    const sent = await call('message', 'createMessage', {
      phoneNumberID: platform.env.PARLEY_PHONE_NUMBER_ID, to: `+${platform.env.PARLEY_CUSTOMER_NUMBER}`,
      type: 'text', text: { body: 'From an SDK' },
    });
    assert.equal(sent.error, undefined, JSON.stringify(sent.error));
    assert.equal(sent.ok.contacts[0].input, `+${platform.env.PARLEY_CUSTOMER_NUMBER}`);
    assert.equal(sent.ok.contacts[0].wa_id, platform.env.PARLEY_CUSTOMER_NUMBER);
    const { attempt } = await hooks.untilStatus(sent.ok.messages[0].id, 'delivered');
    const event = await new Client({ request: {} }).webhook.eventNotification({
      method: 'POST', query: {}, body: attempt.body.toString(), headers: attempt.headers,
    });
    await event.verifySignature(platform.env.PARLEY_APP_SECRET);
    assert.equal((await inboxLine(sent.ok.messages[0].id)).type, 'text');

    const number = await call('phoneNumbers', 'getPhoneNumber', { phoneNumberID: platform.env.PARLEY_PHONE_NUMBER_ID });
    assert.equal(number.ok?.id, platform.env.PARLEY_PHONE_NUMBER_ID, JSON.stringify(number));
    const wrong = await call('message', 'createMessage', {
      phoneNumberID: platform.env.PARLEY_PHONE_NUMBER_ID, to: platform.env.PARLEY_CUSTOMER_NUMBER, type: 'text', text: { body: '' },
    });
    assert.equal(wrong.error?.status, 400);
    assert.equal(typeof wrong.error.body.error.code, 'number');
  });

  test('preview_url is taken in both places and as a string', async () => {
    const body = 'Manual: https://shop.example/manual/88';
    const to = platform.env.PARLEY_CUSTOMER_NUMBER;
    for (const json of [
      { to, type: 'text', text: { body, preview_url: true } },
      { to, type: 'text', text: { body, preview_url: 'false' } },
      { to, text: { body }, preview_url: true },
      { to: Number(to), type: 'TEXT', recipient_type: 'individual', text: { body } },
    ]) {
      const answer = await platform.graph.messages(json);
      assert.equal(answer.status, 200, `${JSON.stringify(json)}: ${answer.raw}`);
      assert.match(answer.body.messages[0].id, /^wamid\./);
    }
  });

  test('I12 messages of one conversation are shown in the order of acceptance', async (t) => {
    const hooks = await subscribed(t);
    const ids = [];
    for (let i = 0; i < 20; i++) ids.push(await sendText(`in order ${i}`));
    await Promise.all(ids.map((id) => hooks.untilStatus(id, 'delivered')));
    const shown = (await phoneLines(platform, 'inbox')).map((line) => line.id).filter((id) => ids.includes(id));
    assert.deepEqual(shown, ids);
  });

  test('a number that is not on the network ends as one failed, 131026', async (t) => {
    const hooks = await subscribed(t);
    const answer = await platform.graph.text('15559990001', 'Anybody there?');
    assert.equal(answer.status, 200, answer.raw.toString());
    const id = answer.body.messages[0].id;
    const failed = await hooks.untilStatus(id, 'failed');
    assert.equal(failed.detail.errors[0].code, 131026);
    assert.deepEqual(hooks.statuses(id).map((event) => event.status), ['failed']);
  });
});

describe('customer to business', () => {
  test('I19 an answer arrives as a webhook with the id that the phone printed', async (t) => {
    const hooks = await subscribed(t);
    const [sent] = await phoneLines(platform, 'send', '--to', platform.env.PARLEY_BUSINESS_NUMBER, '--text', 'Is the blue one back? ✔');
    const { message, value, attempt } = await hooks.untilMessage((m) => m.id === sent.id);
    assert.equal(message.type, 'text');
    assert.equal(message.text.body, 'Is the blue one back? ✔');
    assert.equal(message.from, platform.env.PARLEY_CUSTOMER_NUMBER);
    assert.match(message.timestamp, /^\d{10}$/);
    assert.equal(message.context, undefined);
    assert.equal(value.contacts[0].wa_id, platform.env.PARLEY_CUSTOMER_NUMBER);
    assert.ok(value.contacts[0].profile.name.length > 0, 'a name travels inside the message');
    assert.ok(isSigned(attempt, platform.env.PARLEY_APP_SECRET));
  });

  test('a quoted reply carries the context, and is quoted back', async (t) => {
    const hooks = await subscribed(t);
    const id = await sendText('Blue or green?');
    await inboxLine(id);
    const [reply] = await phoneLines(platform, 'send', '--to', platform.env.PARLEY_BUSINESS_NUMBER, '--text', 'Blue', '--reply-to', id);
    const { message } = await hooks.untilMessage((m) => m.id === reply.id);
    assert.deepEqual(message.context, { from: platform.env.PARLEY_BUSINESS_NUMBER, id });

    const quoted = await sendText('Blue it is', { context: { message_id: reply.id } });
    const line = await inboxLine(quoted);
    assert.equal(line.context.id, reply.id);
  });

  test('mark as read, with and without typing, answers success and reaches the phone', async (t) => {
    const hooks = await subscribed(t);
    const [sent] = await phoneLines(platform, 'send', '--to', platform.env.PARLEY_BUSINESS_NUMBER, '--text', 'Hello?');
    await hooks.untilMessage((m) => m.id === sent.id);
    const typing = await platform.graph.messages({ status: 'read', message_id: sent.id, typing_indicator: { type: 'text' } });
    assert.deepEqual([typing.status, typing.body], [200, { success: true }]);
    const put = await platform.graph.call('PUT', `/v21.0/${platform.env.PARLEY_PHONE_NUMBER_ID}/messages`,
      { json: { messaging_product: 'whatsapp', status: 'read', message_id: sent.id } });
    assert.deepEqual([put.status, put.body], [200, { success: true }]);
    await untilAsked(30, 'read at the phone', async () => {
      const line = (await phoneLines(platform, 'inbox')).find((l) => l.id === sent.id);
      return line?.status === 'read';
    });
  });

  test('marking an unknown, outgoing or broken id as read is an error', async () => {
    const outgoing = await sendText('Mine');
    for (const messageId of ['wamid.HBgLMTU1NTc2NTQzMjEVAgASGBQzQTBCMUMyRDNFNEY1QTZCN0M4RAA=', outgoing, 'nonsense', '']) {
      const answer = await platform.graph.messages({ status: 'read', message_id: messageId });
      assert.equal(answer.status, 400, messageId);
      assert.ok([100, 131009].includes(answer.body.error.code), answer.raw.toString());
    }
  });
});
