// One run of the kill test: a load in both directions while programs die, then the accounts.
//
// Used by kill.test.js (short, with `./dev test`) and by tests/campaign/kill.sh (any length):
//   node killrun.js --messages N --kills N [--seed N] [--answers N]    prints one JSON line, exit 1 on a breach
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { HookServer, isSigned } from './lib/hookserver.js';
import { checkKeyTrace } from './lib/keytrace.js';
import { Killer } from './lib/killer.js';
import { Audit, answerUntilStored, paced, sendUntilAccepted } from './lib/load.js';
import { phoneLines } from './lib/phone.js';
import { Platform } from './lib/platform.js';
import { makeRandom, seedOfRun } from './lib/random.js';
import { untilAsked, untilEvent } from './lib/wait.js';

const WIDTH = 12;
const SETTLE_SECONDS = 120;

const bodyOf = (i) => `message ${i} of the kill test`;

/** Everything owed must have arrived; returns what did not, as sentences. */
async function settle(hooks, audit, seconds) {
  const owed = () => {
    const missing = [];
    const seen = new Map();
    const came = new Set();
    for (const event of hooks.events()) {
      if (event.kind === 'status') seen.set(event.id, (seen.get(event.id) ?? new Set()).add(event.status));
      else came.add(event.id);
    }
    for (const id of audit.accepted.keys()) {
      for (const status of ['sent', 'delivered']) if (!seen.get(id)?.has(status)) missing.push(`no webhook "${status}" for ${id}`);
    }
    for (const id of audit.answered) if (!came.has(id)) missing.push(`no webhook for the customer's ${id}`);
    return missing;
  };
  await untilEvent(hooks, 'attempt', seconds, 'all webhooks', () => owed().length === 0).catch(() => {});
  return owed();
}

/** The phone against the audit: I1, I11. */
async function checkDisplay(platform, audit) {
  const breaches = [];
  const counts = new Map();
  const bodies = new Map();
  let lines = [];
  await untilAsked(SETTLE_SECONDS, 'the inbox', async () => {
    lines = await phoneLines(platform, 'inbox').catch(() => []);
    return lines.length > 0;
  });
  for (const line of lines.filter((l) => l.direction !== 'out' && l.from === platform.env.PARLEY_BUSINESS_NUMBER)) {
    counts.set(line.id, (counts.get(line.id) ?? 0) + 1);
    bodies.set(line.text, (bodies.get(line.text) ?? 0) + 1);
  }
  for (const [id, body] of audit.accepted) {
    if ((counts.get(id) ?? 0) !== 1) breaches.push(`I1 I11 ${id} is shown ${counts.get(id) ?? 0} times`);
    if ((bodies.get(body) ?? 0) !== 1) breaches.push(`I2 I11 "${body}" is shown ${bodies.get(body) ?? 0} times`);
  }
  for (const id of counts.keys()) if (!audit.accepted.has(id)) breaches.push(`${id} was shown and never accepted`);
  return breaches;
}

/** What the webhooks said beside being there: I17, I20, I21. */
function checkHooks(platform, hooks, audit) {
  const breaches = [];
  const byEvent = new Map();
  for (const attempt of hooks.attempts) {
    const id = attempt.headers['x-parley-event-id'];
    if (!isSigned(attempt, platform.env.PARLEY_APP_SECRET)) breaches.push(`I21 event ${id} is not signed`);
    if (byEvent.has(id) && !byEvent.get(id).equals(attempt.body)) breaches.push(`I21 event ${id} changed its bytes`);
    byEvent.set(id, attempt.body);
  }
  const told = new Map();
  for (const event of hooks.events()) {
    const name = event.kind === 'status' ? `${event.id} ${event.status}` : event.id;
    if (told.has(name)) breaches.push(`I17 ${name} was told by two events`);
    told.set(name, event.eventId);
    if (event.kind === 'status' && event.status === 'failed') breaches.push(`${event.id} failed`);
    if (event.kind === 'status' && !audit.accepted.has(event.id)) breaches.push(`I16 a status of ${event.id}, which was never accepted`);
  }
  return breaches;
}

export async function killRun({ messages, kills, answers = 0, seed, settleSeconds = SETTLE_SECONDS, log = () => {}, ...options }) {
  const random = makeRandom(seed);
  const platform = new Platform({ args: ['--policy', 'off', '--log-level', 'trace'], ...options });
  const audit = new Audit();
  let hooks;
  let isClean = false;
  try {
    await platform.start();
    hooks = await new HookServer({ verifyToken: platform.env.PARLEY_VERIFY_TOKEN }).listen();
    const subscribed = await platform.graph.subscribe(hooks.url());
    if (subscribed.status !== 200) throw new Error(`subscription: ${subscribed.raw}`);
    const killer = new Killer(platform, random, { kills });
    const began = Date.now();
    // The load is spread over the kills: piece i may begin when its share of them has happened.
    const pace = (count) => async (i) => {
      while (killer.kills < killer.wanted && i * killer.wanted > count * (killer.kills + 1)) await once(killer, 'kill');
    };
    await Promise.all([
      killer.run(),
      paced(messages, WIDTH, pace(messages), (i) => sendUntilAccepted(platform, audit, bodyOf(i), `key-${i}`)),
      paced(answers, 1, pace(answers), (i) => answerUntilStored(platform, audit, `answer ${i}`)),
    ]);
    await platform.untilReady();
    log(`killed: ${killer.describe()}; accepted ${audit.accepted.size}, repeated ${audit.repeats} calls; `
      + `${[...audit.errors].map(([what, n]) => `${what} ×${n}`).join(', ')}; ${Date.now() - began} ms under load`);
    const breaches = await settle(hooks, audit, settleSeconds);
    breaches.push(...await checkDisplay(platform, audit), ...checkHooks(platform, hooks, audit));
    const keys = checkKeyTrace(['cloud', 'phone'].map((name) => path.join(platform.dir, 'log', `${name}.log`)).filter(fs.existsSync));
    breaches.push(...keys.breaches.map((text) => `I24 ${text}`));
    if (keys.keys < audit.accepted.size) breaches.push(`I24 cannot be judged: ${keys.keys} keys traced`);
    log(`${hooks.attempts.length} webhook attempts, ${keys.published} ciphertexts under ${keys.keys} keys; settled after ${Date.now() - began} ms`);
    isClean = breaches.length === 0;
    return { seed, accepted: audit.accepted.size, answered: audit.answered.length, kills: killer.kills, breaches, explain: isClean ? '' : platform.explain() };
  } finally {
    await platform.dispose(!isClean && process.env.PARLEY_TEST_KEEP === '1');
    await hooks?.close();
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: {
    messages: { type: 'string', default: '2000' }, kills: { type: 'string', default: '50' },
    answers: { type: 'string', default: '60' }, seed: { type: 'string' },
  } });
  const result = await killRun({
    messages: Number(values.messages), kills: Number(values.kills), answers: Number(values.answers),
    seed: values.seed === undefined ? seedOfRun() : Number(values.seed),
    log: (line) => process.stderr.write(`# ${line}\n`),
  });
  const { explain, breaches, ...counts } = result;
  process.stdout.write(`${JSON.stringify({ ...counts, breaches: breaches.length, first: breaches.slice(0, 20) })}\n`);
  process.exitCode = breaches.length === 0 ? 0 : 1;
}
