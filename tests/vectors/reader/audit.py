#!/usr/bin/env python3
"""Verifies exported logs and receipts, written from docs/formats/log.md and receipt.md alone.

usage: audit.py verify FILE... --trust NODE INCARNATION KEY0 [--nonce HEX]
       audit.py agree FOLDER     what `make_vectors logs FOLDER` wrote: 1 when it disagrees with one
"""
import base64
import hashlib
import json
import os
import sys

import ed25519

CHECKPOINT = b"application/vnd.taper.checkpoint.v1"
EXPORT = b"application/vnd.taper.log-export.v1"
RECORD_MAX = 2 * 1024 * 1024
ORIGIN_MAX = 256
FILE_MAX = 4 * 2**30
RECEIPT_MAX = 16 * 2**20


class Refused(Exception):
    def __init__(self, code, place):
        super().__init__(f"E{code} {place}")
        self.code, self.place = code, place


class Reader:
    def __init__(self, data, code):
        self.data, self.at, self.code, self.part = data, 0, code, ""

    def take(self, count):
        if self.at + count > len(self.data):
            raise Refused(self.code, self.part)
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def block(self, most):
        size = self.number(4)
        if size > most:
            raise Refused(self.code, self.part)
        return self.take(size)

    def record(self):
        record = self.block(RECORD_MAX)
        if len(record) < 3:
            raise Refused(self.code, self.part)
        return record

    def head(self):
        return {"size": self.number(8), "root": self.take(32), "signature": self.take(64)}

    def end(self):
        if self.at != len(self.data):
            raise Refused(self.code, "end")


def signed(key, kind, text, signature):
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(text), text)
    return ed25519.verify(key, encoded, signature)


def leaf(record):
    return hashlib.sha256(b"\0" + record).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    def __init__(self):
        self.size, self.peaks = 0, []

    def append(self, record):
        subtree, size = leaf(record), self.size
        while size & 1:
            subtree, size = node(self.peaks.pop(), subtree), size >> 1
        self.peaks.append(subtree)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node(peak, root)
        return root


def checkpoint_text(origin, head, epoch):
    return b"%s\n%d\n%s\n%d\n" % (origin, head["size"], base64.b64encode(head["root"]), epoch)


def kind_of(record):
    return int.from_bytes(record[1:3], "little")


def announced(record, epoch):
    """The key that exactly this record announces for the epoch; None: it does not."""
    try:
        key = json.loads(record[3:])["key"]
        raw = bytes.fromhex(key)
    except (ValueError, KeyError, TypeError):
        return None
    exact = b'{"epoch":%d,"key":"%s"}' % (epoch, raw.hex().encode())
    return raw if kind_of(record) == 2 and len(raw) == 32 and record[3:] == exact else None


def parse(data):
    if len(data) > FILE_MAX:
        raise Refused(200, "log")
    reader = Reader(data, 807)
    log = {"first": 0, "epoch": 0}
    reader.part = "magic"
    magic = reader.take(4)
    if magic not in (b"TPA1", b"TPA2", b"TPA3"):
        raise Refused(807, "magic")
    reader.part = "checkpoints"
    log["origin"] = reader.block(ORIGIN_MAX)
    log["goes_on"] = magic == b"TPA3"
    if magic != b"TPA1":
        log["first"], log["epoch"] = reader.number(8), reader.number(8)
        if log["first"] < 2 and not (log["goes_on"] and log["first"] == log["epoch"] == 0):
            raise Refused(807, "first record")
    log["heads"] = [reader.head() for _ in range(reader.number(4))]
    reader.part = "records"
    log["records"] = [reader.record() for _ in range(reader.number(8))]
    reader.part = "end"
    if log["goes_on"]:
        reader.end()
        return log | {"nonce": None}
    flag = reader.number(1)
    if flag > 1:
        raise Refused(807, "end")
    log["nonce"] = reader.take(32) if flag else None
    log["root"], log["signature"] = reader.take(32), reader.take(64)
    reader.end()
    return log


class Verifier:
    """Goes through the files of one log, the first whole, each next from where the last one ended."""

    def __init__(self, node_key, incarnation, key0):
        self.origin = b"taper/%s/%s" % (node_key.hex().encode(), incarnation.hex().encode())
        self.incarnation, self.key0 = incarnation, key0
        self.tree, self.key, self.epoch = Tree(), key0, 0

    def file(self, data, nonce):
        log = parse(data)
        if log["origin"] != self.origin:
            raise Refused(811, "origin")
        if nonce is not None and log["nonce"] != nonce:
            raise Refused(812, "nonce")
        if (log["first"], log["epoch"]) != (self.tree.size, self.epoch):
            raise Refused(820, "first record")
        self.sizes(log)
        self.records(log)
        self.last(log)

    def sizes(self, log):
        before = max(log["first"], 1)
        for head in log["heads"]:
            if head["size"] <= before:
                raise Refused(807, "checkpoint sizes")
            before = head["size"]
        if before < 2 or before - log["first"] != len(log["records"]):
            raise Refused(807, "checkpoint sizes")

    def records(self, log):
        heads = list(log["heads"])
        covered = log["first"]
        for number, record in enumerate(log["records"], log["first"]):
            following = self.following_key(number, record, heads)
            self.tree.append(record)
            if not heads or heads[0]["size"] != self.tree.size:
                continue
            head = heads.pop(0)
            place = f"checkpoint {self.epoch} over records {covered} to {number}"
            if head["root"] != self.tree.root():
                raise Refused(808, place)
            if not signed(self.key, CHECKPOINT, checkpoint_text(self.origin, head, self.epoch), head["signature"]):
                raise Refused(809, place)
            covered = head["size"]
            if following is None and heads:
                raise Refused(810, f"log key {self.epoch + 1}")
            if following is not None:
                self.key, self.epoch = following, self.epoch + 1

    def following_key(self, number, record, heads):
        incarnation = b'{"incarnation":"%s","origin":"%s"}' % (self.incarnation.hex().encode(), self.origin)
        if number == 0:
            if record != b"\1\1\0" + incarnation:
                raise Refused(808, "record 0")
        elif number == 1:
            if record[0] != 1 or announced(record, 0) != self.key0:
                raise Refused(810, "log key 0")
        elif record[0] != 1:
            raise Refused(808, f"record {number}")
        elif kind_of(record) == 2:
            key = announced(record, self.epoch + 1)
            if key is None or not heads or heads[0]["size"] != number + 1:
                raise Refused(810, f"log key {self.epoch + 1}")
            return key
        elif kind_of(record) in (0, 1):
            raise Refused(808, f"record {number}")
        return None

    def last(self, log):
        if log["goes_on"]:
            if not log["heads"] or kind_of(log["records"][-1]) != 2 or len(log["records"]) + log["first"] == 2:
                raise Refused(810, f"log key {self.epoch + 1}")
            return
        if log["root"] != self.tree.root():
            raise Refused(808, "last statement")
        nonce = log["nonce"].hex().encode() if log["nonce"] is not None else b"none"
        text = b"%s\n%d\n%s\n%s\n%s\n" % (self.origin, self.tree.size, base64.b64encode(log["root"]),
                                          self.incarnation.hex().encode(), nonce)
        if not signed(self.key, EXPORT, text, log["signature"]):
            raise Refused(809, "last statement")


