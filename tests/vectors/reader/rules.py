"""Argument rules, constraints and grants of a payload: docs/formats/capsule.md, Grant and what follows it."""
import addresses
import values
from constraints import Rule, is_integer, is_plain_path
from fields import DAYS_90_MS, MOST, NAME, TEXT

KINDS = ("any", "equals", "one_of", "not_one_of", "at_least", "at_most", "length", "prefix", "suffix", "glob",
         "under", "url", "cidr", "argv", "each", "count", "fields", "all_of", "any_of", "time_of_day")
OPERANDS = {
    "any": (), "equals": ("json",), "one_of": ("jsons",), "not_one_of": ("jsons",), "at_least": ("number",),
    "at_most": ("number",), "length": ("number", "upper"), "prefix": ("text",), "suffix": ("text",), "glob": ("text",),
    "under": ("text",), "url": ("schemes", "hosts", "ports", "text"), "cidr": ("texts",), "argv": ("children",),
    "each": ("children",), "count": ("number", "upper"), "fields": ("rules",), "all_of": ("children",),
    "any_of": ("children",), "time_of_day": ("number", "upper", "offset_s")}
ALL_OPERANDS = sorted({name for names in OPERANDS.values() for name in names})
CHILDREN_MAX = {"argv": 256, "each": 16, "all_of": 16, "any_of": 64}
DEPTH_MAX = 8


def _exact(value):
    if isinstance(value, values.Number):
        return False
    if isinstance(value, (list, dict)):
        return all(_exact(item) for item in (value if isinstance(value, list) else value.values()))
    return True


def _json(fields, name, text):
    try:
        value = values.parse(text.encode(), TEXT)
    except values.Malformed:
        fields.refuse(204, name)
    if values.canonical(value) != text or not _exact(value):
        fields.refuse(204, name)
    return value


def _jsons(fields, kind):
    out = [_json(fields, "jsons", text) for text in fields.texts("jsons", 1024)]
    if not out:
        fields.refuse(203, "jsons")
    if kind == "not_one_of" and not all(isinstance(value, str) or type(value) is bool or is_integer(value) for value in out):
        fields.refuse(204, "jsons")
    return out


def _filled(fields, name, items):
    if not items:
        fields.refuse(203, name)
    return items


def _url(fields):
    schemes = _filled(fields, "schemes", fields.names("schemes", 1024))
    hosts = _filled(fields, "hosts", fields.names("hosts", 1024))
    ports = fields.get("ports") or []
    under = fields.text("text")
    if len(ports) > 1024 or 0 in ports:
        fields.refuse(204, "ports")
    for scheme in schemes:
        if scheme != scheme.lower() or addresses.url(scheme + "://a") is None:
            fields.refuse(204, "schemes")
    if not all(host == host.lower() and addresses.is_host(host) for host in hosts):
        fields.refuse(204, "hosts")
    if not addresses.is_url_path(under) or not is_plain_path(under):
        fields.refuse(204, "text")
    return schemes, hosts, ports, under


def _cidr(fields):
    texts = _filled(fields, "texts", fields.names("texts", 1024))
    if not all(addresses.block(text) for text in texts):
        fields.refuse(204, "texts")
    return texts


def _children(fields, kind, depth):
    return _filled(fields, "children", [constraint(child, depth + 1) for child in fields.each("children", CHILDREN_MAX[kind])])


def _range(fields, least, most):
    lower = fields.number("number", least, most)
    return lower, fields.number("upper", lower, most)


def _time_of_day(fields):
    start, end = fields.number("number", 0, 86_399), fields.number("upper", 0, 86_399)
    if start == end:
        fields.refuse(204, "upper")
    return start, end, fields.number("offset_s", -50_400, 50_400)


