#!/usr/bin/env python3
"""taperd without tasks: how much memory it holds, and that it does not wake up.

usage: idle_test.py BIN_DIRECTORY [--instrumented]

Asks the kernel: resident memory of taperd and of its spawner, and the context switches of every
thread of both over some seconds. With --instrumented (a sanitizer's build) memory is not judged.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_KIB = 25 * 1024
WATCH_S = 8
SETTLE_S = 4


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def family(pid):
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="utf-8").split():
            found += family(int(child))
    return found


def switches(pids):
    """Of each thread: how often it was put on a processor and left it again."""
    counts = {}
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            seen = status(f"{pid}/task/{thread.name}")
            counts[thread.name] = int(seen["voluntary_ctxt_switches"])
    return counts


def main():
    binaries = sys.argv[1]
    os.environ["PATH"] = binaries + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="taper-idle-") as folder:
        os.chdir(folder)
        subprocess.run(["taper", "node", "init", "--state", "state", "--name", "edge-7"], check=True,
                       stdout=subprocess.DEVNULL)
        daemon = subprocess.Popen(["taperd", "--state", "state"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            assert "ready" in daemon.stderr.readline()
            time.sleep(SETTLE_S)
            pids = family(daemon.pid)
            kib = {pid: int(status(pid)["VmRSS"].split()[0]) for pid in pids}
            before = switches(pids)
            time.sleep(WATCH_S)
            after = switches(family(daemon.pid))
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
            daemon.stderr.close()
    woken = {thread: after[thread] - before[thread] for thread in after if after[thread] != before.get(thread)}
    print(f"{sum(kib.values())} KiB in {len(pids)} processes {sorted(kib.values())}; "
          f"{sum(woken.values())} wake-ups in {WATCH_S} s")
    assert not woken, woken
    assert "--instrumented" in sys.argv or sum(kib.values()) <= MOST_KIB, kib


main()
