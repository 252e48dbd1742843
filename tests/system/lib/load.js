// A load on the platform while programs are killed, and the accounts that are settled afterwards.
//
// The audit is ours: what the API answered 200 for, what the phone command printed as sent. Nothing is
// taken from the platform's own word.
import { setTimeout as pause } from 'node:timers/promises';
import { runPhone } from './phone.js';
import { limitMs } from './wait.js';

const RETRY_MS = 40;
const GIVE_UP_SECONDS = 120;

export class Audit {
  constructor() {
    this.accepted = new Map(); // wamid -> body
    this.answered = []; // wamids printed by the phone's send
    this.repeats = 0; // calls made again with the same key
    this.errors = new Map(); // what a caller saw -> how often
  }

  saw(what) {
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
  }
}

/** One message, repeated with its Idempotency-Key until the API says 200. */
export async function sendUntilAccepted(platform, audit, body, key) {
  const end = Date.now() + limitMs(GIVE_UP_SECONDS);
  for (;;) {
    const answer = await platform.graph.text(platform.env.PARLEY_CUSTOMER_NUMBER, body, {},
      { headers: { 'Idempotency-Key': key }, seconds: 20 }).catch((error) => ({ status: error.code ?? error.message.slice(0, 40) }));
    if (answer.status === 200) {
      audit.accepted.set(answer.body.messages[0].id, body);
      return;
    }
    audit.saw(`${answer.status}${answer.body?.error ? `/${answer.body.error.code}` : ''}`);
    if (answer.status >= 400 && answer.status < 500) {
      throw new Error(`${body}: ${answer.status} ${answer.raw}`);
    }
    if (Date.now() > end) throw new Error(`${body} was never accepted; last: ${answer.status}`);
    audit.repeats++;
    await pause(RETRY_MS);
  }
}

/** One message of the customer's, as often as it takes until the command says that it is stored. */
export async function answerUntilStored(platform, audit, body) {
  const end = Date.now() + limitMs(GIVE_UP_SECONDS);
  for (;;) {
    const done = await runPhone(platform, ['send', '--to', platform.env.PARLEY_BUSINESS_NUMBER, '--text', body], { seconds: 60 })
      .catch((error) => ({ code: error.message.slice(0, 60), lines: [] }));
    if (done.code === 0 && done.lines[0]?.id) {
      audit.answered.push(done.lines[0].id);
      return;
    }
    audit.saw(`phone send: exit ${done.code}`);
    if (Date.now() > end) throw new Error(`${body} was never stored by the phone: ${done.stderr}`);
    await pause(RETRY_MS);
  }
}

/** Work whose i-th piece may begin when progress() allows it, `width` at a time. */
export async function paced(count, width, mayBegin, fn) {
  let next = 0;
  const work = async () => {
    while (next < count) {
      const i = next++;
      await mayBegin(i);
      await fn(i);
    }
  };
  await Promise.all(Array.from({ length: width }, work));
}
