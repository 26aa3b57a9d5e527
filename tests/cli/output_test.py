#!/usr/bin/env python3
"""A reader of stdout who stalls stops no run, one who goes away ends none, and what stdout does not take is told.

usage: output_test.py BIN_DIRECTORY
"""
import json
import os
import subprocess
import sys
import tempfile
import time

WAIT_S = 60
LONG = 60_000  # three of them are more than a pipe holds

TASK = """
[capsule]
result = {{ readers = ["{reader}"], retention = "1h", reads = 1 }}
purpose = "Say much"
requester = "user:alice@plant.example"
agent = "triage"
window = {{ for = "1h" }}
lease = {{ ttl = "{ttl}" }}
[[grant]]
tool = "file.read"
args = {{ path = {{ under = "{here}/logs" }} }}
[[grant]]
tool = "sleep"
effect = "read"
digest = "unpinned"
args = {{ seconds = "any" }}
[plan]
steps = [
  {{ id = "a", tool = "file.read", args = {{ path = "{here}/logs/long" }} }},
  {{ id = "b", tool = "file.read", args = {{ path = "{here}/logs/long" }} }},
  {{ id = "c", tool = "file.read", args = {{ path = "{here}/logs/long" }} }},
  {{ id = "d", tool = "sleep", args = {{ seconds = "{seconds}" }} }},
]
"""
SLEEP = """
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", "--", {arg = "seconds"}]
[input]
seconds = {type = "string"}
"""


def taper(*words, code=0, **options):
    done = subprocess.run(["taper", *words], stdin=subprocess.DEVNULL, capture_output="stdout" not in options,
                          text=True, timeout=WAIT_S, check=False, **options)
    assert done.returncode == code, (words, done)
    return done.stdout


def make_fleet():
    for folder in ("centre", "agent", "node", "logs"):
        os.mkdir(folder)
    for role, key in (("root", "centre/root"), ("issuer", "centre/issuer"), ("holder", "agent/agent"),
                      ("holder", "agent/reader")):
        taper("key", "new", "--role", role, "--out", key + ".key", "--no-passphrase")
    taper("root", "init", "--key", "centre/root.key", "--issuer", "centre/issuer.pub", "--max-ttl", "1h",
          "--out", "centre/root.tpr")
    taper("node", "init", "--state", "state", "--name", "edge-7")
    taper("import", "--state", "state", "centre/root.tpr")
    with open("state/tools.d/sleep.toml", "w", encoding="utf-8") as file:
        file.write(SLEEP)
    with open("logs/long", "w", encoding="utf-8") as file:
        file.write("x" * LONG)
    with open("tools.json", "w", encoding="utf-8") as file:
        file.write(taper("tools", "list", "--state", "state", "--json"))


def reader():
    with open("agent/reader.pub", encoding="utf-8") as file:
        return next(word for word in file.read().split() if word.startswith("tpk:"))


def start(name, ttl, seconds):
    """A run whose stdout is a pipe that nobody reads yet."""
    with open(name + ".toml", "w", encoding="utf-8") as file:
        file.write(TASK.format(here=os.getcwd(), reader=reader(), ttl=ttl, seconds=seconds))
    taper("capsule", "sign", name + ".toml", "--key", "centre/issuer.key", "--root", "centre/root.tpr", "--node",
          "state/node.pub", "--holder", "agent/agent.pub", "--tools", "tools.json", "--out", name + ".capsule")
    return subprocess.Popen(["taper", "run", name + ".capsule", "--key", "agent/agent.key", "--state", "state",
                             "--results"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(state, calls=0):
    """The newest task, once it is in that state and has made so many calls."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        tasks = json.loads(taper("task", "list", "--state", "state", "--json"))["tasks"]
        for task in tasks:
            shown = json.loads(taper("task", "show", task["task"], "--state", "state", "--json"))
            if task["state"] == state and task["task"] not in SEEN and len(shown["calls"]) >= calls:
                return task["task"]
        time.sleep(0.1)
    raise TimeoutError(state)


SEEN = set()


def whole(run, end, code):
    """Reads after all: nothing that was said is lost."""
    out, err = run.communicate(timeout=WAIT_S)
    assert run.returncode == code, (run.returncode, err)
    assert out.count("x" * LONG) == 3 and end in out, out.replace("x" * LONG, "…")


def kept(task):
    return len(os.listdir(f"state/results/{task}"))


def read_results(task):
    """Each result of the task may be read once."""
    ask = ("task", "result", task)
    own = ("--key", "agent/reader.key", "--state", "state")
    files = kept(task)
    taper(*ask, "a", *own, "--out", "nowhere/a.json", code=2)
    os.mkdir("there")
    taper(*ask, "a", *own, "--out", "there", code=2)
    taper(*ask, "a", *own, "--out", "a.json")
    assert os.stat("a.json").st_size > LONG and kept(task) == files - 1
    taper(*ask, "a", *own, code=3)
    with open("/dev/full", "w", encoding="utf-8") as full:
        taper(*ask, "b", *own, code=5, stdout=full)
        taper(*ask, "c", *own, "--json", code=5, stdout=full)
        assert kept(task) == files - 1
        # Part of them may have got through: the read is spent.
        taper(*ask, "b", *own, code=3)
        taper("task", "list", "--state", "state", code=5, stdout=full)
        taper("task", "list", "--state", "state", "--json", code=5, stdout=full)
        taper("--help", code=5, stdout=full)
    assert json.loads(taper(*ask, "d", *own, "--json"))["reads_left"] == 0
    assert kept(task) == files - 2


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as here:
        os.chdir(here)
        make_fleet()

        run = start("lease", "3s", "600")
        SEEN.add(wait_for("expired"))
        whole(run, "expired (ttl)", 6)

        run = start("cancel", "50s", "600")
        task = wait_for("active", calls=4)
        taper("task", "cancel", task, "--state", "state")
        SEEN.add(wait_for("cancelled"))
        whole(run, "cancelled (cancelled)", 6)

        run = start("gone", "50s", "1")
        run.stdout.close()
        task = wait_for("completed")
        assert run.wait(WAIT_S) == 5 and "E710" in run.stderr.read()
        run.stderr.close()
        read_results(task)
        os.chdir("/")


main()
