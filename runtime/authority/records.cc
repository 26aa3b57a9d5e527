#include "runtime/authority/records.h"

#include "crypto/crypto.h"

namespace taper::authority {
namespace {

// One list of fields serves both directions, so that they cannot differ.
class Writer {
 public:
  Writer& operator()(bool value) { return out_.u8(value), *this; }
  Writer& operator()(std::int64_t value) { return out_.i64(value), *this; }
  Writer& operator()(std::uint64_t value) { return out_.u64(value), *this; }
  Writer& operator()(const std::string& value) { return out_.text(value), *this; }
  template <class Tag, std::size_t Size>
  Writer& operator()(const Id<Tag, Size>& id) {
    return out_.raw(id.span()), *this;
  }
  template <class Enum>
    requires(std::is_enum_v<Enum>)
  Writer& operator()(Enum value) {
    return out_.u16(static_cast<std::uint16_t>(value)), *this;
  }
  Bytes take() { return std::move(out_).bytes(); }

 private:
  ByteWriter out_;
};

class Reader {
 public:
  explicit Reader(ByteSpan bytes) : in_(bytes) {}
  Reader& operator()(bool& value) {
    const std::uint8_t flag = in_.u8();
    if (flag > 1) in_.take(in_.left() + 1);  // fails for good
    return value = flag == 1, *this;
  }
  Reader& operator()(std::int64_t& value) { return value = in_.i64(), *this; }
  Reader& operator()(std::uint64_t& value) { return value = in_.u64(), *this; }
  Reader& operator()(std::string& value) {
    return value = in_.text(limits::kAuditRecordBytesMax), *this;
  }
  template <class Tag, std::size_t Size>
  Reader& operator()(Id<Tag, Size>& id) {
    return id = Id<Tag, Size>::from(in_.take(Size)).value_or(Id<Tag, Size>{}), *this;
  }
  template <class Enum>
    requires(std::is_enum_v<Enum>)
  Reader& operator()(Enum& value) {
    return value = static_cast<Enum>(in_.u16()), *this;
  }
  bool ok() const { return in_.ok(); }
  bool done() const { return in_.done(); }

