"""Opening a capsule file with a trust root: docs/formats/capsule.md, Order of verifying."""
import os
import re

import ed25519
import plan
import rules
import signatures
from constraints import Rule
from fields import DAYS_90_MS, MOST, NAME, TIME_MAX, Fields
from framing import Envelope, blake2b, pae
from wire import Refused, Schema, read

SCHEMA = Schema(os.path.join(os.path.dirname(__file__), "../../../capsules/schema/capsule.fbs"))
TYPE = b"application/vnd.taper.capsule.v1"
BLOCK_TYPE = b"application/vnd.taper.block.v1"
CALL = 2
DAY_MS = 86_400_000
SECRET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
UNENFORCED = ("holder_spiffe", "pools", "nodes", "hosts", "host_ca", "proof")


def _payload(data, kind):
    table, slack = read(SCHEMA, kind, data)
    fields = Fields(table)
    known = ["long-lease", "agent", "offline"] if kind == "Capsule" else ["block-verbs"]
    features = fields.names("features", 1024)
    if any(name not in known for name in features):
        fields.refuse(205, "features")
    return fields, slack


def _unique(fields, name, make):
    out = [make(item) for item in fields.each(name, 128)]
    if not out:
        fields.refuse(203, name)
    if len({item.id for item in out}) != len(out):
        fields.refuse(204, name)
    return out


def _circular(grants):
    """The first grant whose `after` names no other grant, or leads back to it; None: all are good."""
    waits = {grant.id: set(grant.after) for grant in grants}
    for index, grant in enumerate(grants):
        if not waits[grant.id] <= set(waits) - {grant.id}:
            return index
    for index, grant in enumerate(grants):
        reached, look = set(), list(waits[grant.id])
        while look:
            name = look.pop()
            if name not in reached:
                reached.add(name)
                look += waits[name]
        if grant.id in reached:
            return index
    return None


