// Private: the rules of the store over any engine: the log and its checkpoint in the same
// transaction, the ratchet and the marker after it, refusal once a commit's fate is unknown.
#pragma once

#include <memory>
#include <optional>

#include "store/engine.h"
#include "store/log_state.h"
#include "store/state_files.h"

namespace taper::store {

// The log's signing keys: the one in use and the next, made ahead of the commit that announces it.
class LogKeys {
 public:
  explicit LogKeys(LogSeed seed);
  const LogSeed& seed() const { return seed_; }
  const crypto::SigningKey& key() const { return key_; }
  const PublicKey& next() const { return next_key_.public_key(); }
  void advance();

 private:
  LogSeed seed_;
  crypto::SigningKey key_;
  LogSeed next_seed_;
  crypto::SigningKey next_key_;
};

class NodeStore final : public Store {
 public:
  // `keys` empty: read-only. `files` null: nothing beside the engine (memory).
  NodeStore(std::unique_ptr<Engine> engine, std::unique_ptr<StateFiles> files, LoadedLog loaded,
            std::optional<LogKeys> keys);
  ~NodeStore() override;

  Status read(const std::function<Status(const ReadTxn&)>& look) const override;
  Result<LogHead> log_head() const override;
  Status sync_marker() override;
  bool owes_rest() const override;
  void rest() override;

 protected:
  Result<CommitFacts> commit(const std::function<Status(WriteTxn&)>& change) override;

 private:
  Result<CommitFacts> commit_guarded(const std::function<Status(WriteTxn&)>& change);
  void settle(LogState next);

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<StateFiles> files_;
  StateIdentity identity_;
  LogState state_;
  std::optional<LogKeys> keys_;
  bool writing_ = false;
  std::string refusal_;  // why no later write is taken; empty while all is well
};

}  // namespace taper::store