def verify(files, trust, nonce):
    verifier = Verifier(*trust)
    for data in files:
        verifier.file(data, nonce if data is files[-1] else None)
    return verifier.tree.size


def root_of(record, index, size, path):
    """The root that a path leads to (RFC 9162, 2.1.3.2); None: it does not fit the place."""
    here, end, found = index, size - 1, leaf(record)
    for sibling in path:
        if end == 0:
            return None
        if here & 1 or here == end:
            found = node(sibling, found)
            while here and not here & 1:
                here, end = here >> 1, end >> 1
        else:
            found = node(found, sibling)
        here, end = here >> 1, end >> 1
    return found if end == 0 else None


def check_receipt(data, trust):
    if len(data) > RECEIPT_MAX:
        raise Refused(200, "receipt")
    reader = Reader(data, 827)
    if reader.take(4) != b"TPX1":
        raise Refused(827, "magic")
    origin = reader.block(ORIGIN_MAX)
    number, record = reader.number(8), reader.record()
    links, before = [], 1

    def path():
        count = reader.number(1)
        if count > 64:
            raise Refused(827, "end")
        return [reader.take(32) for _ in range(count)]

    for _ in range(reader.number(4)):
        head, key_record = reader.head(), reader.record()
        if head["size"] <= before:
            raise Refused(827, "checkpoint sizes")
        before = head["size"]
        links.append((head, key_record, before - 1, path()))
    head = reader.head()
    links.append((head, record, number, path()))
    reader.end()
    if head["size"] <= before or number >= head["size"] or (len(links) > 1 and number < before):
        raise Refused(827, "checkpoint sizes")
    if origin != Verifier(*trust).origin:
        raise Refused(811, "origin")
    key = trust[2]
    for epoch, (head, below, index, steps) in enumerate(links):
        if not signed(key, CHECKPOINT, checkpoint_text(origin, head, epoch), head["signature"]):
            raise Refused(828, f"epoch {epoch}")
        if root_of(below, index, head["size"], steps) != head["root"]:
            raise Refused(828, f"epoch {epoch}, record {index}")
        if below[0] != 1:
            raise Refused(828, f"epoch {epoch}, record {index}")
        if epoch + 1 < len(links):
            key = announced(below, epoch + 1)
            if key is None:
                raise Refused(828, f"record {index}")
    return number


def read(path):
    with open(path, "rb") as file:
        return file.read()


def agree(folder):
    """Each line of `expected`: kind, name, files, node, incarnation, key 0, nonce or -, number, place, and more."""
    wrong = asked = 0
    with open(os.path.join(folder, "expected"), encoding="ascii") as lines:
        for line in lines:
            words = line.rstrip("\n").split("\t")
            kind, name, files, nonce, code, place = *words[:3], *words[6:9]
            trust = [bytes.fromhex(word) for word in words[3:6]]
            data = [read(os.path.join(folder, file)) for file in files.split(" ")]
            try:
                if kind == "log":
                    verify(data, trust, None if nonce == "-" else bytes.fromhex(nonce))
                else:
                    check_receipt(data[0], trust)
                got = (0, "")
            except Refused as refused:
                got = (refused.code, refused.place)
            asked += 1
            if got != (int(code), place):
                wrong += 1
                print(f"{name}: E{got[0]} {got[1]}, expected E{code} {place}")
    print(f"{asked} logs and receipts, {wrong} disagreements")
    return 1 if wrong or asked == 0 else 0


def main(words):
    if len(words) == 2 and words[0] == "agree":
        return agree(words[1])
    if len(words) > 5 and words[0] == "verify" and "--trust" in words:
        at = words.index("--trust")
        trust = [bytes.fromhex(word) for word in words[at + 1:at + 4]]
        nonce = bytes.fromhex(words[at + 5]) if words[at + 4:at + 5] == ["--nonce"] else None
        try:
            print(f"verified: {verify([read(file) for file in words[1:at]], trust, nonce)} records")
            return 0
        except Refused as refused:
            print(refused)
            return 4
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