class Payload:
    """The root block."""

    def __init__(self, data):
        fields, slack = _payload(data, "Capsule")
        fields.unenforced(*UNENFORCED)
        self.issuer = fields.octets("issuer", 32)
        self.serial = fields.number("serial", 1, 2**64 - 1)
        self.issued_at_s = fields.number("issued_at_s", 0, TIME_MAX)
        self.fleet = fields.octets("fleet", 32)
        for name in ("tenant", "requester", "agent"):
            fields.text(name, NAME)
        fields.text("purpose")
        self.holder = fields.octets("holder", 32)
        audience = fields.sub("audience")
        self.node = audience.octets("node", 32)
        audience.octets("incarnation", 16)
        self._times(fields)
        end_on = fields.sub("end_on")
        for name in ("completion", "failure", "violation", "tool_drift", "policy_drift", "clock_step"):
            end_on.flag(name)
        end_on.number("denials", 1, MOST)
        self.grants = _unique(fields, "grants", rules.Grant)
        self._secrets(fields)
        at = _circular(self.grants)
        if at is not None:
            fields.refuse(204, f"grants[{at}].after")
        self._rest(fields)
        if slack:
            raise Refused(202, "payload")

    def _times(self, fields):
        window = fields.sub("window")
        self.not_before_s = window.number("not_before_s", 0, TIME_MAX)
        self.not_after_s = window.number("not_after_s", 0, TIME_MAX)
        if self.not_after_s <= self.not_before_s:
            window.refuse(204, "not_after_s")
        fields.number("activations", 1, 1_000_000)
        lease = fields.sub("lease")
        self.ttl_ms = lease.number("ttl_ms", 1, DAYS_90_MS)
        lease.number("idle_ms", 1, self.ttl_ms)
        self.long_lease = lease.has("long_lease") and lease.flag("long_lease")
        if lease.has("long_lease") and not self.long_lease:
            lease.refuse(204, "long_lease")
        freshness = fields.sub("freshness")
        self.max_revocation_age_s = freshness.number("max_revocation_age_s", 1, TIME_MAX)
        freshness.enum("time_assurance", 3)
        if self.long_lease != ("long-lease" in fields.names("features", 1024)):
            fields.refuse(204, "features")
        if self.long_lease != (self.ttl_ms > DAY_MS):
            raise Refused(315, "lease.long_lease")

    def _secrets(self, fields):
        names, self.boxes = [], {}
        for secret in fields.each("secrets", 16):
            name = secret.text("name", NAME)
            if not SECRET_NAME.fullmatch(name):
                secret.refuse(204, "name")
            if name in names:
                fields.refuse(204, "secrets")
            if not secret.required("box"):
                secret.refuse(203, "box")
            if len(secret.required("box")) > 65_536:
                secret.refuse(204, "box")
            names.append(name)
            self.boxes[name] = bytes(secret.required("box"))
        if any(grant.secrets and not grant.pinned for grant in self.grants):
            fields.refuse(204, "secrets")
        if {name for grant in self.grants for name in grant.secrets} != set(names):
            fields.refuse(204, "secrets")

    def _rest(self, fields):
        fields.enum("min_tier", 3)
        entry = fields.enum("entry", 3)
        if entry == 2:
            plan.check(fields.sub("plan"))
        elif fields.has("plan"):
            fields.refuse(204, "plan")
        self.program = None
        if entry == 3:
            agent = fields.sub("agent_entry")
            self.program = agent.text("program", NAME)
            agent.octets("digest", 32)
            rules.cell(agent.maybe_sub("cell"))
        elif fields.has("agent_entry"):
            fields.refuse(204, "agent_entry")
        if (entry == 3) != ("agent" in fields.names("features", 1024)):
            fields.refuse(204, "features")
        delegation = fields.sub("delegation")
        delegation.unenforced("allocator")
        self.max_depth = delegation.number("max_depth", 0, 8)
        result = fields.maybe_sub("result")
        if result.table is not None:
            readers = bytes(result.required("readers"))
            if not readers:
                result.refuse(203, "readers")
            keys = {readers[at:at + 32] for at in range(0, len(readers), 32)}
            if len(readers) % 32 or len(readers) > 32 * 32 or 32 * len(keys) != len(readers):
                result.refuse(204, "readers")
            result.number("retention_ms", 1, 31_622_400_000)
            result.number("reads", 1, 1_000_000)
        offline = fields.maybe_sub("offline")
        if offline.table is not None:
            most = offline.number("max_ttl_ms", 1, self.ttl_ms)
            offline.number("max_idle_ms", 1, most)
        log = fields.sub("log")
        all_arguments = log.flag("all_arguments")
        log.names("except", 64)
        if log.has("except") and not all_arguments:
            log.refuse(204, "except")
        log.number("quota_bytes", 1, MOST)
        rules.cell(fields.maybe_sub("cell"))
        if fields.has("offline") != ("offline" in fields.names("features", 1024)):
            fields.refuse(204, "features")


class Kept:
    """A grant that a block keeps."""

    def __init__(self, fields):
        self.id = fields.text("id", NAME)
        self.parent = fields.text("parent", NAME)
        self.args = rules.rules(fields, "args")
        rules.Budget(fields.maybe_sub("budget"))
        fields.names("labels", 32)
        fields.names("refuse_after", 32)
        self.verbs = rules.verbs(fields) if fields.has("verbs") else None


class Block:
    def __init__(self, data):
        fields, slack = _payload(data, "Block")
        self.previous = fields.octets("previous", 32)
        self.holder = fields.octets("holder", 32)
        self.grants = _unique(fields, "grants", Kept)
        if any(kept.verbs is not None for kept in self.grants) != bool(fields.names("features", 1024)):
            fields.refuse(204, "features")
        lease, window = fields.maybe_sub("lease"), fields.maybe_sub("window")
        for name in ("ttl_ms", "idle_ms"):
            lease.number(name, 1, DAYS_90_MS, optional=True)
        for name in ("not_before_s", "not_after_s"):
            window.number(name, 0, TIME_MAX, optional=True)
        if slack:
            raise Refused(202, "payload")


