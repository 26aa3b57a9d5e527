"""Cases of a .vec file: (line number, what is set, VERDICT, REST)."""


def cases(path):
    setting = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if not line.strip():
                setting = {}
            if line.startswith("#") or not line.strip():
                continue
            key, _, value = line.partition(": ")
            if key == "expect":
                verdict, _, rest = value.partition(" ")
                yield number, dict(setting), verdict, rest
            else:
                setting[key] = value
