#!/usr/bin/env python3
"""House rules as a program: layers, sizes, banned calls, the await rule, contracts, trusted lines.

usage: tools/lint/lint.py [--self-test] [ROOT]

Prints one line a finding, `file:line: rule: what; instead: …`, and exits 1 when there is any. Findings
listed in tools/lint/exceptions.txt (`file: rule`) are let pass; an entry that no longer matches is a
finding itself, so the list can only shrink.
"""
import re
import sys
from pathlib import Path

# What a folder may include, by direct #include. The order is the order of the drawing.
EDGES = {
    "runtime/base": [],
    "crypto": ["runtime/base"],
    "capsules": ["crypto", "runtime/base"],
    "capsules/author": ["capsules", "crypto", "runtime/base"],
    "store": ["crypto", "runtime/base"],
    "store/auditor": ["store", "crypto", "runtime/base"],
    "runtime/authority": ["capsules", "store", "crypto", "runtime/base"],
    "runtime/sandbox": ["runtime/base", "crypto", "runtime/authority/permit.h"],
    "runtime/broker": ["runtime/authority", "runtime/sandbox", "store", "runtime/base"],
    "runtime/edge": ["runtime/base", "runtime/broker/messages"],
    "runtime/upstream": ["runtime/base", "runtime/sandbox/builtin/message.h", "runtime/edge/mcp/json.h",
                         "runtime/edge/mcp/version.h"],
    "runtime/main": ["runtime/sandbox", "runtime/broker", "runtime/upstream", "runtime/base", "crypto/crypto.h"],
    "tools": ["capsules", "capsules/author", "crypto", "runtime/base", "runtime/broker/embedded.h",
              "runtime/broker/session_client.h", "runtime/broker/session_messages.h", "runtime/broker/frames.h",
              "runtime/broker/control_client.h", "runtime/edge", "runtime/sandbox/probe.h", "store/audit_verify.h",
              "store/auditor"],
}
TRUSTED = ["runtime/base", "crypto", "capsules", "store", "runtime/authority", "runtime/sandbox"]
TRUSTED_LINES_MAX = 18300
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100
README_LINES_MAX = 15
# Foreign headers and the folders that own them.
FOREIGN = {
    r"lmdb\.h": ["store"],
    r"flatbuffers/|_generated\.h": ["capsules", "capsules/author", "runtime/broker"],
    r"boost/": ["capsules/author", "runtime/broker", "runtime/edge", "runtime/upstream", "tools", "cmake"],
    r"toml\+\+/|toml\.hpp": ["capsules/author", "runtime/broker", "tools"],
    r"spdlog/": ["runtime/broker"],
    r"sodium": ["crypto"],
    r"CLI/": ["tools"],
}
# Pattern, what to use instead, folders it applies to (all when empty), files it is allowed in.
BANNED = [
    (r"(?<![\w:.>])(?:std::)?(?:system|popen)\s*\(", "posix_spawn with an argv", [], []),
    (r"\b(?:strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(", "std::string or snprintf", [], []),
    (r"\b(?:atoi|atol|atoll|strtol|strtoul|strtoll|strtoull|std::sto[a-z]+)\s*\(", "std::from_chars", [], []),
    (r"(?<![\w:.>])(?:std::)?s?rand\s*\(|\brandombytes|\bgetrandom\s*\(", "crypto::random_bytes", [], ["crypto/crypto.cc"]),
    (r"\bstd::regex\b", "a parser of its own, or a glob", [], []),
    (r"\balloca\s*\(|\b(?:set|long)jmp\s*\(", "a Result", [], []),
    (r"_clock::now\s*\(|\btime\s*\(\s*(?:NULL|nullptr|0)\s*\)|\bgettimeofday\s*\(", "taper::Clock", [], []),
    (r"\bclock_gettime\s*\(", "taper::Clock", [], ["runtime/base/clock.cc"]),
    (r"\bstd::(?:jthread|thread|async|mutex)\b", "one thread, one owner", TRUSTED + ["runtime/broker"], []),
    (r"\bco_(?:await|return|yield)\b|\basio\b", "a synchronous function", TRUSTED, []),
    (r"\bstd::(?:cerr|cout|clog)\b|\bspdlog\b|(?<!\w)(?:std::)?f?printf\s*\(", "return a fact; callers log", TRUSTED,
     ["runtime/base/assert.cc"]),
    (r"\bdetached\b", "a named owner of the coroutine", ["runtime", "tools"], []),
    (r"\bconst_cast\s*<", "a const-correct interface", [], []),
    (r"\bassert\s*\(", "TAPER_ASSERT", [], []),
    (r"\bthrow\b(?!\))", "a Result", TRUSTED + ["runtime/broker"], []),
]
# A co_await stands alone in its statement, bound to a named local, discarded, or returned.
AWAIT_GOOD = re.compile(r"^\s*(?:(?:const\s+)?[\w:<>,\s*&]+\s+(?:\w+|\[[\w,\s]+\])\s*=\s*|co_return\s+|\w+\s*=\s*|CO_TRY\(.*,\s*)?co_await\b[^?{]*$")
FUNCTION_START = re.compile(r"^(\s{0,2})(?![\s:]|namespace|class|struct|enum|union|extern|#|//|if|for|while|switch|else|do|return|\}|case|catch)"
                            r"\S.*\)\s*(?:const\s*)?(?:noexcept\s*)?(?:override\s*)?(?:final\s*)?(?:->\s*[\w:<>]+\s*)?\{$")


