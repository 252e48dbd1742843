// The official library (Rust, behind its Node package) as a device with stores in memory.
// Versions differ in small things: what saveIdentity answers, and a Kyber store that X3DH never asks.
const PEER = 'peer';

function makeStores(lib, own) {
  const sessions = new Map();
  const known = new Map();
  const key = (address) => `${address.name()}.${address.deviceId()}`;
  class Sessions extends lib.SessionStore {
    async saveSession(address, record) { sessions.set(key(address), record.serialize()); }
    async getSession(address) {
      const bytes = sessions.get(key(address));
      return bytes ? lib.SessionRecord.deserialize(bytes) : null;
    }
    async getExistingSessions() { return []; }
  }
  class Identities extends lib.IdentityKeyStore {
    async getIdentityKey() { return own.identity; }
    async getLocalRegistrationId() { return own.registrationId; }
    async saveIdentity(address, publicKey) {
      known.set(key(address), publicKey);
      return lib.IdentityChange ? lib.IdentityChange.NewOrUnchanged : false;
    }
    async isTrustedIdentity() { return true; }
    async getIdentity(address) { return known.get(key(address)) ?? null; }
  }
  class OneTimes extends lib.PreKeyStore {
    async savePreKey() { throw new Error('not used'); }
    async getPreKey(id) {
      if (id !== own.oneTimeId || !own.oneTime) throw new Error('no such prekey');
      return lib.PreKeyRecord.new(id, own.oneTime.getPublicKey(), own.oneTime);
    }
    async removePreKey() { own.oneTime = null; }
  }
  class SignedPreKeys extends lib.SignedPreKeyStore {
    async saveSignedPreKey() { throw new Error('not used'); }
    async getSignedPreKey(id) {
      if (id !== own.signedId) throw new Error('no such signed prekey');
      return lib.SignedPreKeyRecord.new(id, 1, own.signed.getPublicKey(), own.signed,
        own.signature);
    }
  }
  const stores = [new Sessions(), new Identities(), new OneTimes(), new SignedPreKeys()];
  if (lib.KyberPreKeyStore) {
    class Kyber extends lib.KyberPreKeyStore {
      async saveKyberPreKey() { throw new Error('not used'); }
      async getKyberPreKey() { throw new Error('not used'); }
      async markKyberPreKeyUsed() { throw new Error('not used'); }
    }
    stores.push(new Kyber());
  }
  return stores;
}

export class Rust {
  constructor(lib, registrationId) {
    this.lib = lib;
    const make = () => lib.PrivateKey.generate();
    this.own = { registrationId, identity: make(), signed: make(), signedId: 21, oneTime: make(),
      oneTimeId: 31 };
    this.own.signature = this.own.identity.sign(this.own.signed.getPublicKey().serialize());
    this.stores = makeStores(lib, this.own);
    this.address = lib.ProtocolAddress.new(PEER, 1);
  }

  async bundle({ oneTime }) {
    const { own } = this;
    const bytes = (key) => Buffer.from(key.getPublicKey().serialize());
    return {
      registrationId: own.registrationId, identity: bytes(own.identity),
      signedId: own.signedId, signedKey: bytes(own.signed), signature: Buffer.from(own.signature),
      ...(oneTime && { oneTimeId: own.oneTimeId, oneTimeKey: bytes(own.oneTime) }),
    };
  }

  async start(b) {
    const { lib, stores: [sessions, identities] } = this;
    const key = (bytes) => lib.PublicKey.deserialize(bytes);
    const bundle = lib.PreKeyBundle.new(b.registrationId, 1, b.oneTimeId ?? null,
      b.oneTimeKey ? key(b.oneTimeKey) : null, b.signedId, key(b.signedKey), b.signature,
      key(b.identity));
    await lib.processPreKeyBundle(bundle, this.address, sessions, identities);
  }

  async seal(plain) {
    const [sessions, identities] = this.stores;
    const message = await this.lib.signalEncrypt(plain, this.address, sessions, identities);
    return { type: message.type(), bytes: Buffer.from(message.serialize()) };
  }

  async open({ type, bytes }) {
    const { lib, address, stores } = this;
    const [sessions, identities, ...prekeys] = stores;
    const plain = type === 3
      ? await lib.signalDecryptPreKey(lib.PreKeySignalMessage.deserialize(bytes), address,
        sessions, identities, ...prekeys)
      : await lib.signalDecrypt(lib.SignalMessage.deserialize(bytes), address, sessions,
        identities);
    return Buffer.from(plain);
  }

  async number(ownId, peerKey, peerId) {
    const { lib, own } = this;
    return lib.Fingerprint.new(5200, 1, Buffer.from(ownId), own.identity.getPublicKey(),
      Buffer.from(peerId), lib.PublicKey.deserialize(peerKey)).displayableFingerprint().toString();
  }

  async close() {}
}
