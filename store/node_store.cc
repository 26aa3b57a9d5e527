#include "store/node_store.h"

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "store/log_prune.h"

namespace taper::store {
namespace {

constexpr std::uint32_t bit(LeafType type) {
  return std::uint32_t{1} << static_cast<unsigned>(type);
}

// What `change` sees: the engine's transaction without the tables that are the log's own.
class GuardedTxn final : public WriteTxn {
 public:
  GuardedTxn(EngineTxn& txn, LogState& state) : txn_(txn), state_(state) {}

  Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
    TAPER_CHECK(check(table, key));
    return txn_.get(table, key);
  }
  Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
    return txn_.scan(table, prefix, visit);
  }
  Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
    return txn_.scan_back(table, prefix, visit);
  }
  Status put(Table table, ByteSpan key, ByteSpan value) override {
    TAPER_CHECK(check_ours(table, key));
    return noted(txn_.put(table, key, value));
  }
  Status put_new(Table table, ByteSpan key, ByteSpan value) override {
    TAPER_CHECK(check_ours(table, key));
    return noted(txn_.put_new(table, key, value));
  }
  Status erase(Table table, ByteSpan key) override {
    TAPER_CHECK(check_ours(table, key));
    return noted(txn_.erase(table, key));
  }
  Result<std::uint64_t> append(LeafType type, std::string_view body) override {
    TAPER_ASSERT(type != LeafType::unset && type != LeafType::incarnation &&
                 type != LeafType::log_key);
    Result<std::uint64_t> number = append_record(txn_, state_, type, body);
    if (!number.ok() && number.code() != Code::too_large) {
      return Error(noted(Error(number.error())).error());
    }
    if (number.ok()) types_ |= bit(type);
    return number;
  }
  Result<bool> release(std::uint64_t size, const TreeHash& root) override {
    return answered(release_log(txn_, state_, size, root));
  }
  Result<bool> prune(const Needed& needed) override { return answered(prune_log(txn_, needed)); }

  bool appended() const { return types_ != 0; }
  // Whether this only records what has happened or stops something: it may use the last space.
  bool stops() const {
    constexpr std::uint32_t kStops = bit(LeafType::ending) | bit(LeafType::outcome) |
                                     bit(LeafType::terminal) | bit(LeafType::recovery) |
                                     bit(LeafType::release);
    constexpr std::uint32_t kStarts =
        bit(LeafType::import) | bit(LeafType::activation) | bit(LeafType::decision);
    return types_ == 0 || ((types_ & kStops) != 0 && (types_ & kStarts) == 0);
  }
  // The first operation that failed. A caller that overlooked it must not commit the rest.
  const Status& failure() const { return failure_; }

 private:
  static Status check(Table table, ByteSpan key) {
    TAPER_ASSERT(table < Table::count_);
    if (!key.empty() && key.size() <= limits::kStoreKeyBytesMax) return success();
    return Error(Code::store_failure,
                 {"key", "1.." + std::to_string(limits::kStoreKeyBytesMax) + " bytes",
                  std::to_string(key.size()), ""});
  }
  Status check_ours(Table table, ByteSpan key) {
    TAPER_ASSERT(table != Table::log_leaves && table != Table::log_nodes &&
                 table != Table::log_heads);
    TAPER_ASSERT(table != Table::meta || !as_text(key).starts_with(kReservedPrefix));
    return noted(check(table, key));
  }
  Status noted(Status status) {
    if (!status.ok() && status.code() != Code::key_present && failure_.ok()) {
      failure_ = Error(status.error());
    }
    return status;
  }
  Result<bool> answered(Result<bool> done) {
    if (!done.ok()) return Error(noted(Error(done.error())).error());
    return done;
  }

  EngineTxn& txn_;
  LogState& state_;
  std::uint32_t types_ = 0;  // of the records appended, a bit each
  Status failure_ = success();
};

}  // namespace

LogKeys::LogKeys(LogSeed seed)
    : seed_(std::move(seed)),
      key_(seed_.key()),
      next_seed_(seed_.next()),
      next_key_(next_seed_.key()) {}

void LogKeys::advance() {
  seed_ = std::move(next_seed_);
  key_ = std::move(next_key_);
  next_seed_ = seed_.next();
  next_key_ = next_seed_.key();
}

NodeStore::NodeStore(std::unique_ptr<Engine> engine, std::unique_ptr<StateFiles> files,
                     LoadedLog loaded, std::optional<LogKeys> keys)
    : engine_(std::move(engine)),
      files_(std::move(files)),
      identity_(std::move(loaded.identity)),
      state_(std::move(loaded.state)),
      keys_(std::move(keys)) {}

