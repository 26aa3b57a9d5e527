// `open` is the one function that does all about a capsule that is pure: framing, signatures,
// chain, structure, limits. There is no second path and no fallback decoder.
// docs/formats/capsule.md
#pragma once

#include <memory>

#include "capsules/capsule.h"
#include "capsules/trust_root.h"

namespace taper::capsules {

// A capsule whose bytes were verified against a trust root. Immutable, cheap to copy.
class VerifiedCapsule {
 public:
  const Capsule& root() const { return state_->root; }
  const std::vector<Block>& blocks() const { return state_->blocks; }
  const Hash& id() const { return state_->id; }               // BLAKE2b-256 of the root payload
  const Hash& chain() const { return state_->chain; }         // of the whole file
  const Hash& next_previous() const { return state_->next; }  // what a further block must name
  std::uint64_t root_version() const { return state_->root_version; }
  const PublicKey& holder() const;  // of the last block, or of the root
  const std::vector<PublicKey>& holders() const { return state_->holders; }  // root first
  const std::vector<KeyId>& signers() const { return state_->signers; }

 private:
  friend Result<VerifiedCapsule> open(ByteSpan, const TrustRoot&);
  struct State {
    Capsule root;
    std::vector<Block> blocks;
    Hash id, chain, next;
    std::uint64_t root_version = 0;
    std::vector<PublicKey> holders;
    std::vector<KeyId> signers;
  };
  explicit VerifiedCapsule(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// In this order: size, framing, signer keys in `root`, k distinct valid signatures, structure,
// features, fleet, issuer limits, each block. The first that fails is the error. Nothing is kept.
Result<VerifiedCapsule> open(ByteSpan file, const TrustRoot& root);

// For `explain` and `show` without a trust root: framing, structure and the signatures against the
// public keys that `keys` gives (may be empty: then signatures are not checked; whether one is a
// security key is not known, so the signature's kind is believed). Never an authority.
struct UntrustedCapsule {
  Capsule root;
  std::vector<Block> blocks;
  Hash id, chain;
  std::vector<KeyId> signers;
  bool signatures_checked = false;
};
Result<UntrustedCapsule> read_untrusted(ByteSpan file, const std::vector<PublicKey>& keys);

// Decodes one root payload (no signature involved); for `open` and for its fuzz target.
Result<Capsule> decode_capsule(ByteSpan payload);
Result<Block> decode_block(ByteSpan payload);

// The framing. Spans point into the file given.
inline constexpr std::uint8_t kRawSignature = 1;    // Ed25519, 64 bytes
inline constexpr std::uint8_t kSshSignature = 2;    // SSHSIG ssh-ed25519
inline constexpr std::uint8_t kSkSshSignature = 3;  // SSHSIG sk-ssh-ed25519@openssh.com
struct SignatureView {
  KeyId key;
  std::uint8_t kind = 0;
  ByteSpan signature;
};
// A block's `previous` is the hash of `head` and `earlier` one after the other: all before it but
// the count of blocks, which grows with the chain.
struct BlockView {
  ByteSpan earlier;  // the blocks before this one, as they stand
  ByteSpan payload;
  ByteSpan signature;
};
struct Envelope {
  ByteSpan payload;
  std::vector<SignatureView> signatures;
  ByteSpan head;  // from the first byte to the end of the last signature
  std::vector<BlockView> blocks;
};
Result<Envelope> read_envelope(ByteSpan file);
// What a block appended to `file` must name as its `previous`.
Result<Hash> next_previous(ByteSpan file);
Bytes write_envelope(ByteSpan payload, const std::vector<RootSignature>& signatures);
// Of any kinds; 1 to 8, each at most limits::kSignatureBytesMax (asserted).
Bytes assemble_envelope(ByteSpan payload, const std::vector<SignatureView>& signatures);
// `file` with one more block at its end.
Result<Bytes> append_block(ByteSpan file, ByteSpan block_payload,
                           const crypto::Signature& signature);

}  // namespace taper::capsules
