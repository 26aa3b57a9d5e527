// One node with a fleet, a clock that stands where it is put, and a store of maps.
#pragma once

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "runtime/authority/authority.h"
#include "tests/support/capsule_maker.h"
#include "tests/support/map_store.h"

namespace taper::testing {

inline std::string json(std::string_view path) {
  return "{\"path\":\"" + std::string(path) + "\"}";
}

struct Node {
  Node() : clock({5'000'000, kNowS, boot(1)}) {
    TAPER_ASSERT(crypto_ready.ok());
    fleet = make_fleet();
    store = std::make_unique<MapStore>();
    tools = authority::builtin_tools();
    start();
    REQUIRE(authority->import_root(fleet.root_file, std::nullopt, clock.now()).ok());
  }

  static BootId boot(std::uint8_t number) {
    BootId id;
    id.bytes[0] = number;
    return id;
  }

  authority::NodeFacts facts() const {
    return {fleet.node,         fleet.incarnation,
            "pump-07",          {"/var/lib/taper", "/etc/taper/keys"},
            capsules::Tier::t2, {}};
  }

  void start() {
    auto started = authority::Authority::start(*store, facts(), clock.now());
    REQUIRE(started.code() == Code::ok);
    authority = std::move(started).value();
  }

  // The process dies and starts again over what is on the disk.
  void restart() {
    authority.reset();
    store = std::make_unique<MapStore>(store->disk());
    start();
  }

  authority::ActivationRequest request(const Bytes& file, const crypto::SigningKey& holder,
                                       std::map<std::string, std::string> inputs = {}) {
    authority::ActivationRequest request;
    request.capsule_file = file;
    request.challenge = authority->challenge();
    request.inputs = std::move(inputs);
    const auto& root = *authority->root();
    const auto opened = capsules::open(file, root);
    const Hash chain = opened ? opened->chain() : Hash{};
    request.proof =
        holder.sign(crypto::statement::kActivation,
                    authority::activation_statement(root.fleet(), fleet.node, fleet.incarnation,
                                                    chain, request.challenge, request.inputs));
    return request;
  }

  Result<authority::Activation> activate(const Bytes& file, const crypto::SigningKey& holder) {
    return authority->activate(request(file, holder), tools, clock.now());
  }
  Result<authority::Activation> activate(const Bytes& file) {
    return authority->activate(request(file, fleet.holder_key), tools, clock.now());
  }

  TaskId activated(const capsules::Capsule& capsule) {
    const auto activation = activate(sign_capsule(fleet, capsule));
    REQUIRE(activation.code() == Code::ok);
    return activation->task;
  }
  TaskId activated() { return activated(sample_capsule(fleet)); }

  // The chain that calls: `as`, where a test sets it, else the one that activated the task.
  Hash caller(const TaskId& task) const {
    const auto* capsule = authority->capsule(task);
    return as ? *as : capsule == nullptr ? Hash{} : capsule->chain();
  }

  authority::Decision call(const TaskId& task, std::string tool, std::string_view arguments,
                           capsules::Verb verb = capsules::Verb::call) {
    authority::CallRequest request{
        task, caller(task), verb, std::move(tool), to_bytes(as_bytes(arguments)), "step-1"};
    auto decision = authority->authorise(request, tools, clock.now());
    REQUIRE(decision.code() == Code::ok);
    return std::move(decision).value();
  }

  // The number a call is refused with; ok when it is allowed.
  Code refused(const TaskId& task, std::string tool, std::string_view arguments,
               capsules::Verb verb = capsules::Verb::call) {
    const auto decision = call(task, std::move(tool), arguments, verb);
    const auto* denial = std::get_if<authority::Denial>(&decision);
    return denial == nullptr ? Code::ok : denial->error.code();
  }

  authority::Allowed allowed(const TaskId& task, std::string tool, std::string_view arguments) {
    auto decision = call(task, std::move(tool), arguments);
    REQUIRE(std::holds_alternative<authority::Allowed>(decision));
    return std::get<authority::Allowed>(std::move(decision));
  }

  authority::Denial denied(const TaskId& task, std::string tool, std::string_view arguments) {
    auto decision = call(task, std::move(tool), arguments);
    REQUIRE(std::holds_alternative<authority::Denial>(decision));
    return std::get<authority::Denial>(std::move(decision));
  }

  authority::EndReason settle(const CallId& call, authority::CallState state, Code code = Code::ok,
                              std::uint64_t bytes = 10) {
    authority::Outcome outcome;
    outcome.state = state;
    outcome.code = code;
    outcome.result_bytes = bytes;
    const auto reason = authority->settle(call, outcome, clock.now());
    REQUIRE(reason.code() == Code::ok);
    return *reason;
  }

  authority::TaskState end(const TaskId& task, authority::EndReason reason) {
    REQUIRE(authority->begin_ending(task, reason, clock.now()).ok());
    const auto state = authority->finish(task, clock.now());
    REQUIRE(state.code() == Code::ok);
    return *state;
  }

  authority::TaskView show(const TaskId& task) {
    auto view = authority::show_task(*store, task, clock.now());
    REQUIRE(view.code() == Code::ok);
    return std::move(view).value();
  }

  Status crypto_ready = crypto::initialise();  // before any key is made
  ManualClock clock;
  Fleet fleet;
  std::unique_ptr<MapStore> store;
  authority::Tools tools;
  std::unique_ptr<authority::Authority> authority;
  std::optional<Hash> as;
};

inline capsules::Value parsed(const std::string& record) {
  auto value = capsules::parse_value(as_bytes(record), record.size());
  REQUIRE(value.ok());
  return std::move(value).value();
}

inline std::string member(const std::string& record, std::string_view key) {
  const capsules::Value value = parsed(record);
  const capsules::Value* found = value.find(key);
  if (found == nullptr) return "(none)";
  return found->text() != nullptr ? *found->text() : capsules::write_canonical(*found);
}

}  // namespace taper::testing