 private:
  ByteReader in_;
};

template <class Archive>
void fields(Archive& a, Now& now) {
  a(now.boot_ms)(now.wall_s)(now.boot_id);
}

template <class Archive>
void fields(Archive& a, TimeState& state) {
  a(state.hard_ms)(state.base_ms)(state.soft_s)(state.settled_ms);
  fields(a, state.at);
  bool anchored = state.anchor.has_value();
  a(anchored);
  if (!anchored) return;
  if (!state.anchor) state.anchor.emplace();
  a(state.anchor->hi_ms)(state.anchor->boot_ms);
}

template <class Archive>
void fields(Archive& a, TimeNonces& nonces) {
  auto count = std::uint64_t{nonces.given.size()};
  a(nonces.boot_id)(count);
  nonces.given.resize(std::min<std::uint64_t>(count, limits::kTimeNoncesMax));
  for (TimeNonce& given : nonces.given) a(given.nonce)(given.minted_ms)(given.used);
}

template <class Archive>
void fields(Archive& a, TaskRecord& r) {
  a(r.capsule)(r.chain)(r.holder)(r.issuer)(r.serial)(r.root_version);
  a(r.purpose)(r.requester)(r.agent)(r.tenant);
  a(r.activated_s)(r.not_after_s)(r.ttl_ms)(r.idle_ms)(r.long_lease);
  a(r.end_on.completion)(r.end_on.failure)(r.end_on.denials)(r.end_on.violation);
  a(r.end_on.tool_drift)(r.end_on.policy_drift)(r.end_on.clock_step);
  a(r.inputs)(r.policy)(r.state)(r.reason)(r.active_ms)(r.idle_used_ms);
  fields(a, r.seen);
  a(r.denials)(r.calls)(r.log_bytes);
}

template <class Archive>
void fields(Archive& a, HandleRecord& r) {
  fields(a, r.created);
  fields(a, r.updated);
  a(r.from_ms)(r.ttl_ms)(r.lineage)(r.kept)(r.cancelled)(r.arguments);
}

template <class Archive>
void fields(Archive& a, CallRecord& r) {
  a(r.id)(r.chain)(r.decision)(r.grant)(r.read_only)(r.step)(r.state)(r.code)(r.once);
  a(r.result);
  bool handled = r.handle.has_value();
  a(handled);
  if (!handled) return;
  if (!r.handle) r.handle.emplace();
  fields(a, *r.handle);
}

template <class Archive>
void fields(Archive& a, ChainRecord& r) {
  a(r.holder)(r.idle_ms)(r.ended);
}

template <class Archive>
void fields(Archive& a, Spent& spent) {
  a(spent.calls)(spent.bytes)(spent.cpu_ms)(spent.sum)(spent.rate_debt);
  fields(a, spent.rate_at);
}

template <class Archive>
void fields(Archive& a, Answer& answer) {
  a(answer.question)(answer.passed)(answer.expected)(answer.got);
}

template <class T>
Bytes encode(T value) {
  Writer out;
  fields(out, value);
  return out.take();
}

Error corrupt(const char* what) { return Error(Code::store_corrupt, {what, "a record", "", ""}); }

template <class T>
Result<T> decode(ByteSpan bytes, const char* what) {
  Reader in(bytes);
  T value;
  fields(in, value);
  if (!in.done()) return corrupt(what);
  return value;
}

const char* missing_part(const TaskRecord& record) {
  if (record.capsule.is_zero() || record.chain.is_zero()) return "capsule";
  if (record.holder.is_zero()) return "holder";
  if (record.issuer.is_zero()) return "issuer";
  if (record.root_version == 0) return "root version";
  if (record.purpose.empty()) return "purpose";
  if (record.requester.empty()) return "requester";
  if (record.agent.empty()) return "agent";
  if (record.tenant.empty()) return "tenant";
  if (record.ttl_ms <= 0) return "lease ttl";
  if (record.idle_ms <= 0) return "lease idle";
  if (record.not_after_s <= 0) return "not_after";
  if (record.end_on.denials <= 0) return "end_on";
  if (record.state == TaskState::unset) return "state";
  return nullptr;
}

}  // namespace

Result<Bytes> encode_task(const TaskRecord& record) {
  if (const char* part = missing_part(record); part != nullptr)
    return Error(Code::field_missing, {part, "every task has one", "none", ""});
  return encode(record);
}

Result<TaskRecord> decode_task(ByteSpan bytes) {
  TAPER_TRY(TaskRecord record, decode<TaskRecord>(bytes, "task"));
  const bool in_range =
      record.state <= TaskState::exhausted && record.reason <= EndReason::revocation;
  if (!in_range || missing_part(record) != nullptr) return corrupt("task");
  return record;
}

Caller caller_of(const Chains& chains, const Hash& chain) {
  const auto found = chains.find(chain);
  return {chain, found == chains.end() ? PublicKey{} : found->second.holder};
}

std::vector<PastCall> past_calls_of(const std::vector<CallRecord>& calls, const Chains& chains) {
  std::vector<PastCall> past;
  for (const CallRecord& call : calls) {
    const bool repeatable = call.read_only || !call.once.is_zero();
    past.push_back({call.step, call.id, caller_of(chains, call.chain).holder, call.decision,
                    call.state, call.code, repeatable, call.result,
                    static_cast<std::size_t>(call.grant)});
  }
  return past;
}

Bytes encode_call(const CallRecord& record) { return encode(record); }

Result<CallRecord> decode_call(ByteSpan bytes) {
  TAPER_TRY(CallRecord record, decode<CallRecord>(bytes, "call"));
  const HandleRecord handle = record.handle.value_or(HandleRecord{});
  const bool waits = record.state == CallState::waiting;
  const bool in_range = record.state != CallState::unset && record.state <= CallState::waiting &&
                        handle.from_ms >= 0 && handle.ttl_ms >= 0 &&
                        handle.ttl_ms <= limits::kHandleTtlMaxMs &&
                        waits != handle.arguments.is_zero();
  if (!in_range) return corrupt("call");
  return record;
}

Bytes encode_spent(const Spent& spent) { return encode(spent); }
Result<Spent> decode_spent(ByteSpan bytes) { return decode<Spent>(bytes, "budget"); }

namespace {

template <class T>
Result<T> read_meta(const store::ReadTxn& txn, const char* key) {
  TAPER_TRY(const auto found, txn.get(store::Table::meta, as_bytes(key)));
  if (!found) return T();
  return decode<T>(*found, key);
}

}  // namespace

Status put_time(store::WriteTxn& txn, const TimeState& state) {
  return txn.put(store::Table::meta, as_bytes("time"), encode(state));
}
Result<TimeState> read_time(const store::ReadTxn& txn) { return read_meta<TimeState>(txn, "time"); }
Status put_nonces(store::WriteTxn& txn, const TimeNonces& nonces) {
  return txn.put(store::Table::meta, as_bytes("time nonces"), encode(nonces));
}
Result<TimeNonces> read_nonces(const store::ReadTxn& txn) {
  return read_meta<TimeNonces>(txn, "time nonces");
}

Bytes encode_decision(const DecisionView& view) {
  Writer out;
  out(view.record)(std::uint64_t{view.answers.size()});
  for (Answer answer : view.answers) fields(out, answer);
  return out.take();
}

Result<DecisionView> decode_decision(ByteSpan bytes) {
  Reader in(bytes);
  DecisionView view;
  std::uint64_t count = 0;
  in(view.record)(count);
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) fields(in, view.answers.emplace_back());
  if (!in.done()) return corrupt("decision");
  return view;
}

