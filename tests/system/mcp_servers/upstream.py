"""The broker's end of taper-upstream: frames of runtime/sandbox/builtin/message.h, and no cell."""
import json
import os
import socket
import struct
import subprocess

OK = 1
PROGRESS = 2  # in the place of a reply's version
KINDS = {1: "text", 2: "integer", 3: "boolean"}


class Failure(Exception):
    """What the reply says instead of a result: code, field, expected, got."""


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def value_bytes(value):
    if isinstance(value, bool):
        return struct.pack("<BB", 3, value)
    if isinstance(value, int):
        return struct.pack("<Bq", 2, value)
    return b"\x01" + text(value)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        size = self.number("I")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self):
        kind = KINDS[self.number("B")]
        return self.text() if kind == "text" else self.number("q" if kind == "integer" else "?")


class Upstream:
    """One process of `program` with the server `argv` behind it."""

    def __init__(self, program, argv, **environment):
        ours, theirs = socket.socketpair()
        server = os.open(argv[0], os.O_RDONLY)
        held = [os.dup2(theirs.fileno(), 53), os.dup2(server, 54)]

        def place():
            os.dup2(53, 3)
            os.dup2(54, 4)

        self.socket, self.progress = ours, []
        self.process = subprocess.Popen([program, *argv], pass_fds=(3, 4, 53, 54), preexec_fn=place,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL,
                                        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8",
                                             "TZ": "UTC", **environment})
        for number in (*held, server):
            os.close(number)
        theirs.close()

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise Failure("closed", "", "", "")
            data += part
        return data

    def frame(self):
        (size,) = struct.unpack("<I", self.receive(4))
        return Reader(self.receive(size))

    def ask(self, **inputs):
        self.progress = []
        body = b"\x01" + text("upstream") + struct.pack("<BH", 0, len(inputs))
        for name, value in inputs.items():
            body += text(name) + value_bytes(value)
        self.socket.sendall(struct.pack("<I", len(body)) + body)
        reply = self.frame()
        while reply.number("B") == PROGRESS:
            done, has_total, total = reply.number("d"), reply.number("B"), reply.number("d")
            self.progress.append((done, total if has_total else None, reply.text()))
            reply = self.frame()
        code = reply.number("H")
        detail = [reply.text() for _ in range(3)]
        if code != OK:
            raise Failure(code, *detail)
        return {reply.text(): reply.value() for _ in range(reply.number("H"))}

    def definitions(self, era):
        told = self.ask(ask="definitions", era=era, timeout_ms=60_000)
        return {**told, "definitions": json.loads(told["definitions"])}

    def call(self, era, pinned, arguments, timeout_ms=60_000, meta=None):
        """`progress` has what was told of it then."""
        more = {"meta": json.dumps(meta)} if meta else {}
        told = self.ask(ask="call", name=pinned["name"], arguments=json.dumps(arguments),
                        pinned=json.dumps(pinned, sort_keys=True), era=era, timeout_ms=timeout_ms, **more)
        return {**told, "result": json.loads(told["result"])}

    def close(self):
        """The exit status."""
        self.socket.close()
        return self.process.wait(20)
