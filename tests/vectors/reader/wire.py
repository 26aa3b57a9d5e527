"""FlatBuffers payloads, read as strictly as docs/formats/capsule.md demands.

`read` verifies by the schema first (E202), then turns the payload into nested `Table`s: only fields that are
there, each byte owned once. What the fields mean is for capsule.py and root.py.
"""
import re
import struct

DEPTH_MAX = 16
TABLES_MAX = 4096
SCALARS = {"bool": ("B", 1), "ubyte": ("B", 1), "ushort": ("H", 2), "int": ("i", 4), "uint": ("I", 4),
           "long": ("q", 8), "ulong": ("Q", 8)}


class Refused(Exception):
    """`number` is that of docs/ERRORS.md."""

    def __init__(self, number, field):
        super().__init__(f"E{number} {field}")
        self.number = number
        self.field = field


class Schema:
    """Tables {name: [(field, type)]} and enums {name: last value} of a .fbs file."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"//.*", "", file.read())
        self.identifier = re.search(r'file_identifier "(....)"', text).group(1).encode()
        self.enums = {}
        for name, body in re.findall(r"enum (\w+) : ubyte \{(.*?)\}", text, re.S):
            self.enums[name] = max(int(value) for value in re.findall(r"= (\d+)", body))
        self.tables = {}
        for name, body in re.findall(r"table (\w+) \{(.*?)\}", text, re.S):
            self.tables[name] = re.findall(r"(\w+): (\[?\w+\]?)", body)

    def scalar(self, kind):
        return SCALARS["ubyte"] if kind in self.enums else SCALARS.get(kind)


class Table:
    def __init__(self, kind):
        self.kind = kind
        self.fields = {}
        self.longer = False  # than the schema knows


class Reader:
    def __init__(self, schema, data):
        self.schema = schema
        self.data = data
        self.owned = bytearray(len(data))  # 1 a field, 2 a vtable
        self.twice = False
        self.tables = 0

    def broken(self):
        raise Refused(202, "payload")

    def need(self, at, size, alignment=1):
        if at < 0 or size < 0 or at + size > len(self.data) or at % alignment:
            self.broken()

    def number(self, at, form, size):
        self.need(at, size, size)
        return struct.unpack_from("<" + form, self.data, at)[0]

    def own(self, at, size, mark=1):
        for i in range(at, at + size):
            if self.owned[i] and not (mark == 2 and self.owned[i] == 2):
                self.twice = True
            self.owned[i] = mark

    def offset(self, at):
        distance = self.number(at, "I", 4)
        if distance == 0 or distance >= 2**31 or at + distance >= len(self.data):
            self.broken()
        return at + distance

    def vector(self, at, item_size):
        count = self.number(at, "I", 4)
        if count >= (2**31 - 1) // item_size:
            self.broken()
        self.need(at + 4, count * item_size)
        return count

    def string(self, at):
        size = self.vector(at, 1)
        self.need(at + 4 + size, 1)
        if self.data[at + 4 + size] != 0:
            self.broken()
        self.own(at, 4 + size + 1)
        return bytes(self.data[at + 4:at + 4 + size])

    def table(self, at, kind, depth):
        self.tables += 1
        if depth > DEPTH_MAX or self.tables > TABLES_MAX:
            self.broken()
        vtable = at - self.number(at, "i", 4)
        self.need(vtable, 4, 2)
        size = self.number(vtable, "H", 2)
        if size % 2:
            self.broken()
        self.need(vtable, size)
        fields = self.schema.tables[kind]
        out = Table(kind)
        out.longer = size > 4 + 2 * len(fields)
        self.own(vtable, size, 2)
        self.own(at, 4)
        for index, (name, of) in enumerate(fields):
            slot = vtable + 4 + 2 * index
            place = self.number(slot, "H", 2) if slot + 2 <= vtable + size else 0
            if place:
                out.fields[name] = self.field(at + place, of, depth)
        return out

    def field(self, at, of, depth):
        scalar = self.schema.scalar(of)
        if scalar:
            value = self.number(at, *scalar)
            self.own(at, scalar[1])
            return value
        target = self.offset(at)
        self.own(at, 4)
        if of == "string":
            return self.string(target)
        if not of.startswith("["):
            return self.table(target, of, depth + 1)
        return self.list(target, of[1:-1], depth)

    def list(self, at, of, depth):
        scalar = self.schema.scalar(of)
        if scalar:
            count = self.vector(at, scalar[1])
            self.own(at, 4 + count * scalar[1])
            return [struct.unpack_from("<" + scalar[0], self.data, at + 4 + i * scalar[1])[0] for i in range(count)]
        count = self.vector(at, 4)
        self.own(at, 4 + 4 * count)
        items = [self.offset(at + 4 + 4 * i) for i in range(count)]
        if of == "string":
            return [self.string(item) for item in items]
        return [self.table(item, of, depth + 1) for item in items]

    def slack(self):
        """A byte twice owned, or owned by nobody and no padding."""
        gap = 0
        for byte, owner in zip(self.data, self.owned):
            gap = 0 if owner else gap + 1
            if gap > 7 or (not owner and byte):
                return True
        return self.twice


def read(schema, root, data):
    """(the root table, whether bytes are shared or left over). Raises Refused(202)."""
    reader = Reader(schema, data)
    reader.need(0, 8)
    if data[4:8] != schema.identifier:
        reader.broken()
    reader.own(0, 8)
    # The root's own offset may not name the bytes before it.
    return reader.table(reader.offset(0), root, 1), reader.slack()