Bytes encode_inputs(const std::map<std::string, std::string>& inputs) {
  Writer out;
  out(std::uint64_t{inputs.size()});
  for (const auto& [name, value] : inputs) out(name)(value);
  return out.take();
}

Result<std::map<std::string, std::string>> decode_inputs(ByteSpan bytes) {
  Reader in(bytes);
  std::map<std::string, std::string> inputs;
  std::uint64_t count = 0;
  in(count);
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    std::string name, value;
    in(name)(value);
    inputs[name] = value;
  }
  if (!in.done()) return corrupt("inputs");
  return inputs;
}

Bytes call_key(const TaskId& task, std::uint64_t number) {
  return ByteWriter().raw(task.span()).raw(big_endian(number)).bytes();
}

Bytes budget_key(const Hash& capsule, const Hash& block, const std::string& grant) {
  return ByteWriter().raw(capsule.span()).raw(block.span()).raw(as_bytes(grant)).bytes();
}

Bytes inputs_key(const TaskId& task) {
  return ByteWriter().raw(task.span()).raw(as_bytes("inputs")).bytes();
}

Bytes chain_key(const TaskId& task, const Hash& chain) {
  return ByteWriter().raw(task.span()).raw(as_bytes("chain")).raw(chain.span()).bytes();
}

Bytes label_key(const Hash& capsule, const std::string& label) {
  return ByteWriter().raw(as_bytes("label")).raw(capsule.span()).raw(as_bytes(label)).bytes();
}

Bytes once_key(const Hash& capsule, const Hash& once) {
  return ByteWriter().raw(as_bytes("call")).raw(capsule.span()).raw(once.span()).bytes();
}

Bytes capsule_key(const Hash& capsule, const Hash& chain) {
  return ByteWriter().raw(capsule.span()).raw(chain.span()).bytes();
}

Bytes serial_key(const Hash& issuer, std::uint64_t serial) {
  return ByteWriter().raw(issuer.span()).raw(big_endian(serial)).bytes();
}

namespace {

Result<std::uint32_t> read_count(const store::ReadTxn& txn, ByteSpan key) {
  TAPER_TRY(const auto found, txn.get(store::Table::activations, key));
  if (!found) return std::uint32_t{0};
  ByteReader in(*found);
  const std::uint32_t count = in.u32();
  if (!in.done()) return corrupt("activations");
  return count;
}

}  // namespace

Result<std::uint32_t> read_activations(const store::ReadTxn& txn, const Hash& capsule) {
  return read_count(txn, capsule.span());
}

Bytes kept_key(const Hash& issuer) {
  return ByteWriter().raw(as_bytes("kept")).raw(issuer.span()).bytes();
}

Result<std::uint32_t> read_kept(const store::ReadTxn& txn, const Hash& issuer) {
  return read_count(txn, kept_key(issuer));
}

Result<std::optional<TaskRecord>> read_task(const store::ReadTxn& txn, const TaskId& task) {
  TAPER_TRY(const auto found, txn.get(store::Table::tasks, task.span()));
  if (!found) return std::optional<TaskRecord>();
  TAPER_TRY(TaskRecord record, decode_task(*found));
  return std::optional<TaskRecord>(std::move(record));
}

Status visit_tasks(const store::ReadTxn& txn,
                   const std::function<Status(const TaskId&, const TaskRecord&)>& visit) {
  Status status = success();
  TAPER_CHECK(txn.scan(store::Table::tasks, {}, [&](ByteSpan key, ByteSpan value) {
    const std::optional<TaskId> task = TaskId::from(key);
    if (!task) return true;  // its inputs
    const Result<TaskRecord> record = decode_task(value);
    status = record ? visit(*task, *record) : Status(record.error());
    return status.ok();
  }));
  return status;
}

