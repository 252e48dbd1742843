// The JavaScript library that many independent clients use, as a device with stores in memory.
import { createRequire } from 'node:module';

const lib = createRequire(import.meta.url)('libsignal-js');

export class Js {
  constructor(registrationId) {
    const { keyhelper } = lib;
    this.identity = keyhelper.generateIdentityKeyPair();
    this.signed = keyhelper.generateSignedPreKey(this.identity, 41);
    this.oneTime = keyhelper.generatePreKey(51);
    this.registrationId = registrationId;
    this.sessions = new Map();
    const address = new lib.ProtocolAddress('peer', 1);
    this.builder = new lib.SessionBuilder(this.storage(), address);
    this.cipher = new lib.SessionCipher(this.storage(), address);
  }

  storage() {
    return {
      loadSession: async (address) => this.sessions.get(address),
      storeSession: async (address, record) => { this.sessions.set(address, record); },
      isTrustedIdentity: async () => true,
      loadPreKey: async (id) => (id === this.oneTime?.keyId ? this.oneTime.keyPair : undefined),
      removePreKey: async () => { this.oneTime = null; },
      loadSignedPreKey: async (id) => (id === this.signed.keyId ? this.signed.keyPair : undefined),
      getOurIdentity: async () => this.identity,
      getOurRegistrationId: async () => this.registrationId,
    };
  }

  async bundle({ oneTime }) {
    return {
      registrationId: this.registrationId, identity: Buffer.from(this.identity.pubKey),
      signedId: this.signed.keyId, signedKey: Buffer.from(this.signed.keyPair.pubKey),
      signature: Buffer.from(this.signed.signature),
      ...(oneTime && { oneTimeId: this.oneTime.keyId,
        oneTimeKey: Buffer.from(this.oneTime.keyPair.pubKey) }),
    };
  }

  async start(b) {
    await this.builder.initOutgoing({
      registrationId: b.registrationId, identityKey: b.identity,
      signedPreKey: { keyId: b.signedId, publicKey: b.signedKey, signature: b.signature },
      ...(b.oneTimeKey && { preKey: { keyId: b.oneTimeId, publicKey: b.oneTimeKey } }),
    });
  }

  async seal(plain) {
    const { type, body } = await this.cipher.encrypt(plain);
    return { type: type === 3 ? 3 : 2, bytes: Buffer.from(body) };
  }

  async open({ type, bytes }) {
    return Buffer.from(await (type === 3 ? this.cipher.decryptPreKeyWhisperMessage(bytes)
      : this.cipher.decryptWhisperMessage(bytes)));
  }

  async close() {}
}