def _operand(fields, kind, depth):
    if kind == "equals":
        return _json(fields, "json", fields.text("json"))
    if kind in ("one_of", "not_one_of"):
        return _jsons(fields, kind)
    if kind in ("at_least", "at_most"):
        return fields.number("number", -2**63, MOST)
    if kind in ("length", "count"):
        return _range(fields, 0, MOST)
    if kind in ("prefix", "suffix", "glob", "under"):
        text = fields.text("text")
        if kind == "under" and not is_plain_path(text):
            fields.refuse(204, "text")
        return text
    if kind in CHILDREN_MAX:
        return _children(fields, kind, depth)
    if kind == "fields":
        return _filled(fields, "rules", rules(fields, "rules", depth + 1))
    return {"url": _url, "cidr": _cidr, "time_of_day": _time_of_day, "any": lambda _: None}[kind](fields)


def constraint(fields, depth):
    kind = KINDS[fields.enum("kind", len(KINDS)) - 1]
    if depth > DEPTH_MAX:
        fields.refuse(204, "kind")
    for name in ALL_OPERANDS:
        if name not in OPERANDS[kind] and fields.has(name):
            fields.refuse(204, name)
    return kind, _operand(fields, kind, depth)


def rules(fields, name, depth=1):
    out = []
    for item in fields.each(name, 64):
        rule = Rule(item.text("name", NAME), item.flag("optional"),
                    [constraint(child, depth) for child in item.each("constraints", 16)])
        _filled(item, "constraints", rule.constraints)
        if any(other.name == rule.name for other in out):
            fields.refuse(204, name)
        out.append(rule)
    return out


class Budget:
    def __init__(self, fields):
        self.calls = fields.number("calls", 0, MOST, optional=True)
        self.bytes = fields.number("bytes", 0, MOST, optional=True)
        self.cpu_ms = fields.number("cpu_ms", 0, MOST, optional=True)
        rate, total = fields.maybe_sub("rate"), fields.maybe_sub("sum")
        if rate.table is not None:
            rate.number("count", 1, 1_000_000)
            rate.number("per_ms", 1, DAYS_90_MS)
        self.sum = None
        if total.table is not None:
            self.sum = total.text("argument", NAME)
            total.number("most", 0, MOST)


def cell(fields):
    fields.unenforced("trees", "hosts")
    for name, most in (("output_bytes", 4_194_304), ("memory_bytes", 1_073_741_824), ("processes", 128),
                       ("cpu_s", 3600), ("wall_ms", DAYS_90_MS)):
        fields.number(name, 1, most, optional=True)


def verbs(fields):
    out = _filled(fields, "verbs", fields.get("verbs") or [])
    if not all(1 <= verb <= 8 for verb in out):
        fields.refuse(205, "verbs")
    if len(set(out)) != len(out):
        fields.refuse(204, "verbs")
    return out


class Grant:
    def __init__(self, fields):
        fields.unenforced("action", "approval")
        self.id = fields.text("id", NAME)
        self.tool = fields.text("tool", NAME)
        self.pinned = fields.enum("digest_kind", 3) == 2
        if self.pinned:
            fields.octets("digest", 32)
        elif fields.has("digest"):
            fields.refuse(204, "digest")
        self.verbs = verbs(fields)
        self.args = rules(fields, "args")
        self.budget = Budget(fields.maybe_sub("budget"))
        fields.enum("effect", 3)
        cell(fields.maybe_sub("cell"))
        self.labels, self.refuse_after = fields.names("labels", 32), fields.names("refuse_after", 32)
        self.after = fields.names("after", 32)
        self.secrets = fields.names("secrets", 16)
        self._check(fields)

    def _check(self, fields):
        named = {rule.name: rule for rule in self.args}
        if self.budget.sum is not None and self.budget.sum not in named:
            fields.refuse(204, "budget.sum.argument")
        idempotency = fields.maybe_text("idempotency", NAME)
        if idempotency is not None and (idempotency not in named or named[idempotency].optional):
            fields.refuse(204, "idempotency")