def _check_signers(envelope, root):
    if len({key for key, _, _ in envelope.signatures}) != len(envelope.signatures):
        raise Refused(303, "signatures")
    if any(not 1 <= kind <= 3 for _, kind, _ in envelope.signatures):
        raise Refused(205, "signatures")
    issuers = [root.issuer(key) for key, _, _ in envelope.signatures]
    if None in issuers:
        raise Refused(301, "signatures")
    if len(issuers) < root.issuer_threshold:
        raise Refused(302, "signatures")
    for issuer, (_, kind, data) in zip(issuers, envelope.signatures):
        signatures.check(kind, issuer.key, issuer.device, TYPE, envelope.payload, data)
    return issuers


def _check_limits(payload, signers):
    if not all(signer.valid_at(payload.issued_at_s) for signer in signers):
        raise Refused(307, "issued_at_s")
    limits = next(signer for signer in signers if signer.id == payload.issuer)
    tools = [grant.tool for grant in payload.grants] + [name for name in [payload.program] if name]
    if (payload.ttl_ms > limits.max_ttl_ms or payload.long_lease and not limits.long_leases
            or payload.not_after_s - payload.not_before_s > limits.max_validity_s
            or payload.max_revocation_age_s > limits.max_revocation_age_s
            or not limits.all_tools and any(tool not in limits.tools for tool in tools)):
        raise Refused(306, "limits")


class Capsule:
    """A capsule that opens. Raises Refused."""

    def __init__(self, data, root):
        envelope = Envelope(data, b"TPC1")
        signers = _check_signers(envelope, root)
        self.payload = Payload(envelope.payload)
        if self.payload.issuer not in {key for key, _, _ in envelope.signatures}:
            raise Refused(304, "issuer")
        if self.payload.fleet != root.fleet:
            raise Refused(305, "fleet")
        _check_limits(self.payload, signers)
        self.id, self.chain = blake2b(envelope.payload), blake2b(data)
        self.holder = self.payload.holder
        self.blocks = []
        if len(envelope.blocks) > self.payload.max_depth:
            raise Refused(308, "blocks")
        for payload, signature, earlier in envelope.blocks:
            self._take(payload, signature, earlier, envelope.head)

    def _take(self, payload, signature, earlier, head):
        if not ed25519.verify(self.holder, pae(BLOCK_TYPE, payload), signature):
            raise Refused(308, "blocks")
        block = Block(payload)
        before = self.blocks[-1].grants if self.blocks else self.payload.grants
        if block.previous != blake2b(head + earlier):
            raise Refused(308, "blocks")
        if not {grant.parent for grant in block.grants} <= {grant.id for grant in before}:
            raise Refused(308, "blocks")
        self.blocks.append(block)
        self.holder = block.holder

    def line(self, tool, matches):
        """Walks down the chain: None, or what `matches(rules)` said last."""
        said, chosen = None, None
        for grant in self.payload.grants:
            if grant.tool != tool:
                continue
            if CALL not in grant.verbs:
                said = said or "verb_not_granted"
                continue
            said, chosen = matches(grant.args), grant
            if said == "ok":
                break
        args = chosen.args if chosen else []
        for block in self.blocks:
            if said != "ok":
                return said
            said = None
            for kept in block.grants:
                if kept.parent != chosen.id:
                    continue
                if kept.verbs is not None and CALL not in kept.verbs:
                    said = said or "verb_not_granted"
                    continue
                joined = _joined(args, kept.args)
                said = matches(joined)
                if said == "ok":
                    break
            if said == "ok":
                args, chosen = joined, kept
        return said


def _joined(rules_before, further):
    """The parent's rules with the child's added; what the parent does not name stays refused."""
    out = []
    more = {rule.name: rule for rule in further}
    for rule in rules_before:
        added = more.get(rule.name)
        out.append(rule if added is None else
                   Rule(rule.name, rule.optional and added.optional, rule.constraints + added.constraints))
    return out
