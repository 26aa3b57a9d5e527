"""What lies in a sealed box and binds it to its capsule: docs/formats/capsule.md, Secrets."""
import struct

import boxes

VALUE_BYTES_MAX = 8192


def _text(data):
    return struct.pack("<I", len(data)) + data


def _parts(payload, name):
    grants = [grant.id.encode() for grant in payload.grants if name in grant.secrets]
    return (("version", _text(b"taper secret v1")), ("fleet", payload.fleet), ("issuer", payload.issuer),
            ("serial", struct.pack("<Q", payload.serial)), ("node", payload.node), ("name", _text(name.encode())),
            ("grants", struct.pack("<I", len(grants)) + b"".join(map(_text, grants))),
            ("destinations", struct.pack("<I", 0)), ("not_after_s", struct.pack("<q", payload.not_after_s)))


def open_secret(payload, name, secret_key):
    """The value and None, or None and the part that is at fault."""
    plain = boxes.open_sealed(secret_key, payload.boxes[name])
    if plain is None:
        return None, "box"
    at = 0
    for part, expected in _parts(payload, name):
        if plain[at:at + len(expected)] != expected:
            return None, part
        at += len(expected)
    value = plain[at + 4:]
    if plain[at:at + 4] != struct.pack("<I", len(value)) or not 1 <= len(value) <= VALUE_BYTES_MAX:
        return None, "value"
    return value, None
