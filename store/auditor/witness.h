// The centre's memory of one node's log: what was seen of it, and whether a further export
// continues that. The rules are those of a C2SP witness; the whole records take the place of a
// consistency proof. docs/formats/witness.md
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "crypto/sign.h"
#include "store/audit_verify.h"

namespace taper::store {

// An export that was accepted.
struct Seen {
  LogPosition at;       // its end
  EpochHead head;       // its last checkpoint
  std::int64_t time_s;  // of the witness's clock
  // The nonces that exports which ended here answered: those files may come again.
  std::vector<Nonce> answered = {};
};

enum class Sight : std::uint8_t {
  unset,
  first,   // nothing was known of this log
  grown,   // it continues what was seen
  nothing  // it ends where an export ended that was seen: the newest, or an older one again, which
           // is below the newest `seen()` and shows nothing about it
};

class WitnessMemory {
 public:
  // Of a log that was never seen. `trust` is what the node's record says.
  WitnessMemory(const PublicKey& node, const Incarnation& incarnation, const PublicKey& log_key_0);
  // Error: witness_malformed.
  static Result<WitnessMemory> parse(std::string_view text);
  // The one text of this memory. Error: too_large.
  Result<std::string> text() const;

  const std::string& origin() const { return origin_; }
  const PublicKey& log_key_0() const { return trust_.log_key_0; }
  std::span<const Seen> seen() const { return seen_; }  // by size

  struct Look {
    Sight sight = Sight::unset;
    VerifiedLog log;
  };
  // Verifies the file, compares it with all that was seen, and takes it into the memory. A refused
  // file changes nothing. A file may begin where an earlier one ended. Errors: those of verify_log;
  // witness_forked_epoch, witness_root_mismatch, witness_inconsistent, witness_size_regression;
  // these leave `evidence`, which holds what both sides signed. An answer to a nonce that ends
  // before the newest is refused, unless it is the one that answered that nonce before.
  Result<Look> look(ByteSpan file, const std::optional<Nonce>& nonce, std::int64_t now_s,
                    const VerifyOptions& options, std::string& evidence);

 private:
  WitnessMemory() = default;
  struct Offered {
    VerifiedLog log;
    std::vector<EpochHead> heads;
    std::optional<Nonce> nonce;
    std::int64_t now_s;
  };
  Status compare(const Offered& offered, std::string& evidence) const;
  Status compare_epochs(const Offered& offered, std::string& evidence) const;
  // With a checkpoint that they signed.
  Error refuse(Code code, const EpochHead& ours, const EpochHead& theirs, std::int64_t now_s,
               std::string& evidence) const;
  Error refuse_shorter(const Offered& offered, std::string& evidence) const;
  std::string evidence_against(Code code, const EpochHead& ours) const;
  void remember(const Offered& offered);
  const Seen* seen_at(std::uint64_t size) const;
  // When a checkpoint that completed its epoch was first seen.
  std::int64_t time_of(const EpochHead& head) const;
  Status take_lines(std::string_view text);

  std::string origin_;
  LogTrust trust_;
  std::vector<EpochHead> epochs_;  // complete ones, from 0
  std::vector<Seen> seen_;
};

// A checkpoint with the signatures of the log's key and of a witness, as a note to be kept.
// The witness signs {"cosignature/v1", "time T", the checkpoint's text}, a line each.
std::string cosigned_note(std::string_view origin, const EpochHead& head,
                          const crypto::SigningKey& witness, std::int64_t time_s);

}  // namespace taper::store
