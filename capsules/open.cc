#include "capsules/open.h"

#include <algorithm>

#include "capsules/envelope.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

Result<std::vector<KeyId>> check_signatures(const Envelope& envelope, const TrustRoot& root) {
  TAPER_CHECK(check_signers(envelope.signatures));
  std::vector<KeyId> signers;
  for (const SignatureView& signature : envelope.signatures) {
    if (root.issuer(signature.key) == nullptr) {
      return Error(Code::signer_unknown,
                   {"signatures", "an issuer of the trust root", signature.key.hex(), ""});
    }
    signers.push_back(signature.key);
  }
  if (signers.size() < root.data().issuer_threshold) {
    return Error(Code::too_few_signatures,
                 {"signatures", std::to_string(root.data().issuer_threshold),
                  std::to_string(signers.size()), ""});
  }
  for (const SignatureView& signature : envelope.signatures) {
    const Issuer& issuer = *root.issuer(signature.key);
    TAPER_CHECK(check_signature(issuer.key, issuer.device, crypto::statement::kCapsule,
                                envelope.payload, signature));
  }
  return signers;
}

Error over_limit(std::string field, std::int64_t most, std::int64_t got) {
  return Error(Code::issuer_limit,
               {std::move(field), "at most " + std::to_string(most), std::to_string(got), ""});
}

Status check_limits(const Capsule& capsule, const IssuerLimits& limits) {
  if (capsule.lease_ttl_ms > limits.max_ttl_ms) {
    return over_limit("lease.ttl_ms", limits.max_ttl_ms, capsule.lease_ttl_ms);
  }
  if (capsule.long_lease && !limits.long_leases) {
    return over_limit("lease.long_lease", limits::kLongLeaseMs, capsule.lease_ttl_ms);
  }
  const std::int64_t validity = capsule.not_after_s - capsule.not_before_s;
  if (validity > limits.max_validity_s) {
    return over_limit("window", limits.max_validity_s, validity);
  }
  if (capsule.max_revocation_age_s > limits.max_revocation_age_s) {
    return over_limit("freshness.max_revocation_age_s", limits.max_revocation_age_s,
                      capsule.max_revocation_age_s);
  }
  const auto check_tool = [&limits](const std::string& field, const std::string& tool) -> Status {
    const auto& tools = limits.tools;
    if (limits.all_tools || std::find(tools.begin(), tools.end(), tool) != tools.end())
      return success();
    return Error(Code::issuer_limit, {field, "a tool of this issuer", tool, ""});
  };
  for (const Grant& grant : capsule.grants)
    TAPER_CHECK(check_tool("grants." + grant.id + ".tool", grant.tool));
  if (capsule.entry == EntryKind::agent)
    TAPER_CHECK(check_tool("agent_entry.program", capsule.agent_entry.program));
  return success();
}

Status check_issuer(const Capsule& capsule, const std::vector<KeyId>& signers,
                    const TrustRoot& root) {
  const KeyId issuer{capsule.issuer.bytes};
  if (std::find(signers.begin(), signers.end(), issuer) == signers.end()) {
    return Error(Code::issuer_not_signer, {"issuer", "one of the signers", issuer.hex(), ""});
  }
  if (capsule.fleet != root.fleet()) {
    return Error(Code::fleet_other, {"fleet", root.fleet().hex(), capsule.fleet.hex(), ""});
  }
  for (const KeyId& signer : signers) {
    const Issuer& listed = *root.issuer(signer);
    const bool early = listed.not_before_s && capsule.issued_at_s < *listed.not_before_s;
    const bool late = listed.not_after_s && capsule.issued_at_s > *listed.not_after_s;
    if (early || late) {
      return Error(Code::issuer_window, {"issued_at_s", "within the window of key " + signer.hex(),
                                         std::to_string(capsule.issued_at_s), ""});
    }
  }
  return check_limits(capsule, root.issuer(issuer)->limits);
}

Error broken_block(std::string field, std::string expected, std::string got) {
  return Error(Code::block_broken, {std::move(field), std::move(expected), std::move(got), ""});
}

// The ids that a next block may name as parents.
template <class Grants>
std::vector<std::string> ids_of(const Grants& grants) {
  std::vector<std::string> ids;
  for (const auto& grant : grants) ids.push_back(grant.id);
  return ids;
}