def folder_of(path):
    """The deepest listed folder that holds the file; empty when none does."""
    best = ""
    for folder in EDGES:
        if path.startswith(folder + "/") and len(folder) > len(best):
            best = folder
    return best


def strip_comments(text):
    """The text with comments and string contents blanked, line by line as before."""
    out, i, state = [], 0, ""
    while i < len(text):
        two = text[i:i + 2]
        c = text[i]
        if state == "":
            if two == "//":
                state = "line"
            elif two == "/*":
                state = "block"
            elif c == '"' and not text[max(0, i - 1):i] == "R":
                state = "string"
                out.append(c)
                i += 1
                continue
            elif two == 'R"':
                end = text.find(")" + text[i + 2:text.index("(", i)] + '"', i)
                end = len(text) if end < 0 else end
                out.append("".join("\n" if x == "\n" else " " for x in text[i:end]))
                i = end
                state = ""
                i += 0
                # past the closing quote
                close = text.find('"', i)
                i = len(text) if close < 0 else close + 1
                continue
        if state == "line" and c == "\n":
            state = ""
        elif state == "block" and two == "*/":
            state = ""
            out.append("  ")
            i += 2
            continue
        elif state == "string":
            if c == "\\":
                out.append("  ")
                i += 2
                continue
            if c == '"' or c == "\n":
                state = ""
                out.append(c)
                i += 1
                continue
        out.append(c if state == "" or c == "\n" else " ")
        i += 1
    return "".join(out)


