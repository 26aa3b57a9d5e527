"""Reading a table's fields by the rules of the formats: absence is seen, ranges hold."""
from wire import Refused

TEXT, NAME = 4096, 256
TIME_MAX = 253_402_300_799
DAYS_90_MS = 7_776_000_000
MOST = 2**63 - 1


class Fields:
    """A table, or None where an optional one is absent: then every field of it is."""

    def __init__(self, table, where=""):
        self.table = table
        self.where = where
        if table is not None and table.longer:
            raise Refused(205, where)

    def path(self, name):
        return f"{self.where}.{name}" if self.where else name

    def refuse(self, number, name):
        raise Refused(number, self.path(name))

    def get(self, name):
        return self.table.fields.get(name) if self.table is not None else None

    def has(self, name):
        return self.get(name) is not None

    def unenforced(self, *names):
        for name in names:
            if self.has(name):
                self.refuse(206, name)

    def required(self, name):
        value = self.get(name)
        if value is None:
            self.refuse(203, name)
        return value

    def number(self, name, least, most, optional=False):
        value = self.get(name) if optional else self.required(name)
        if value is not None and not least <= value <= most:
            self.refuse(204, name)
        return value

    def flag(self, name):
        return bool(self.number(name, 0, 1))

    def enum(self, name, last):
        value = self.required(name)
        if not 1 <= value <= last:
            self.refuse(205, name)
        return value

    def octets(self, name, size):
        value = bytes(self.required(name))
        if len(value) != size:
            self.refuse(204, name)
        return value

    def _text(self, name, data, most):
        if not data:
            self.refuse(203, name)
        if len(data) > most:
            self.refuse(204, name)
        try:
            return data.decode("utf-8", "strict")
        except UnicodeDecodeError:
            self.refuse(204, name)

    def text(self, name, most=TEXT):
        return self._text(name, self.required(name), most)

    def maybe_text(self, name, most=TEXT):
        return self._text(name, self.get(name), most) if self.has(name) else None

    def texts(self, name, count_max, most=TEXT):
        items = self.get(name) or []
        if len(items) > count_max:
            self.refuse(204, name)
        return [self._text(name, item, most) for item in items]

    def names(self, name, count_max):
        out = self.texts(name, count_max, NAME)
        if len(set(out)) != len(out):
            self.refuse(204, name)
        return out

    def sub(self, name):
        return Fields(self.required(name), self.path(name))

    def maybe_sub(self, name):
        return Fields(self.get(name), self.path(name))

    def each(self, name, count_max):
        items = self.get(name) or []
        if len(items) > count_max:
            self.refuse(204, name)
        for index, item in enumerate(items):
            yield Fields(item, f"{self.path(name)}[{index}]")
