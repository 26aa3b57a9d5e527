#!/usr/bin/env python3
"""What strangers' garbage on agent.sock costs a task that is live there.

usage: strangers.py BIN_DIRECTORY [--calls N] [--rate PER_SECOND] [--rounds N]

A holder calls time.now through `taper connect` and taperd; in every second round others write to agent.sock
meanwhile, so often in a second: connections without a word, a wrong magic, junk behind a right length,
openings that are cut, of capsules that nobody signed, and replayed ones. All in one run, in turns, microseconds; then what
the log tells of them. Where others use the machine too, `chrt -r 10` before it gives it to this alone. Exits 1 when a call failed, the task has ended, the garbage came slower than asked for, the log tells of
it more than once a minute, or the calls' p99 came to more than twice what it was.
"""
import argparse
import collections
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import fleet

SOCKET = "state/agent.sock"
HELD = 64  # connections that a flood leaves open


class Relay:
    """Stands between a holder and the node, and keeps the frames that the holder sent."""

    def __init__(self):
        self.kept = b""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("relay.sock")
        self.listener.listen(1)

    def run(self):
        holder, _ = self.listener.accept()
        node = socket.socket(socket.AF_UNIX)
        node.connect(SOCKET)
        threads = [threading.Thread(target=self.pass_on, args=ends) for ends in ((holder, node, True), (node, holder, False))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def pass_on(self, source, sink, keep):
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            self.kept += data if keep else b""
            try:
                if not data:
                    return sink.shutdown(socket.SHUT_RDWR)
                sink.sendall(data)
            except OSError:
                return None


def an_opening():
    """The Hello and the Open of a holder, as he sent them."""
    relay = Relay()
    thread = threading.Thread(target=relay.run)
    thread.start()
    subprocess.run(["taper", "connect", "task.capsule", "--key", "holder.key", "--socket", "relay.sock"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    thread.join(60)
    first = 4 + struct.unpack("<I", relay.kept[:4])[0]
    second = 4 + struct.unpack("<I", relay.kept[first:first + 4])[0]
    return relay.kept[:first], relay.kept[first:first + second]


def garbage(hello, opening):
    """What strangers may write; the openings' capsules are others each time."""
    with open("task.capsule", "rb") as file:
        at = opening.index(file.read())
    size = os.path.getsize("task.capsule")

    def unknown():
        place = at + random.randrange(size)
        return hello + opening[:place] + bytes([opening[place] ^ 1 << random.randrange(8)]) + opening[place + 1:]
    return [
        lambda: b"",
        lambda: hello,
        lambda: struct.pack("<I", 40) + b"\x0c\x00\x00\x00XXXX" + random.randbytes(32),
        lambda: struct.pack("<I", random.randrange(1 << 32)) + random.randbytes(64),
        lambda: hello + opening[:random.randrange(4, len(opening))],
        lambda: hello + opening,
        unknown,
        lambda: hello + hello,
    ]


def flood(rate, pipe):
    """Until the pipe is closed. Prints how many were written, and turned away for want of room, and in how long."""
    path = os.path.abspath(SOCKET)
    kinds = garbage(*an_opening_kept())
    written = turned_away = 0
    held = [None] * HELD
    begin = time.monotonic()
    print("ready", flush=True)
    stop = threading.Event()
    threading.Thread(target=lambda: (pipe.read(), stop.set()), daemon=True).start()
    while not stop.is_set():
        due = int((time.monotonic() - begin) * rate)
        if written + turned_away >= due:
            time.sleep(0.0005)
            continue
        kind = (written + turned_away) % len(kinds)
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            one.connect(path)
            data = kinds[kind]()
            if data:
                one.send(data)
            written += 1
        except BlockingIOError:
            turned_away += 1
        except (BrokenPipeError, ConnectionResetError):
            written += 1
        if kind == 1:
            held[written % HELD] = one  # closes the one before it
        else:
            one.close()
    print(json.dumps({"written": written, "turned_away": turned_away, "seconds": time.monotonic() - begin}), flush=True)


def an_opening_kept():
    with open("opening.json", encoding="utf-8") as file:
        return tuple(bytes.fromhex(part) for part in json.load(file))


def flooded(rate, act):
    """Runs `act` while strangers write; their counts."""
    others = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--flood", str(rate)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    others.stdout.readline()
    time.sleep(0.2)
    act()
    others.stdin.close()
    counts = json.loads(others.stdout.readline())
    others.wait(60)
    return counts


def refusals():
    """What the log tells of strangers: for each record how many of each number."""
    fleet.taper("audit", "export", "--state", "state", "--out", "log.tpa")
    bodies = [json.loads(line)["body"] for line in fleet.taper("audit", "show", "log.tpa", "--json").splitlines()]
    return [body["refused"] for body in bodies if "refused" in body]


def resident_mib(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) / 1024


def measure(words):
    times = {"quiet": [], "flooded": [], "connecting": []}
    counts = {"written": 0, "turned_away": 0, "seconds": 0.0}
    holder = fleet.connected()

    def calls(name):
        for _ in range(words.calls):
            times[name].append(fleet.timed(holder.call, "time.now", {}))

    def loud():
        calls("flooded")
        times["connecting"].append(fleet.timed(lambda: fleet.connected().close()))
    for _ in range(20):
        holder.call("time.now", {})
    for _ in range(words.rounds):
        calls("quiet")
        for name, count in flooded(words.rate, loud).items():
            counts[name] += count
    holder.close()
    return times, counts


def report(words, times, counts, told, seconds):
    problems = []
    rate = (counts["written"] + counts["turned_away"]) / counts["seconds"]
    print(f"{words.rounds} rounds of {words.calls} calls each, microseconds; {rate:.0f} strangers a second for "
          f"{counts['seconds']:.0f} s: {counts['written']} written, {counts['turned_away']} turned away")
    quiet = fleet.row("nobody else", times["quiet"])
    loud = fleet.row("strangers", times["flooded"])
    print(f"{'ratio':42} p50 {loud[0] / quiet[0]:9.2f}   p99 {loud[1] / quiet[1]:9.2f}   (goal of p99: 2)")
    print(f"another taper connect came and went meanwhile, in {statistics.median(times['connecting']) / 1000:.0f} ms")
    counted = collections.Counter()
    for record in told:
        counted.update(record)
    print(f"log: {len(told)} records of refusals in {seconds:.0f} s, of {dict(counted)}")
    if rate < 0.95 * words.rate:
        problems.append("the garbage came slower than asked for")
    if loud[1] > 2 * quiet[1]:
        problems.append("p99 came to more than twice what it was")
    if len(told) > 1 + seconds / 60:
        problems.append("the log tells of strangers too often")
    return problems


def main():
    words = argparse.ArgumentParser()
    words.add_argument("bin", nargs="?")
    words.add_argument("--calls", type=int, default=1000)
    words.add_argument("--rounds", type=int, default=4)
    words.add_argument("--rate", type=int, default=10_000)
    words.add_argument("--flood", type=int)
    words = words.parse_args()
    if words.flood:
        return flood(words.flood, sys.stdin)
    fleet.use(words.bin)
    with tempfile.TemporaryDirectory(prefix="taper-strangers-", dir=os.getcwd()) as folder:
        os.chdir(folder)
        fleet.make_fleet()
        with fleet.daemon() as node:
            with open("opening.json", "w", encoding="utf-8") as file:
                json.dump([part.hex() for part in an_opening()], file)
            begin, before = time.monotonic(), resident_mib(node)
            times, counts = measure(words)
            print(f"taperd: {before:.0f} MiB before, {resident_mib(node):.0f} after")
            tasks = json.loads(fleet.taper("task", "list", "--state", "state", "--json"))["tasks"]
            seconds = time.monotonic() - begin
        problems = report(words, times, counts, refusals(), seconds)
        if [task["state"] for task in tasks] != ["active"]:
            problems.append(f"the task is not live: {tasks}")
        os.chdir("/")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


sys.exit(main())
