#!/usr/bin/env python3
"""Every byte of a capsule changed in turn, cut at every length, with bytes added, and an exported log the
same (each STRIDE-th place; the store's own tests take every one), with stretches swapped as well: each
copy is refused with its number, and none consumes anything.

usage: tamper.py BIN_DIRECTORY capsule|log [STRIDE]
Changes files in a directory of its own and nothing else.
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = """
[capsule]
purpose   = "p"
requester = "r"
agent     = "a"
window    = {{ for = "1h" }}
lease     = {{ ttl = "1m" }}
[[grant]]
tool   = "time.now"
args   = {{}}
[plan]
steps = [ {{ id = "t", tool = "time.now", args = {{}} }} ]
"""


def taper(*words):
    return subprocess.run(["taper", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def good(*words):
    done = taper(*words)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def make_fleet():
    for role, name in (("root", "root"), ("issuer", "issuer"), ("holder", "agent")):
        good("key", "new", "--role", role, "--out", name + ".key", "--no-passphrase")
    good("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--out", "root.tpr")
    good("node", "init", "--state", "state")
    good("import", "--state", "state", "root.tpr")
    with open("task.toml", "w", encoding="utf-8") as out:
        out.write(SOURCE.format())
    good("capsule", "sign", "task.toml", "--key", "issuer.key", "--root", "root.tpr", "--node",
         "state/node.pub", "--holder", "agent.pub", "--out", "task.capsule")


def changed_copies(data, stride=1):
    for at in range(0, len(data), stride):
        yield f"byte {at} changed", data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1:]


def cut_copies(data, stride=1):
    for size in range(0, len(data), stride):
        yield f"cut to {size} bytes", data[:size]
    for more in (b"\0", b"\n", data):
        yield f"{more[:1].hex()} and {len(more) - 1} bytes added", data + more


def numbers_of(copies, check):
    """How often each number was the answer."""
    count = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, done in pool.map(lambda copy: (copy[0], check(*copy)), copies):
            last = done.stderr.rstrip("\n").rsplit("\n", 1)[-1]
            found = re.match(r"taper: E(\d+) ", last)
            assert found and done.returncode in (3, 4), f"{name}: exit {done.returncode}: {last}"
            count[int(found.group(1))] = count.get(int(found.group(1)), 0) + 1
    return count


def with_file(suffix, *words):
    """A check that writes the copy to a file of its own and names it where words has None."""
    def check(name, data):
        path = re.sub(r"\W", "_", name) + suffix
        with open(path, "wb") as out:
            out.write(data)
        done = taper(*[path if word is None else word for word in words])
        os.unlink(path)
        return done
    return check


def tamper_capsule():
    with open("task.capsule", "rb") as source:
        data = source.read()
    before = json.loads(good("task", "list", "--state", "state", "--json"))
    # One process owns a state, so runs stand in a row; looking at a capsule needs no state.
    run = with_file(".capsule", "run", None, "--key", "agent.key", "--state", "state")
    show = with_file(".capsule", "capsule", "show", None, "--root", "root.tpr")
    total = {}
    for name, copy in changed_copies(data):
        count = numbers_of([(name, copy)], run)
        for number, times in count.items():
            total[number] = total.get(number, 0) + times
    print(f"taper run: {len(data)} changed bytes refused:", total)
    print("capsule show: cut and longer ones refused:", numbers_of(cut_copies(data, 7), show))
    some = list(cut_copies(data, 29))
    print("taper run: cut and longer ones refused:", sum(bool(numbers_of([c], run)) for c in some))
    after = json.loads(good("task", "list", "--state", "state", "--json"))
    assert before == after, "a refused capsule left a task"
    good("run", "task.capsule", "--key", "agent.key", "--state", "state")
    print("the whole capsule still had its one activation")


def swapped_records(data):
    """Copies of the log in which two stretches of equal length changed places."""
    for size in (64, 256):
        for at in range(0, len(data) - 2 * size, max(size, len(data) // 40)):
            a, b = data[at:at + size], data[at + size:at + 2 * size]
            if a != b:
                yield f"swap {size} at {at}", data[:at] + b + a + data[at + 2 * size:]


def tamper_log(stride):
    good("run", "task.capsule", "--key", "agent.key", "--state", "state")
    good("audit", "export", "--state", "state", "--out", "log.tpa")
    with open("log.tpa", "rb") as source:
        data = source.read()
    verify = with_file(".tpa", "audit", "verify", None, "--node", "state/node.pub")
    print("changed bytes refused:", numbers_of(changed_copies(data, stride), verify))
    print("cut and longer logs refused:", numbers_of(cut_copies(data, stride), verify))
    print("swapped stretches refused:", numbers_of(swapped_records(data), verify))
    good("audit", "verify", "log.tpa", "--node", "state/node.pub")


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + os.environ["PATH"]
    here = tempfile.mkdtemp(prefix="taper-cli-")
    os.chdir(here)
    try:
        make_fleet()
        if sys.argv[2] == "capsule":
            tamper_capsule()
        else:
            tamper_log(stride=int(sys.argv[3]))
    finally:
        os.chdir("/")
        shutil.rmtree(here, ignore_errors=True)


if __name__ == "__main__":
    main()