Result<std::set<std::string>> read_labels(const store::ReadTxn& txn, const Hash& capsule) {
  std::set<std::string> labels;
  const Bytes prefix = label_key(capsule, "");
  TAPER_CHECK(txn.scan(store::Table::replay, prefix, [&](ByteSpan key, ByteSpan) {
    labels.emplace(as_text(key.subspan(prefix.size())));
    return true;
  }));
  return labels;
}

CallState state_of_id(const CallRecord& call) {
  return never_ran(call.state, call.code) ? CallState::interrupted : call.state;
}

Result<std::map<Hash, CallState>> read_once(const store::ReadTxn& txn, const Hash& capsule) {
  std::map<Hash, CallState> once;
  const Bytes prefix = ByteWriter().raw(as_bytes("call")).raw(capsule.span()).bytes();
  Status status = success();
  TAPER_CHECK(txn.scan(store::Table::replay, prefix, [&](ByteSpan key, ByteSpan call) {
    const auto id = Hash::from(key.subspan(prefix.size()));
    const auto found = txn.get(store::Table::calls, call);
    const bool known = found && found->has_value();
    const Result<CallRecord> record = known ? decode_call(**found) : CallRecord{};
    status = !found ? Status(found.error()) : !record ? Status(record.error()) : success();
    if (!id) status = corrupt("call");
    if (!status) return false;
    once[*id] = known ? state_of_id(*record) : CallState::done;
    return true;
  }));
  TAPER_CHECK(std::move(status));
  return once;
}

Result<Chains> read_chains(const store::ReadTxn& txn, const TaskId& task) {
  Chains chains;
  const Bytes prefix = ByteWriter().raw(task.span()).raw(as_bytes("chain")).bytes();
  Status status = success();
  TAPER_CHECK(txn.scan(store::Table::tasks, prefix, [&](ByteSpan key, ByteSpan value) {
    const auto chain = Hash::from(key.subspan(prefix.size()));
    const Result<ChainRecord> record = decode<ChainRecord>(value, "chain");
    status = chain && record ? success() : Status(corrupt("chain"));
    if (status.ok()) chains[*chain] = *record;
    return status.ok();
  }));
  TAPER_CHECK(std::move(status));
  return chains;
}

Status put_chain(store::WriteTxn& txn, const TaskId& task, const Hash& chain,
                 const ChainRecord& record) {
  return txn.put(store::Table::tasks, chain_key(task, chain), encode(record));
}

Result<std::vector<CallRecord>> read_calls(const store::ReadTxn& txn, const TaskId& task) {
  std::vector<CallRecord> calls;
  Status status = success();
  TAPER_CHECK(txn.scan(store::Table::calls, task.span(), [&](ByteSpan, ByteSpan value) {
    Result<CallRecord> call = decode_call(value);
    if (!call) {
      status = call.error();
      return false;
    }
    calls.push_back(std::move(call).value());
    return true;
  }));
  TAPER_CHECK(std::move(status));
  return calls;
}

capsules::Value count_value(std::uint64_t count) {
  return capsules::Value(static_cast<std::int64_t>(count));
}

capsules::Object identity_members(const TaskId& task, const TaskRecord& record,
                                  const Caller& caller) {
  capsules::Object out{{"task", task.hex()},
                       {"capsule", record.capsule.hex()},
                       {"chain", caller.chain.hex()},
                       {"issuer", record.issuer.hex()},
                       {"serial", std::to_string(record.serial)},
                       {"root_version", count_value(record.root_version)},
                       {"requester", printable(record.requester)},
                       {"agent", printable(record.agent)},
                       {"purpose", printable(record.purpose)},
                       {"tenant", printable(record.tenant)},
                       {"holder", caller.holder.hex()}};
  if (record.long_lease) out.emplace_back("long_lease", true);
  return out;
}

void add_clocks(capsules::Object& body, const Now& now) {
  body.emplace_back("boot", now.boot_id.hex());
  body.emplace_back("boot_ms", now.boot_ms);
  body.emplace_back("wall", format_utc_s(now.wall_s));
}

std::string printable(std::string_view text) {
  const std::string_view head = text.substr(0, limits::kTextBytesMax);
  return is_utf8(head) ? std::string(head) : escape_text(head);
}

}  // namespace taper::authority
