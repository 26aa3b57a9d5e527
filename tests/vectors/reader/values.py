"""Arguments: the strict reading of JSON and its canonical form (docs/formats/capsule.md, Arguments).

Python values stand for JSON's: None, bool, int (exact, 64 bits), Number (any other number), str, list, dict.
"""
import re

ARGUMENT_BYTES_MAX = 1_048_576
DEPTH_MAX = 32
NODES_MAX = 100_000
NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"-?[0-9]+")
WORDS = {b"null": None, b"true": True, b"false": False}
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Malformed(Exception):
    pass


class Number:
    """A number that is not an exact 64-bit integer: it keeps its source text."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Number) and other.text == self.text

    def __hash__(self):
        return hash(self.text)


def same(a, b):
    """Same type, exact; objects regardless of the order of their keys."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


class Parser:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.nodes = 0

    def fail(self):
        raise Malformed(f"byte {self.at}")

    def space(self):
        while self.at < len(self.data) and self.data[self.at] in b" \t\r\n":
            self.at += 1

    def take(self, byte):
        self.space()
        if self.data[self.at:self.at + 1] != byte:
            return False
        self.at += 1
        return True

    def value(self, depth):
        self.nodes += 1
        if self.nodes > NODES_MAX:
            self.fail()
        self.space()
        head = self.data[self.at:self.at + 1]
        if head in (b"{", b"["):
            if depth == DEPTH_MAX:
                self.fail()
            return self.object(depth + 1) if head == b"{" else self.array(depth + 1)
        if head == b'"':
            return self.string()
        for word, value in WORDS.items():
            if self.data.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def number(self):
        match = NUMBER.match(self.data, self.at)
        if match is None:
            self.fail()
        self.at = match.end()
        text = match.group().decode()
        if WHOLE.fullmatch(text) and text != "-0" and len(text) <= 20:
            if -2**63 <= int(text) < 2**63:
                return int(text)
        return Number(text)

    def string(self):
        self.at += 1
        out = []
        while True:
            start = self.at
            while self.at < len(self.data) and self.data[self.at] not in b'"\\' and self.data[self.at] >= 0x20:
                self.at += 1
            try:
                out.append(self.data[start:self.at].decode("utf-8", "strict"))
            except UnicodeDecodeError:
                self.fail()
            byte = self.data[self.at:self.at + 1]
            self.at += 1
            if byte == b'"':
                return "".join(out)
            if byte != b"\\":
                self.fail()
            out.append(self.escape())

    def escape(self):
        letter = self.data[self.at:self.at + 1].decode("latin-1")
        self.at += 1
        if letter in ESCAPES and letter:
            return ESCAPES[letter]
        if letter != "u":
            self.fail()
        unit = self.unit()
        if 0xDC00 <= unit < 0xE000:
            self.fail()
        if 0xD800 <= unit < 0xDC00:
            if self.data[self.at:self.at + 2] != b"\\u":
                self.fail()
            self.at += 2
            low = self.unit()
            if not 0xDC00 <= low < 0xE000:
                self.fail()
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
        return chr(unit)

    def unit(self):
        text = self.data[self.at:self.at + 4]
        if re.fullmatch(rb"[0-9a-fA-F]{4}", text) is None:
            self.fail()
        self.at += 4
        return int(text, 16)

    def array(self, depth):
        self.at += 1
        out = []
        if self.take(b"]"):
            return out
        while True:
            out.append(self.value(depth))
            if self.take(b"]"):
                return out
            if not self.take(b","):
                self.fail()

    def object(self, depth):
        self.at += 1
        out = {}
        if self.take(b"}"):
            return out
        while True:
            self.space()
            if self.data[self.at:self.at + 1] != b'"':
                self.fail()
            key = self.string()
            if key in out or not self.take(b":"):
                self.fail()
            out[key] = self.value(depth)
            if self.take(b"}"):
                return out
            if not self.take(b","):
                self.fail()


def parse(data, size_max=ARGUMENT_BYTES_MAX):
    """One JSON value from bytes. Raises Malformed."""
    if len(data) > size_max:
        raise Malformed("size")
    parser = Parser(data)
    value = parser.value(0)
    parser.space()
    if parser.at != len(data):
        parser.fail()
    return value


def _quoted(text):
    return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 else c) for c in text) + '"'


def canonical(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Number):
        return value.text
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    members = sorted(value.items(), key=lambda member: member[0].encode())
    return "{" + ",".join(_quoted(key) + ":" + canonical(item) for key, item in members) + "}"
