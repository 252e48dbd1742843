// Our device: the program interop-peer behind a line protocol (peer.c says which).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import path from 'node:path';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const build = process.env.PARLEY_BUILD ?? process.env.PARLEY_BUILD_DIR
  ?? path.join(here, '../../build/debug');

export class Ours {
  constructor(seed) {
    this.child = spawn(path.join(build, 'tests/interop/interop-peer'), [String(seed)],
      { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    this.child.once('error', (error) => this.fail(error));
    this.child.once('exit', () => this.fail(new Error('interop-peer ended')));
    createInterface({ input: this.child.stdout })
      .on('line', (line) => this.waiting.shift()?.resolve(line));
  }

  fail(error) {
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  async ask(...words) {
    const answer = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.child.stdin.write(`${words.join(' ')}\n`);
    const [state, ...rest] = (await answer).split(' ');
    if (state !== 'OK') throw new Error(rest[0]);
    return rest;
  }

  async bundle({ oneTime }) {
    const [registrationId, identity, signedId, signedKey, signature, oneTimeId, oneTimeKey] =
      await this.ask('BUNDLE', oneTime ? '0' : '-');
    const bytes = (hex) => Buffer.from(hex, 'hex');
    return {
      registrationId: Number(registrationId), identity: bytes(identity),
      signedId: Number(signedId), signedKey: bytes(signedKey), signature: bytes(signature),
      ...(oneTimeId && { oneTimeId: Number(oneTimeId), oneTimeKey: bytes(oneTimeKey) }),
    };
  }

  async start(b) {
    await this.ask('START', b.registrationId, b.identity.toString('hex'), b.signedId,
      b.signedKey.toString('hex'), b.signature.toString('hex'),
      ...(b.oneTimeKey ? [b.oneTimeId, b.oneTimeKey.toString('hex')] : []));
  }

  async seal(plain) {
    const [type, cipher] = await this.ask('SEAL', plain.toString('hex'));
    return { type: Number(type), bytes: Buffer.from(cipher, 'hex') };
  }

  async open({ type, bytes }) {
    const [plain] = await this.ask('OPEN', type, bytes.toString('hex'));
    return Buffer.from(plain ?? '', 'hex');
  }

  async number(ownId, peerKey, peerId) {
    return (await this.ask('NUMBER', ownId, peerKey.toString('hex'), peerId))[0];
  }

  /** The program's exit code: 0 unless a sanitizer had something to say. */
  close() {
    this.child.stdin.end();
    return new Promise((resolve) => {
      if (this.child.exitCode !== null) resolve(this.child.exitCode);
      else this.child.once('exit', resolve);
    });
  }
}
