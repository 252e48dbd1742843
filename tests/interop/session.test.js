// Sessions with independent implementations: both roles, with and without a one-time prekey, 200
// messages in random turns, some late and out of order. A failing run is repeated with INTEROP_SEED.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Js } from './lib_js.mjs';
import { Ours } from './lib_ours.mjs';
import { Rust } from './lib_rust.mjs';

const require = createRequire(import.meta.url);
const MESSAGES = 200;
const seed = Number(process.env.INTEROP_SEED ?? Date.now() % 1e9);

const peers = [
  { name: '@signalapp/libsignal-client 0.22.0', version: 0x33,
    make: () => new Rust(require('signal-022'), 101) },
  { name: '@signalapp/libsignal-client 0.72.1', version: 0x34,
    make: () => new Rust(require('signal-072'), 102) },
  // Tries a message on its live sessions, not on copies: after crossing first messages the session
  // that did not fit is spoilt. Crossing is shown with the official library alone.
  { name: 'libsignal 6.0.0', version: 0x33, make: () => new Js(103), spoilsSessions: true },
];

/** Seeded uniform numbers in [0, bound): xorshift over 32 bits. */
function makeRandom(from) {
  let x = (from * 2654435761 + 1) >>> 0 || 1;
  return (bound) => {
    x ^= x << 13; x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5; x >>>= 0;
    return x % bound;
  };
}

const sideOf = (a, b) => (from) => (from === a ? b : a);

/** Our device, ended with the test however the test ends. */
function makeOurs(t) {
  const ours = new Ours(seed);
  t.after(() => ours.close());
  return ours;
}

/** Seals and opens in random order; every plaintext must come out, each exactly once. */
async function converse(a, b, random) {
  const other = sideOf(a, b);
  const underWay = [];
  const deliver = async (index) => {
    const [{ from, sealed, plain }] = underWay.splice(index, 1);
    assert.deepEqual(await other(from).open(sealed), plain);
  };
  const send = async (from, n) => {
    const plain = Buffer.from(`${n}:`.padEnd(2 + random(300), '.'));
    underWay.push({ from, sealed: await from.seal(plain), plain });
  };

  await send(a, 0); // the one who started speaks first, and is heard
  await deliver(0);
  for (let n = 1; n < MESSAGES; n++) {
    await send(random(2) ? a : b, n);
    while (underWay.length > 8 || (underWay.length > 0 && random(3) > 0)) {
      await deliver(random(underWay.length));
    }
  }
  while (underWay.length > 0) await deliver(random(underWay.length));
}

for (const peer of peers) {
  for (const oneTime of [true, false]) {
    for (const weStart of [true, false]) {
      const title = `${peer.name}: ${weStart ? 'we start' : 'it starts'}, `
        + `${oneTime ? 'with' : 'without'} one-time prekey`;
      test(title, async (t) => {
        t.diagnostic(`INTEROP_SEED=${seed}`);
        const ours = makeOurs(t);
        const theirs = peer.make();
        const [a, b] = weStart ? [ours, theirs] : [theirs, ours];
        await a.start(await b.bundle({ oneTime }));
        await converse(a, b, makeRandom(seed));
        assert.equal((await theirs.seal(Buffer.from('x'))).bytes[0], peer.version);
        assert.equal(await ours.close(), 0);
      });
    }
  }

  if (!peer.spoilsSessions) {
    test(`${peer.name}: both start at once`, async (t) => {
      const ours = makeOurs(t);
      const theirs = peer.make();
      await ours.start(await theirs.bundle({ oneTime: true }));
      await theirs.start(await ours.bundle({ oneTime: true }));
      const [fromUs, fromThem] = [await ours.seal(Buffer.from('us')),
        await theirs.seal(Buffer.from('them'))];
      assert.equal((await ours.open(fromThem)).toString(), 'them');
      assert.equal((await theirs.open(fromUs)).toString(), 'us');
      for (let i = 0; i < 5; i++) {
        assert.equal((await theirs.open(await ours.seal(Buffer.from('ping')))).toString(), 'ping');
        assert.equal((await ours.open(await theirs.seal(Buffer.from('pong')))).toString(), 'pong');
      }
      assert.equal((await ours.seal(Buffer.from('x'))).type, 2);
    });
  }

  test(`${peer.name}: a changed byte is refused and the session goes on`, async (t) => {
    const ours = makeOurs(t);
    const theirs = peer.make();
    await theirs.start(await ours.bundle({ oneTime: true }));
    await ours.open(await theirs.seal(Buffer.from('hello')));
    await theirs.open(await ours.seal(Buffer.from('hello')));
    const sealed = await theirs.seal(Buffer.from('whole'));
    const bytes = Buffer.from(sealed.bytes);
    bytes[bytes.length - 12] ^= 1;
    await assert.rejects(ours.open({ ...sealed, bytes }), /auth/);
    assert.equal((await ours.open(sealed)).toString(), 'whole');
    await assert.rejects(ours.open(sealed), /duplicate/);
  });

  if (peer.make().number) {
    test(`${peer.name}: the safety number is the same`, async (t) => {
      const ours = makeOurs(t);
      const theirs = peer.make();
      const [us, them] = ['15557654321', '15550123400'];
      const ourKey = (await ours.bundle({ oneTime: false })).identity;
      const theirKey = (await theirs.bundle({ oneTime: false })).identity;
      assert.equal(await ours.number(us, theirKey, them), await theirs.number(them, ourKey, us));
      });
  }
}