NodeStore::~NodeStore() { NodeStore::rest(); }

Status NodeStore::read(const std::function<Status(const ReadTxn&)>& look) const {
  TAPER_ASSERT(!writing_);
  TAPER_TRY(const std::unique_ptr<EngineTxn> txn, engine_->begin(Access::read));
  return look(*txn);
}

// Read from the tables, so that a reader beside the owner sees where the owner stands.
Result<LogHead> NodeStore::log_head() const {
  LogHead head;
  TAPER_CHECK(read([&head](const ReadTxn& txn) -> Status {
    TAPER_TRY(const LoadedLog loaded, load_log(txn));
    const LogState& state = loaded.state;
    head = {state.tree.size(), state.tree.root(),
            state.signed_head == 0 ? state.epoch - 1 : state.epoch};
    return success();
  }));
  return head;
}

Status NodeStore::sync_marker() { return files_ && keys_ ? files_->sync_marker() : success(); }

Result<Store::CommitFacts> NodeStore::commit(const std::function<Status(WriteTxn&)>& change) {
  TAPER_ASSERT(!writing_);
  if (!keys_) return Error(Code::store_failure, {"write", "", "opened for reading only", ""});
  rest();
  if (!refusal_.empty()) return Error(Code::store_failure, {"write", "", refusal_, ""});
  writing_ = true;
  Result<CommitFacts> facts = commit_guarded(change);
  writing_ = false;
  if (facts.code() == Code::commit_unknown) refusal_ = "an earlier commit's fate is unknown";
  if (facts.code() == Code::state_locked) refusal_ = "another process took the state";
  return facts;
}

Result<Store::CommitFacts> NodeStore::commit_guarded(
    const std::function<Status(WriteTxn&)>& change) {
  if (files_) TAPER_CHECK(files_->check_lock());
  TAPER_TRY(const std::unique_ptr<EngineTxn> txn, engine_->begin(Access::write));
  TAPER_CHECK(check_unmoved(*txn, state_));
  LogState next = state_;
  GuardedTxn guarded(*txn, next);
  TAPER_CHECK(change(guarded));
  if (!guarded.failure().ok()) return Error(guarded.failure().error());
  if (!guarded.stops()) TAPER_CHECK(txn->reserve());
  if (guarded.appended()) {
    TAPER_CHECK(sign_log_head(*txn, next, identity_.origin, keys_->key(), keys_->next()));
  }
  ++next.commit;
  TAPER_CHECK(save_log_state(*txn, next));
  TAPER_CHECK(txn->commit());
  settle(std::move(next));
  return CommitFacts{state_.commit, state_.tree.size()};
}

// The commit is durable whatever happens here; what fails here only stops the writes after it.
void NodeStore::settle(LogState next) {
  state_ = std::move(next);
  if (files_ && !files_->write_marker({identity_.incarnation, state_.commit}).ok()) {
    refusal_ = "the marker could not be written";
  }
}

bool NodeStore::owes_rest() const { return keys_ && keys_->seed().epoch() != state_.epoch; }

void NodeStore::rest() {
  if (!owes_rest()) return;
  keys_->advance();
  if (!files_) return;
  // Who took the state from us has moved its seed forward, perhaps further.
  Status done = files_->check_lock();
  if (done.ok()) done = files_->overwrite_seed(keys_->seed());
  if (!done.ok()) refusal_ = "log.seed could not be overwritten";
}

Result<Committed> Store::write(const std::function<Status(WriteTxn&)>& change) {
  TAPER_TRY(const CommitFacts facts, commit(change));
  return Committed(facts.commit, facts.log_size);
}

std::unique_ptr<Store> open_memory(const StateIdentity& identity, LogSeed log_seed) {
  std::unique_ptr<Engine> engine = make_memory_engine();
  Result<std::unique_ptr<EngineTxn>> txn = engine->begin(Access::write);
  TAPER_ASSERT(txn.ok());
  Result<LogState> state = found_log(*txn.value(), identity, log_seed);
  TAPER_ASSERT(state.ok() && txn.value()->commit().ok());
  txn.value().reset();
  return std::make_unique<NodeStore>(std::move(engine), nullptr,
                                     LoadedLog{identity, std::move(state).value()},
                                     LogKeys(std::move(log_seed)));
}

}  // namespace taper::store
