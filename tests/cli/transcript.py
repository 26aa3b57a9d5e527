#!/usr/bin/env python3
"""Plays transcripts of the command line and compares what it prints and how it exits.

usage: transcript.py BIN_DIRECTORY TRANSCRIPT...

A transcript runs in an empty directory of its own, with `taper` first on PATH, and in a boot of its own: what is in
$TAPER_RUNTIME_DIR. Its lines:
  # text             says why
  @ NAME             plays another transcript first, in the same directory
  + FILE             writes a file: the lines after it that begin with '| '
  = NAME COMMAND     keeps what a command prints in the environment
  $ COMMAND          runs a command with sh; a line that ends in '\\' goes on
  > PATTERN          a line of stdout (after the one matched before), with the wildcards * and ?
  ! PATTERN          the same for stderr
  ? NUMBER           the exit code (0 where none stands)
${NAP} is a number of seconds that no other run of a transcript sleeps, for those that look for a process by its words.
What a transcript leaves running is ended, and fails it.
Whatever a transcript says, a taper command that fails must end stderr with its numbered line, and its
exit code must be the one that `taper errors` gives for that number; with --json stdout must be JSON
that carries the same number.
"""
import ctypes
import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ERROR_LINE = re.compile(r"^taper: E(\d+) (\w+): ")
TIMEOUT_S = 120
ENDING_S = 5
PR_SET_CHILD_SUBREAPER = 36


class Mismatch(Exception):
    pass


class Player:
    def __init__(self, bin_directory):
        self.folder = os.path.dirname(os.path.abspath(__file__))
        self.environment = dict(os.environ, PATH=bin_directory + ":" + os.environ.get("PATH", ""),
                                BIN=bin_directory, LC_ALL="C.UTF-8",
                                NAP=str(10000 + os.getpid() % 90000))
        shown = subprocess.run(["taper", "errors", "--json"], env=self.environment, check=True,
                               stdout=subprocess.PIPE).stdout
        self.exits = {e["number"]: e["exit"] for e in json.loads(shown)["errors"]}
        self.commands = 0

    def play(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as source:
            lines = source.read().split("\n")
        at = 0
        while at < len(lines):
            line, number = lines[at], at + 1
            at += 1
            if not line.strip() or line.startswith("#"):
                continue
            mark, rest = line[0], line[2:]
            if mark == "@":
                self.play(rest)
            elif mark == "+":
                at = self.write_file(rest, lines, at)
            elif mark == "=":
                variable, command = rest.split(" ", 1)
                self.environment[variable] = self.run(command).stdout.decode().strip()
            elif mark == "$":
                while rest.endswith("\\"):
                    rest = rest[:-1] + lines[at].strip()
                    at += 1
                expected = []
                while at < len(lines) and lines[at][:1] in (">", "!", "?"):
                    expected.append((lines[at][0], lines[at][2:]))
                    at += 1
                self.check(f"{name}:{number}", rest, expected)
            else:
                raise Mismatch(f"{name}:{number}: not a transcript line: {line}")

    def write_file(self, path, lines, at):
        text = ""
        while at < len(lines) and lines[at].startswith("|"):
            text += lines[at][2:] + "\n"
            at += 1
        text = re.sub(r"\$\{(\w+)\}", lambda m: self.environment[m.group(1)], text)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return at

    def run(self, command):
        self.environment["HERE"] = os.getcwd()
        return subprocess.run(["sh", "-c", command], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S)

    def check(self, place, command, expected):
        self.commands += 1
        done = self.run(command)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        problems = []
        exits = [int(text) for mark, text in expected if mark == "?"] or [0]
        if done.returncode != exits[0]:
            problems.append(f"exit {done.returncode}, expected {exits[0]}")
        problems += missing(out, [text for mark, text in expected if mark == ">"], "stdout")
        problems += missing(err, [text for mark, text in expected if mark == "!"], "stderr")
        if re.match(r"taper\b[^|;&>]*$", command):
            problems += self.contract(command, done.returncode, out, err)
        if problems:
            raise Mismatch(f"{place}: $ {command}\n  " + "\n  ".join(problems) +
                           f"\n--- stdout\n{out}--- stderr\n{err}")

    def contract(self, command, code, out, err):
        problems, found = [], None
        last = err.rstrip("\n").rsplit("\n", 1)[-1]
        if code != 0:
            found = ERROR_LINE.match(last)
            if not found:
                problems.append("the last line of stderr is no numbered error: " + last)
            elif self.exits.get(int(found.group(1))) != code:
                problems.append(f"E{found.group(1)} must exit {self.exits.get(int(found.group(1)))}")
        elif ERROR_LINE.match(last):
            problems.append("success with an error line")
        if " --json" in command and " audit show" not in command:
            try:
                shown = json.loads(out).get("error")
                if found and (shown is None or shown["number"] != int(found.group(1))):
                    problems.append("the document carries another error")
                if not found and shown is not None:
                    problems.append("success with an error in the document")
                keys = {"number", "name", "question", "field", "expected", "got", "fix"}
                if shown is not None and set(shown) != keys:
                    problems.append("error object with keys " + ", ".join(shown))
            except ValueError as reason:
                problems.append(f"stdout is not one JSON document: {reason}")
        return problems


def missing(text, patterns, stream):
    rest = text.split("\n")
    for pattern in patterns:
        for index, line in enumerate(rest):
            if fnmatch.fnmatchcase(line.rstrip(), pattern.replace("[", "[[]").rstrip()):
                rest = rest[index + 1:]
                break
        else:
            return [f"no further line of {stream} is like: {pattern}"]
    return []


def below_us():
    """What runs below this process: pid, and its words."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                state, parent = stat.read().rsplit(")", 1)[1].split()[:2]
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as words:
                parents[int(pid)] = (int(parent), state, words.read().replace("\0", " ").strip())
        except OSError:
            pass
    found = {}

    def visit(above):
        for pid, (parent, state, words) in parents.items():
            if parent == above:
                if state != "Z":
                    found[pid] = words
                visit(pid)
    visit(os.getpid())
    return found


def end_all(patience_s):
    """Waits for all that runs below us, then kills it. What had to be killed."""
    until = time.monotonic() + patience_s
    killed = {}
    while True:
        left = below_us()
        if not left:
            break
        if time.monotonic() >= until:
            killed.update(left)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        time.sleep(0.02)
    return killed


def main():
    # Whatever loses its parent comes to us.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    bin_directory = os.path.abspath(sys.argv[1])
    bad = 0
    for name in sys.argv[2:]:
        player = Player(bin_directory)
        here = os.path.realpath(tempfile.mkdtemp(prefix="taper-cli-"))
        boot = player.environment["TAPER_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="taper-boot-")
        os.chdir(here)
        try:
            player.play(os.path.abspath(os.path.join(player.folder, name)))
            left = end_all(ENDING_S)
            if left:
                raise Mismatch("left running: " + "; ".join(left.values()))
            print(f"ok   {os.path.basename(name)}: {player.commands} commands")
        except (Mismatch, subprocess.TimeoutExpired) as reason:
            bad += 1
            print(f"FAIL {os.path.basename(name)}: {reason}")
        finally:
            end_all(0)
            os.chdir("/")
            shutil.rmtree(here, ignore_errors=True)
            shutil.rmtree(boot, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
