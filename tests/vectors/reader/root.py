"""Trust roots: docs/formats/root.md."""
import hashlib
import os

import ed25519
from fields import DAYS_90_MS, TIME_MAX, Fields
from framing import Envelope, blake2b, pae
from wire import Refused, Schema, read

SCHEMA = Schema(os.path.join(os.path.dirname(__file__), "../../../capsules/schema/root.fbs"))
TYPE = b"application/vnd.taper.root.v1"
FEATURES = ("security-keys", "long-leases", "time-reset")
ROLES = ("approvers", "publishers", "revokers", "registrars", "time_keys", "auditors", "allocators")


def _keys(fields, name, least):
    out = [key.octets("key", 32) for key in fields.each(name, 64)]
    if len(out) < least:
        fields.refuse(203, name)
    if len(set(out)) != len(out):
        fields.refuse(204, name)
    return out


class Issuer:
    def __init__(self, fields):
        self.key = fields.octets("key", 32)
        self.id = blake2b(self.key)
        self.not_before_s = fields.number("not_before_s", 0, TIME_MAX, optional=True)
        self.not_after_s = fields.number("not_after_s", 0, TIME_MAX, optional=True)
        if None not in (self.not_before_s, self.not_after_s) and self.not_after_s < self.not_before_s:
            fields.refuse(204, "not_after_s")
        limits = fields.sub("limits")
        self.max_ttl_ms = limits.number("max_ttl_ms", 1, DAYS_90_MS)
        self.max_validity_s = limits.number("max_validity_s", 1, TIME_MAX)
        self.max_revocation_age_s = limits.number("max_revocation_age_s", 1, TIME_MAX)
        self.all_tools = limits.flag("all_tools")
        self.tools = limits.names("tools", 1024)
        if self.all_tools and self.tools:
            limits.refuse(204, "tools")
        self.long_leases = limits.has("long_leases") and limits.flag("long_leases")
        if limits.has("long_leases") and not self.long_leases:
            limits.refuse(204, "long_leases")
        self.device = fields.enum("device", 2) if fields.has("device") else 0

    def valid_at(self, time_s):
        return ((self.not_before_s is None or self.not_before_s <= time_s)
                and (self.not_after_s is None or time_s <= self.not_after_s))


class Root:
    """A root file that verifies by itself. Raises Refused."""

    def __init__(self, data):
        envelope = Envelope(data, b"TPR1")
        table, slack = read(SCHEMA, "TrustRoot", envelope.payload)
        fields = Fields(table)
        features = fields.names("features", 1024)
        if any(name not in FEATURES for name in features):
            fields.refuse(205, "features")
        self.version = fields.number("version", 1, 2**64 - 1)
        fleet = fields.octets("fleet", 32) if fields.has("fleet") else None
        previous = fields.octets("previous", 32) if fields.has("previous") else None
        self.issued_at_s = fields.number("issued_at_s", 0, TIME_MAX)
        fields.number("expires_s", self.issued_at_s, TIME_MAX, optional=True)
        self.root_keys = _keys(fields, "root_keys", 1)
        self.root_threshold = fields.number("root_threshold", 1, 2**32 - 1)
        self.issuers = [Issuer(issuer) for issuer in fields.each("issuers", 64)]
        if not self.issuers:
            fields.refuse(203, "issuers")
        if len({issuer.id for issuer in self.issuers}) != len(self.issuers):
            fields.refuse(204, "issuers")
        self.issuer_threshold = fields.number("issuer_threshold", 1, 2**32 - 1)
        for role in ROLES:
            _keys(fields, role, 0)
        self.time_reset = fields.has("time_reset") and fields.flag("time_reset")
        if fields.has("time_reset") and not self.time_reset:
            fields.refuse(204, "time_reset")
        needed = {"time-reset"} if self.time_reset else set()
        needed |= {"security-keys" for issuer in self.issuers if issuer.device}
        needed |= {"long-leases" for issuer in self.issuers if issuer.long_leases}
        if needed != set(features):
            fields.refuse(204, "features")
        if slack:
            raise Refused(202, "payload")
        first = self.version == 1
        if first != (fleet is None) or first != (previous is None):
            raise Refused(309, "fleet")
        if first and self.time_reset:
            raise Refused(309, "time_reset")
        if self.root_threshold > len(self.root_keys) or self.issuer_threshold > len(self.issuers):
            raise Refused(309, "threshold")
        self.fleet = fleet or blake2b(envelope.payload)
        self._check(envelope)

    def _check(self, envelope):
        ids = {blake2b(key): key for key in self.root_keys}
        if len({key for key, _, _ in envelope.signatures}) != len(envelope.signatures):
            raise Refused(303, "signatures")
        if any(not 1 <= kind <= 3 for _, kind, _ in envelope.signatures):
            raise Refused(205, "signatures")
        for key, kind, signature in envelope.signatures:
            if key not in ids:
                raise Refused(309, "signatures")
            if kind != 1:
                raise Refused(206, "signatures")
            if not ed25519.verify(ids[key], pae(TYPE, envelope.payload), signature):
                raise Refused(300, "signatures")
        if len(envelope.signatures) < self.root_threshold:
            raise Refused(302, "signatures")

    def issuer(self, key_id):
        return next((issuer for issuer in self.issuers if issuer.id == key_id), None)
