"""One signature over a statement: docs/formats/capsule.md, Framing and SSH signatures."""
import hashlib
import struct

import ed25519
from framing import pae
from wire import Refused

NO_DEVICE, TOUCHED, VERIFIED = 0, 1, 2
KEY_TYPES = {2: b"ssh-ed25519", 3: b"sk-ssh-ed25519@openssh.com"}
APPLICATION = b"ssh:"


def _string(data):
    return struct.pack(">I", len(data)) + data


def _wrong():
    raise Refused(300, "signatures")


def _blob(kind, key, namespace, signature, tail):
    """The one form of an SSHSIG blob with these free parts."""
    public = _string(KEY_TYPES[kind]) + _string(key) + (_string(APPLICATION) if kind == 3 else b"")
    inner = _string(KEY_TYPES[kind]) + _string(signature) + tail
    return (b"SSHSIG" + struct.pack(">I", 1) + _string(public) + _string(namespace) + _string(b"")
            + _string(b"sha512") + _string(inner))


def check(kind, key, device, namespace, payload, data):
    """Raises Refused(300) or Refused(314) unless `data` counts as a signature of `key`."""
    if (kind == 3) != (device != NO_DEVICE):
        _wrong()
    message = pae(namespace, payload)
    if kind == 1:
        if not ed25519.verify(key, message, data):
            _wrong()
        return
    tail_size = 5 if kind == 3 else 0
    if len(data) < 64 + tail_size:
        _wrong()
    end = len(data) - tail_size
    signature, tail = data[end - 64:end], data[end:]
    if data != _blob(kind, key, namespace, signature, tail):
        _wrong()
    signed = (b"SSHSIG" + _string(namespace) + _string(b"") + _string(b"sha512")
              + _string(hashlib.sha512(message).digest()))
    if kind == 3:
        signed = hashlib.sha256(APPLICATION).digest() + tail + hashlib.sha256(signed).digest()
    if not ed25519.verify(key, signed, signature):
        _wrong()
    if kind == 3 and not tail[0] & 1 or device == VERIFIED and not tail[0] & 4:
        raise Refused(314, "signatures")
