"""Addresses, blocks and URLs as docs/formats/capsule.md writes them."""
import ipaddress
import re
import string

OWN_PORTS = {"ftp": 21, "http": 80, "https": 443, "ws": 80, "wss": 443}
PATH_BYTES = set((string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/%").encode())
QUERY_BYTES = PATH_BYTES | {ord("?")}
ENCODED_NEVER = set((string.ascii_letters + string.digits + "-._~/\\%;?#").encode()) | set(range(0x20)) | {0x7F}
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _groups_text(groups):
    """RFC 5952: the longest run of at least two zero groups, the first of equals, is '::'."""
    best, length, at = 0, 1, 0
    while at < 8:
        end = at
        while end < 8 and groups[end] == 0:
            end += 1
        if end - at > length:
            best, length = at, end - at
        at = max(end, at + 1)
    words = [f"{group:x}" for group in groups]
    if length == 1:
        return ":".join(words)
    return ":".join(words[:best]) + "::" + ":".join(words[best + length:])


def address(text):
    """(bits of the family, number), or None."""
    if re.fullmatch(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}", text, re.ASCII):
        parts = [int(part) for part in text.split(".")]
        return (32, int.from_bytes(bytes(parts), "big")) if max(parts) <= 255 else None
    if not re.fullmatch(r"[0-9a-f:]+", text, re.ASCII) or ":" not in text:
        return None
    try:
        number = int(ipaddress.IPv6Address(text))
    except ValueError:
        return None
    if _groups_text([number >> 16 * (7 - i) & 0xFFFF for i in range(8)]) != text:
        return None
    carries = number >> 32 == 0xFFFF or (number >> 32 == 0 and number >> 16 != 0)
    return None if carries else (128, number)


def block(text):
    """(bits of the family, bits of the prefix, number), or None."""
    match = re.fullmatch(r"([^/]+)/(0|[1-9][0-9]{0,2})", text, re.ASCII)
    found = address(match.group(1)) if match else None
    if found is None or int(match.group(2)) > found[0]:
        return None
    bits = int(match.group(2))
    if found[1] & ((1 << (found[0] - bits)) - 1):
        return None
    return found[0], bits, found[1]


def in_block(found, of):
    return found[0] == of[0] and found[1] >> (of[0] - of[1]) == of[2] >> (of[0] - of[1])


def is_host(text):
    """In lower case."""
    if text.startswith("["):
        found = address(text[1:-1]) if text.endswith("]") else None
        return found is not None and found[0] == 128
    found = address(text)
    if found is not None:
        return found[0] == 32
    labels = text.split(".")
    return (0 < len(text) <= 253 and text.isascii() and all(LABEL.fullmatch(label) for label in labels)
            and "a" <= labels[-1][0] <= "z")


def is_url_path(text):
    if not text.startswith("/") or not text.isascii():
        return False
    decoded, at, raw = bytearray(), 0, text.encode()
    while at < len(raw):
        if raw[at] not in PATH_BYTES:
            return False
        if raw[at] != ord("%"):
            decoded.append(raw[at])
            at += 1
            continue
        if not re.fullmatch(rb"[0-9a-fA-F]{2}", raw[at + 1:at + 3]):
            return False
        decoded.append(int(raw[at + 1:at + 3], 16))
        if decoded[-1] in ENCODED_NEVER:
            return False
        at += 3
    try:
        decoded.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    segments = text[1:].split("/")
    for index, segment in enumerate(segments):
        if segment == "" and index != len(segments) - 1:
            return False
        if segment in (".", "..") or (";" in segment and segment.split(";")[0] in ("", ".", "..")):
            return False
    return True


def _is_query(text):
    raw = text.encode()
    return (text.isascii() and all(byte in QUERY_BYTES for byte in raw)
            and not re.search(rb"%(?![0-9a-fA-F]{2})", raw))


def url(text):
    """(scheme, host, port or None, path), or None."""
    if not text.isascii():
        return None
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://(\[[^\]/?]*\]|[^:/?\[\]]*)(?::([^/?]*))?(/[^?]*)?(\?.*)?", text, re.S)
    if match is None:
        return None
    scheme, host, port, path, query = match.groups()
    if query is not None and (path is None or not _is_query(query[1:])):
        return None
    scheme, host = scheme.lower(), host.lower()
    if not is_host(host) or not is_url_path(path or "/"):
        return None
    if port is None:
        return scheme, host, OWN_PORTS.get(scheme), path or "/"
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port, re.ASCII) or int(port) > 65_535:
        return None
    return scheme, host, int(port), path or "/"
