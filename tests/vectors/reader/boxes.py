"""libsodium's crypto_box_seal, opened: docs/formats/capsule.md, Secrets. Slow, and not constant in time."""
import hashlib
import struct

P = 2**255 - 19


def x25519(scalar, point):
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in reversed(range(255)):
        if k >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        x3, z3 = pow(d * a + c * b, 2, P), u * pow(d * a - c * b, 2, P) % P
        aa, bb = a * a % P, b * b % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if k >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def _rounds(words):
    x = list(words)
    for _ in range(10):
        for base, step in ((0, 4), (0, 1)):  # columns, then rows
            for i in range(4):
                # The four places of this quarter round begin on the diagonal.
                at = [(5 * i + step * n) % 16 if step == 4 else 4 * i + (i + n) % 4 for n in range(4)]
                a, b, c, d = at
                x[b] ^= _left(x[a] + x[d], 7)
                x[c] ^= _left(x[b] + x[a], 9)
                x[d] ^= _left(x[c] + x[b], 13)
                x[a] ^= _left(x[d] + x[c], 18)
    return x


def _left(value, count):
    value &= 0xffffffff
    return (value << count | value >> 32 - count) & 0xffffffff


def _block(key, middle):
    c, k, n = (struct.unpack("<%dI" % (len(data) // 4), data) for data in (b"expand 32-byte k", key, middle))
    return [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]


def hsalsa20(key, middle):
    x = _rounds(_block(key, middle))
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def _stream(key, nonce, size):
    out = b""
    while len(out) < size:
        words = _block(key, nonce + struct.pack("<Q", len(out) // 64))
        mixed = zip(words, _rounds(words))
        out += struct.pack("<16I", *((a + b) & 0xffffffff for a, b in mixed))
    return out[:size]


def _poly1305(key, data):
    r, s = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff, int.from_bytes(key[16:], "little")
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at:at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + s) & (2**128 - 1)).to_bytes(16, "little")


def open_sealed(secret_key, box):
    """The plaintext; None: it is not sealed to this key."""
    if len(box) < 48:
        return None
    public, tag, sealed = box[:32], box[32:48], box[48:]
    own = x25519(secret_key, (9).to_bytes(32, "little"))
    nonce = hashlib.blake2b(public + own, digest_size=24).digest()
    shared = x25519(secret_key, public)
    if shared == bytes(32):
        return None
    key = hsalsa20(hsalsa20(shared, bytes(16)), nonce[:16])
    stream = _stream(key, nonce[16:], 32 + len(sealed))
    if _poly1305(stream[:32], sealed) != tag:
        return None
    return bytes(a ^ b for a, b in zip(sealed, stream[32:]))