Result<std::vector<Block>> check_chain(const Envelope& envelope, const Capsule& root) {
  if (envelope.blocks.size() > root.max_depth) {
    return broken_block("blocks", "at most " + std::to_string(root.max_depth),
                        std::to_string(envelope.blocks.size()));
  }
  std::vector<Block> blocks;
  PublicKey holder = root.holder;
  std::vector<std::string> parents = ids_of(root.grants);
  for (const BlockView& view : envelope.blocks) {
    const std::string name = "blocks[" + std::to_string(blocks.size()) + "]";
    if (!crypto::verify(holder, crypto::statement::kBlock, view.payload, view.signature)) {
      return broken_block(name + ".signature", "of the holder before", "another");
    }
    TAPER_TRY(Block block, decode_block(view.payload));
    if (block.previous != crypto::hash({envelope.head, view.earlier})) {
      return broken_block(name + ".previous", "the hash of all before", block.previous.hex());
    }
    for (const KeptGrant& grant : block.grants) {
      if (std::find(parents.begin(), parents.end(), grant.parent) == parents.end()) {
        return broken_block(name + ".grants." + grant.id, "a parent in the block before",
                            grant.parent);
      }
    }
    holder = block.holder;
    parents = ids_of(block.grants);
    blocks.push_back(std::move(block));
  }
  return blocks;
}

const PublicKey* find_key(const std::vector<PublicKey>& keys, const KeyId& id) {
  const auto found = std::find_if(
      keys.begin(), keys.end(), [&id](const PublicKey& key) { return crypto::key_id(key) == id; });
  return found == keys.end() ? nullptr : &*found;
}

// All but the count of blocks, which grows with the chain.
Hash hash_before_next(const Envelope& envelope, ByteSpan file) {
  return crypto::hash({envelope.head, file.subspan(envelope.head.size() + 1)});
}

}  // namespace

const PublicKey& VerifiedCapsule::holder() const { return state_->holders.back(); }

Result<VerifiedCapsule> open(ByteSpan file, const TrustRoot& root) {
  TAPER_TRY(const Envelope envelope, read_envelope(file));
  VerifiedCapsule::State state;
  TAPER_TRY(state.signers, check_signatures(envelope, root));
  TAPER_TRY(state.root, decode_capsule(envelope.payload));
  TAPER_CHECK(check_issuer(state.root, state.signers, root));
  TAPER_TRY(state.blocks, check_chain(envelope, state.root));
  state.id = crypto::hash(envelope.payload);
  state.chain = crypto::hash(file);
  state.next = hash_before_next(envelope, file);
  state.root_version = root.data().version;
  state.holders.push_back(state.root.holder);
  for (const Block& block : state.blocks) state.holders.push_back(block.holder);
  return VerifiedCapsule(std::make_shared<const VerifiedCapsule::State>(std::move(state)));
}

Result<Hash> next_previous(ByteSpan file) {
  TAPER_TRY(const Envelope envelope, read_envelope(file));
  return hash_before_next(envelope, file);
}

Result<UntrustedCapsule> read_untrusted(ByteSpan file, const std::vector<PublicKey>& keys) {
  TAPER_TRY(const Envelope envelope, read_envelope(file));
  TAPER_CHECK(check_signers(envelope.signatures));
  UntrustedCapsule out;
  for (const SignatureView& signature : envelope.signatures) {
    out.signers.push_back(signature.key);
    if (keys.empty()) continue;
    const PublicKey* key = find_key(keys, signature.key);
    if (key == nullptr) {
      return Error(Code::signer_unknown,
                   {"signatures", "one of the keys given", signature.key.hex(), ""});
    }
    const auto device =
        signature.kind == kSkSshSignature ? crypto::Device::touched : crypto::Device::none;
    TAPER_CHECK(
        check_signature(*key, device, crypto::statement::kCapsule, envelope.payload, signature));
  }
  out.signatures_checked = !keys.empty();
  TAPER_TRY(out.root, decode_capsule(envelope.payload));
  TAPER_TRY(out.blocks, check_chain(envelope, out.root));
  out.id = crypto::hash(envelope.payload);
  out.chain = crypto::hash(file);
  return out;
}

}  // namespace taper::capsules
