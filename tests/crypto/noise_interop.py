#!/usr/bin/env python3
"""Our pipe against another implementation of Noise (Debian's python3-dissononce), in both roles.

noise_interop.py PEER: PEER is the noise_peer program. The framing of docs/protocol/transport.md is
written here a second time, on purpose: from that page, not from the C code. Prints TAP.
"""
import subprocess
import sys

try:
    from dissononce.cipher.aesgcm import AESGCMCipher
    from dissononce.dh.private import PrivateKey
    from dissononce.dh.x25519.x25519 import X25519DH
    from dissononce.hash.sha256 import SHA256Hash
    from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
    from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
    from dissononce.processing.impl.cipherstate import CipherState
    from dissononce.processing.impl.handshakestate import HandshakeState
    from dissononce.processing.impl.symmetricstate import SymmetricState
    from dissononce.processing.modifiers.fallback import FallbackPatternModifier
except ImportError:
    print("1..0 # SKIP python3-dissononce is not installed")
    sys.exit(0)

DH = X25519DH()
SERVER = DH.generate_keypair(PrivateKey(b"\x11" * 32))
CLIENT = DH.generate_keypair(PrivateKey(b"\x22" * 32))
OTHER = DH.generate_keypair(PrivateKey(b"\x33" * 32))
XX, IK = 1, 2
AS_ASKED, FALLBACK = 1, 3
PIECE_MAX = 65518
PATTERNS = {XX: XXHandshakePattern(), IK: IKHandshakePattern()}
XXFALLBACK = FallbackPatternModifier().modify(XXHandshakePattern())


def noise():
    return HandshakeState(SymmetricState(CipherState(AESGCMCipher()), SHA256Hash()), DH)


class Wire:
    """Frames over a child's standard input and output."""

    def __init__(self, peer, *args):
        self.child = subprocess.Popen([peer, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def raw(self, n):
        data = self.child.stdout.read(n)
        assert len(data) == n, "the peer ended early"
        return data

    def read(self):
        return self.raw(int.from_bytes(self.raw(3), "big"))

    def write(self, body, before=b""):
        self.child.stdin.write(before + len(body).to_bytes(3, "big") + bytes(body))
        self.child.stdin.flush()

    def end(self):
        self.child.stdin.close()
        status = self.child.wait(timeout=60)
        self.child.stdout.close()
        assert status == 0, "the peer ended with %d" % status


def send(wire, cipher, message):
    pieces = [message[i : i + PIECE_MAX] for i in range(0, len(message), PIECE_MAX)] or [b""]
    for i, piece in enumerate(pieces):
        flag = b"\x01" if i + 1 < len(pieces) else b"\x00"
        wire.write(cipher.encrypt_with_ad(b"", flag + piece))


def receive(wire, cipher):
    message = b""
    while True:
        plain = cipher.decrypt_with_ad(b"", wire.read())
        message += plain[1:]
        if plain[0] == 0:
            return message
        assert plain[0] == 1


def write_message(hs, payload):
    out = bytearray()
    return hs.write_message(payload, out), out


def read_message(hs, message, want):
    payload = bytearray()
    ciphers = hs.read_message(bytes(message), payload)
    assert payload == want, "payload %r" % bytes(payload)
    return ciphers


def be_client(peer, pattern, cached):
    """dissononce as the device, our pipe as the relay."""
    wire = Wire(peer, "server")
    hello = b"PLY1" + bytes([pattern])
    hs = noise()
    hs.initialize(PATTERNS[pattern], True, hello, s=CLIENT, rs=cached.public if cached else None)
    _, first = write_message(hs, b"hint" if pattern == IK else b"")
    wire.write(first, before=hello)
    reply = wire.read()
    if pattern == IK and cached is SERVER:
        assert reply[0] == AS_ASKED
        to_server, from_server = read_message(hs, reply[1:], b"")
    elif pattern == IK:
        assert reply[0] == FALLBACK
        again = noise()
        again.initialize(XXFALLBACK, True, hello, s=CLIENT, e=hs.e)
        read_message(again, reply[1:], b"certificate")
        assert again.rs.data == SERVER.public.data
        (from_server, to_server), last = write_message(again, b"hint")
        wire.write(last)
    else:
        assert reply[0] == AS_ASKED
        read_message(hs, reply[1:], b"certificate")
        assert hs.rs.data == SERVER.public.data
        (to_server, from_server), last = write_message(hs, b"hint")
        wire.write(last)
    for message in (b"", b"hello", bytes(range(256)) * 1000):
        send(wire, to_server, message)
        assert receive(wire, from_server) == message
    wire.end()


def be_server(peer, cached):
    """dissononce as the relay, our pipe as the device."""
    wire = Wire(peer, "client", cached)
    hello = wire.raw(5)
    assert hello == b"PLY1" + bytes([XX if cached == "none" else IK])
    first = wire.read()
    hs = noise()
    if cached == "wrong":
        hs.initialize(XXFALLBACK, False, hello, s=SERVER, re=DH.create_public(first[:32]))
        _, reply = write_message(hs, b"certificate")
        wire.write(bytes([FALLBACK]) + reply)
        to_client, from_client = read_message(hs, wire.read(), b"hint")
    elif cached == "right":
        hs.initialize(PATTERNS[IK], False, hello, s=SERVER)
        read_message(hs, first, b"hint")
        (from_client, to_client), reply = write_message(hs, b"")
        wire.write(bytes([AS_ASKED]) + reply)
    else:
        hs.initialize(PATTERNS[XX], False, hello, s=SERVER)
        read_message(hs, first, b"")
        _, reply = write_message(hs, b"certificate")
        wire.write(bytes([AS_ASKED]) + reply)
        from_client, to_client = read_message(hs, wire.read(), b"hint")
    assert hs.rs.data == CLIENT.public.data
    for _ in range(2):
        send(wire, to_client, receive(wire, from_client))
    wire.end()


CASES = [
    ("our server, XX", lambda peer: be_client(peer, XX, None)),
    ("our server, IK", lambda peer: be_client(peer, IK, SERVER)),
    ("our server, IK with another's key: fallback", lambda peer: be_client(peer, IK, OTHER)),
    ("our client, XX", lambda peer: be_server(peer, "none")),
    ("our client, IK", lambda peer: be_server(peer, "right")),
    ("our client, IK with another's key: fallback", lambda peer: be_server(peer, "wrong")),
]


def main():
    failed = 0
    print("1..%d" % len(CASES))
    for number, (name, case) in enumerate(CASES, 1):
        try:
            case(sys.argv[1])
            print("ok %d - %s" % (number, name))
        except Exception as why:  # any failure of either side is this case's
            failed = 1
            print("not ok %d - %s" % (number, name))
            print("# %s: %s" % (type(why).__name__, why))
        sys.stdout.flush()
    return failed


sys.exit(main())