class Lint:
    def __init__(self, files):
        self.files = files          # relative path → text
        self.findings = []          # (path, line, rule, text)
        self.code = {p: strip_comments(t) for p, t in files.items() if p.endswith((".cc", ".h"))}

    def add(self, path, line, rule, text):
        self.findings.append((path, line, rule, text))

    def sources(self):
        return [p for p in self.code if folder_of(p)]

    def layers(self):
        for path in self.sources():
            folder = folder_of(path)
            for number, line in enumerate(self.files[path].splitlines(), 1):
                found = re.match(r'\s*#include "([^"]+)"', line)
                if not found or found[1].endswith(("_generated.h", ".def")):
                    continue
                target = folder_of(found[1])
                if not target:
                    self.add(path, number, "layers", f'"{found[1]}" is in no folder; instead: the path from the top')
                    continue
                # An edge names a folder, or the beginning of a file's path.
                allowed = target == folder or any(
                    target == edge if edge in EDGES else found[1].startswith(edge)
                    for edge in EDGES[folder])
                if not allowed:
                    self.add(path, number, "layers",
                             f"{folder} may not include {found[1]}; instead: one of {', '.join(EDGES[folder]) or 'nothing'}")

    def foreign(self):
        included_by = {}
        for path in self.sources():
            for found in re.finditer(r'#include "([^"]+)"', self.files[path]):
                included_by.setdefault(found[1], set()).add(folder_of(path))
        for path in self.sources():
            for number, line in enumerate(self.files[path].splitlines(), 1):
                found = re.match(r'\s*#include [<"]([^>"]+)[>"]', line)
                if not found:
                    continue
                for pattern, owners in FOREIGN.items():
                    if not re.match(pattern, found[1]) and not (pattern.startswith("flat") and found[1].endswith("_generated.h")):
                        continue
                    if folder_of(path) not in owners:
                        self.add(path, number, "foreign", f"{found[1]} belongs to {', '.join(owners)}; instead: their public headers")
                    elif path.endswith(".h") and included_by.get(path, set()) - {folder_of(path)}:
                        self.add(path, number, "foreign", f"{found[1]} in a public header; instead: include it in the .cc")

    def banned(self):
        for path in self.sources():
            for number, line in enumerate(self.code[path].splitlines(), 1):
                for pattern, instead, folders, allowed in BANNED:
                    if path in allowed or (folders and not any(path.startswith(f + "/") for f in folders)):
                        continue
                    if path.startswith("capsules/author/") and folders:
                        continue
                    found = re.search(pattern, line)
                    if found:
                        self.add(path, number, "banned", f"{found[0].strip()}; instead: {instead}")

    def awaits(self):
        for path in self.sources():
            for number, line in enumerate(self.code[path].splitlines(), 1):
                if "co_await" in line and (line.count("co_await") > 1 or not AWAIT_GOOD.match(line)):
                    self.add(path, number, "await", "co_await inside a larger expression; instead: bind it to a named local on a line of its own")
                if re.search(r"co_await[^;]*(\|\||&&)", line):
                    self.add(path, number, "await", "'||' or '&&' of awaitables; instead: with_deadline")

    def sizes(self):
        for path in self.code:
            lines = self.files[path].splitlines()
            if len(lines) > FILE_LINES_MAX:
                self.add(path, len(lines), "file size", f"{len(lines)} lines; instead: at most {FILE_LINES_MAX}, split by subject")
            for number, (line, code) in enumerate(zip(lines, self.code[path].splitlines()), 1):
                # Raw strings hold other languages' lines; they are blank in the code.
                columns = len(line if line.lstrip().startswith("//") else code.rstrip())
                if columns > LINE_COLUMNS_MAX:
                    self.add(path, number, "columns", f"{columns} columns; instead: at most {LINE_COLUMNS_MAX}")
                    break
            self.function_sizes(path)

    def function_sizes(self, path):
        lines = self.code[path].splitlines()
        number = 0
        while number < len(lines):
            start = self.function_start(lines, number)
            if start is None:
                number += 1
                continue
            end = number + 1
            while end < len(lines) and not re.match("^" + start + r"\}", lines[end]):
                end += 1
            if end - number - 1 > FUNCTION_LINES_MAX:
                self.add(path, number + 1, "function size",
                         f"{end - number - 1} lines; instead: at most {FUNCTION_LINES_MAX}, name the parts")
            number = number + 1

    @staticmethod
    def function_start(lines, number):
        """The indentation of a function whose body opens on this line, else None."""
        line = lines[number]
        if not line.rstrip().endswith("{") or ")" not in line:
            return None
        found = FUNCTION_START.match(line)
        if found:
            return found[1]
        # A signature over several lines: the opening line is indented deeper than its first.
        back = number
        while back > 0 and number - back < 8 and lines[back].startswith("    "):
            back -= 1
        head = re.match(r"^(\s{0,2})[A-Za-z]\S* .*\(", lines[back])
        return head[1] if head and back != number and not re.match(r"\s*(if|for|while|switch)\b", lines[back]) else None

    def contracts(self):
        for path in self.sources():
            if path.endswith(".h") and not path.startswith("tools/") and not self.files[path].startswith("// "):
                self.add(path, 1, "contract", "a header without its contract; instead: say first what it offers, needs, owns")
            if path.endswith(".h") and "#pragma once" not in self.files[path]:
                self.add(path, 1, "contract", "no #pragma once")
        for folder in EDGES:
            if not any(folder_of(p) == folder for p in self.code):
                continue
            readme = self.files.get(folder + "/README.md")
            if readme is None:
                self.add(folder + "/README.md", 1, "contract", "missing; instead: job, public headers, may depend on, must never do")
            elif len(readme.splitlines()) > README_LINES_MAX:
                self.add(folder + "/README.md", 1, "contract", f"longer than {README_LINES_MAX} lines")

    def trusted_lines(self):
        return {folder: sum(len([x for x in self.code[p].splitlines() if x.strip()])
                            for p in self.code if folder_of(p) == folder) for folder in TRUSTED}

    def run(self):
        for check in (self.layers, self.foreign, self.banned, self.awaits, self.sizes, self.contracts):
            check()
        total = sum(self.trusted_lines().values())
        if total > TRUSTED_LINES_MAX:
            self.add("tools/lint/lint.py", 1, "trusted lines", f"{total}; instead: at most {TRUSTED_LINES_MAX}, or a decision in docs/decisions")
        return self.findings


