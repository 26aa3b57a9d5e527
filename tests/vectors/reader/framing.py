"""The framing of capsules and trust roots, and what their signatures cover."""
import hashlib
import struct

from wire import Refused

FILE_BYTES_MAX = 65_536
SIGNATURE_BYTES_MAX = 1024


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def pae(kind, payload):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class Cursor:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        if size > len(self.data) - self.at:
            raise Refused(201, "file")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, form, size):
        return struct.unpack("<" + form, self.take(size))[0]

    def count(self, least, most):
        count = self.number("B", 1)
        if not least <= count <= most:
            raise Refused(201, "count")
        return count


class Envelope:
    """payload, signatures [(key id, kind, bytes)], head, blocks [(payload, signature, earlier bytes)]."""

    def __init__(self, data, magic):
        if len(data) > FILE_BYTES_MAX:
            raise Refused(200, "size")
        cursor = Cursor(data)
        if cursor.take(4) != magic:
            raise Refused(201, "magic")
        self.payload = cursor.take(cursor.number("I", 4))
        self.signatures = []
        for _ in range(cursor.count(1, 8)):
            key, kind = cursor.take(32), cursor.number("B", 1)
            size = cursor.number("H", 2)
            if size > SIGNATURE_BYTES_MAX or kind == 1 and size != 64:
                raise Refused(201, "signature")
            self.signatures.append((key, kind, cursor.take(size)))
        self.head = data[:cursor.at]
        self.blocks = []
        if magic == b"TPC1":
            count = cursor.count(0, 8)
            start = cursor.at
            for _ in range(count):
                earlier = data[start:cursor.at]
                payload = cursor.take(cursor.number("I", 4))
                self.blocks.append((payload, cursor.take(64), earlier))
        if cursor.at != len(data):
            raise Refused(201, "trailing bytes")
