#!/usr/bin/env python3
"""Types passphrases on a terminal: nothing typed is echoed, two different ones make no key, the right one signs.

usage: passphrase_test.py BIN_DIRECTORY
"""
import os
import pty
import select
import sys
import tempfile

WAIT_S = 60


def typed(answers, *words):
    """Runs taper on a terminal of its own and types an answer at each prompt: exit code and screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("taper", ["taper", *words])
    screen, left = "", list(answers)
    while True:
        if not select.select([terminal], [], [], WAIT_S)[0]:
            raise TimeoutError(screen)
        try:
            data = os.read(terminal, 4096)
        except OSError:
            data = b""
        if not data:
            break
        screen += data.decode()
        if screen.endswith(": ") and left:
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as here:
        os.chdir(here)
        code, screen = typed(["open sesame", "open barley"], "key", "new", "--role", "root", "--out", "root.key")
        assert code == 2 and "E100" in screen and not os.path.exists("root.key"), screen
        for role in ("root", "issuer"):
            code, screen = typed(["open sesame"] * 2, "key", "new", "--role", role, "--out", role + ".key")
            assert code == 0 and "tpk:" in screen and "sesame" not in screen, screen
        init = ("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--out", "root.tpr")
        code, screen = typed(["open barley"], *init)
        assert code == 2 and "E105" in screen and not os.path.exists("root.tpr"), screen
        code, screen = typed(["open sesame"], *init)
        assert code == 0 and "fleet " in screen and "sesame" not in screen, screen
        os.chdir("/")


main()
