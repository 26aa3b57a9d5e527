#!/usr/bin/env python3
"""Logs and receipts, honest and as whoever has taken over the host would forge them, before the command: each
is refused with the number and the place that its maker expects, by 'audit verify' and 'audit check-receipt'
and by an 'audit witness' that saw the node's earlier exports; both sides of a fork are kept. A witness that is
killed at any moment has the memory of before or the one of after. A file that is cut while it is read, and one that
claims millions of checkpoints, end no verifier by a signal and cost it no memory.

usage: log_attacks_test.py BIN_DIRECTORY
"""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time


def taper(*words):
    return subprocess.run(["taper", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def verdict(done):
    """The number and the field of a refusal; 0: there was none."""
    if done.returncode == 0:
        return 0, ""
    found = re.match(r"taper: E(\d+) \w+: [^;]*; field ([^;]*)", done.stderr.splitlines()[-1])
    return (int(found[1]), found[2]) if found else (-1, done.stderr)


def witnessed(name, seen, last, nonce):
    store = name + ".witness"
    for file in seen:
        done = taper("audit", "witness", file, "--store", store, "--node", name + ".pub")
        assert done.returncode == 0, (name, file, done.stderr)
    done = taper("audit", "witness", last, "--store", store, "--node", name + ".pub", *nonce)
    return verdict(done), sorted(os.listdir(store + "/forks"))


KILLS = 60


def killed(check):
    """Kills witnesses at random moments of their first tens of milliseconds."""
    files = ["honest.seen.0.tpa", "honest.seen.1.tpa", "honest.0.tpa"]
    chosen = random.Random(7)
    early = 0
    for number in range(KILLS):
        words = ["audit", "witness", files[number % 3], "--store", f"killed.{number // 3}", "--node", "honest.pub"]
        with subprocess.Popen(["taper", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as victim:
            time.sleep(chosen.uniform(0, 0.03))
            victim.kill()
        early += victim.returncode != 0
        again = taper(*words)
        check(f"killed {number}", (again.returncode, again.stderr), (0, ""))
    check("any was killed", early > 0, True)


CUTS = 20
MEMORY_KIB_MAX = 150 * 1024


def cut_while_read(check):
    """Millions of records that are gone over, in a file that its maker cuts short meanwhile."""
    chosen = random.Random(11)
    whole = b"TPA1" + struct.pack("<I1sIQ", 1, b"x", 0, 8_000_000) + struct.pack("<I3s", 3, b"\1\5\0") * 8_000_000
    for number in range(CUTS):
        with open("cut.tpa", "wb") as file:
            file.write(whole)
        with subprocess.Popen(["taper", "audit", "verify", "cut.tpa", "--node", "honest.pub"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as verifier:
            time.sleep(chosen.uniform(0.01, 0.15))
            os.truncate("cut.tpa", 4096)
        check(f"cut {number}", verifier.returncode in (0, 4), True)
    os.remove("cut.tpa")


def hostile_counts(check):
    heads = 2_000_000
    with open("heads.tpa", "wb") as file:
        file.write(b"TPA1" + struct.pack("<I1sI", 1, b"x", heads))
        file.truncate(13 + 104 * heads + 8 + 97)
    with subprocess.Popen(["taper", "audit", "verify", "heads.tpa", "--node", "honest.pub"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as verifier:
        _, status, used = os.wait4(verifier.pid, 0)
        verifier.returncode = os.waitstatus_to_exitcode(status)
    check("checkpoints without records", verifier.returncode, 4)
    check("their memory", used.ru_maxrss < MEMORY_KIB_MAX, True)
    os.remove("heads.tpa")


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + os.environ["PATH"]
    wrong = asked = 0

    def check(what, got, expected):
        nonlocal wrong, asked
        asked += 1
        if got != expected:
            wrong += 1
            print(f"{what}: {got}, expected {expected}")

    with tempfile.TemporaryDirectory(prefix="taper-attacks-") as folder:
        subprocess.run(["make_vectors", "logs", folder], check=True)
        os.chdir(folder)
        with open("expected", encoding="ascii") as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines]
        for kind, name, files, *_, nonce, code, place, seen, seen_code, seen_place in rows:
            files = files.split(" ")
            if kind == "receipt":
                done = taper("audit", "check-receipt", files[0], "--node", name + ".pub")
                check(name, verdict(done), (int(code), place))
                continue
            words = [] if nonce == "-" else ["--nonce", nonce]
            done = taper("audit", "verify", *files, "--node", name + ".pub", *words)
            check(name, verdict(done), (int(code), place))
            got, forks = witnessed(name, seen.split(" "), files[-1], words)
            check(name + ", witnessed", got, (int(seen_code), seen_place))
            kept = code == "0" and seen_code != "0" and nonce != "-"
            check(name + ", kept", len(forks), 2 if kept else 0)
        killed(check)
        cut_while_read(check)
        hostile_counts(check)
    print(f"{asked} verdicts, {wrong} wrong")
    return 1 if wrong or asked < 70 else 0


sys.exit(main())