def load(root):
    files = {}
    for top in ("crypto", "capsules", "store", "runtime", "tools", "tests"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".cc", ".h", ".md") and path.is_file():
                files[str(path.relative_to(root))] = path.read_text(encoding="utf-8")
    return files


def self_test():
    """Each rule must find what breaks it."""
    readme = {f + "/README.md": "# x\n" for f in EDGES}
    bad = {
        "layers": {"crypto/a.cc": '#include "store/store.h"\n'},
        "foreign": {"store/a.h": "// x\n#pragma once\n#include <spdlog/spdlog.h>\n"},
        "banned": {"crypto/a.cc": 'int f() { return std::system("x"); }\n'},
        "await": {"runtime/broker/a.cc": "  if (co_await f()) {\n"},
        "file size": {"crypto/a.cc": "int x;\n" * (FILE_LINES_MAX + 1)},
        "function size": {"crypto/a.cc": "int f(int x) {\n" + "  ++x;\n" * (FUNCTION_LINES_MAX + 1) + "}\n"},
        "columns": {"crypto/a.cc": "int x" + "x" * 100 + ";\n"},
        "contract": {"crypto/a.h": "#pragma once\n"},
        "trusted lines": {f"store/{i}.cc": "int x;\n" * 500 for i in range(TRUSTED_LINES_MAX // 500 + 1)},
    }
    missed = [rule for rule, files in bad.items() if rule not in {f[2] for f in Lint({**readme, **files}).run()}]
    good = {**readme, "runtime/broker/a.cc": "  auto x = co_await f(y);\n", "crypto/a.cc": '// std::system("x")\nint f();\n'}
    false_alarms = Lint(good).run()
    for rule in missed:
        print(f"self-test: rule '{rule}' did not find its example")
    for finding in false_alarms:
        print(f"self-test: false alarm {finding}")
    return 1 if missed or false_alarms else 0


def main():
    arguments = [a for a in sys.argv[1:] if a != "--self-test"]
    if "--self-test" in sys.argv:
        return self_test()
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parents[2])
    lint = Lint(load(root))
    findings = lint.run()
    listed = root / "tools/lint/exceptions.txt"
    allowed = set()
    if listed.exists():
        allowed = {x.strip() for x in listed.read_text().splitlines() if x.strip() and not x.startswith("#")}
    used = {f"{p}: {rule}" for p, _, rule, _ in findings} & allowed
    shown = [f for f in findings if f"{f[0]}: {f[2]}" not in allowed]
    for path, line, rule, text in shown:
        print(f"{path}:{line}: {rule}: {text}")
    for entry in sorted(allowed - used):
        print(f"tools/lint/exceptions.txt: '{entry}' matches nothing any more; remove it")
    counts = lint.trusted_lines()
    print("trusted lines: " + ", ".join(f"{k} {v}" for k, v in counts.items()) +
          f"; {sum(counts.values())} of {TRUSTED_LINES_MAX}")
    return 1 if shown or allowed - used else 0


sys.exit(main())
