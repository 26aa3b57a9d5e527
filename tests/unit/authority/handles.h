// A node whose sample capsule has every verb, and calls that are made with a handle.
#pragma once

#include "tests/unit/authority/harness.h"

namespace taper::testing {

inline const std::string kPump = json("/var/log/plant/pump");
inline constexpr std::int64_t kTtlMs = 60'000;

struct HandleNode : Node {
  using Verb = capsules::Verb;
  static constexpr std::array kAccess = {Verb::poll, Verb::result, Verb::update, Verb::cancel};

  capsules::Capsule capsule_with(std::vector<Verb> verbs) {
    capsules::Capsule capsule = sample_capsule(fleet);
    for (capsules::Grant& grant : capsule.grants) grant.verbs = verbs;
    capsule.max_depth = 3;
    capsule.end_on.denials = 1000;
    return capsule;
  }
  capsules::Capsule capsule_with_all() {
    return capsule_with(
        {Verb::discover, Verb::call, Verb::poll, Verb::result, Verb::update, Verb::cancel});
  }

  // A call of `as`, or the chain that activated the task.
  CallId made(const TaskId& task, std::optional<std::int64_t> ttl_ms = kTtlMs,
              const std::string& arguments = kPump) {
    const authority::CallRequest request{
        task, caller(task), Verb::call, "file.read", to_bytes(as_bytes(arguments)), "", ttl_ms};
    auto decision = authority->authorise(request, tools, clock.now());
    REQUIRE(decision.code() == Code::ok);
    REQUIRE(std::holds_alternative<authority::Allowed>(*decision));
    return std::get<authority::Allowed>(*decision).call;
  }

  authority::Access access(const TaskId& task, const CallId& call, Verb verb) {
    auto access = authority->access({task, caller(task), verb, call}, clock.now());
    REQUIRE(access.code() == Code::ok);
    return std::move(access).value();
  }
  authority::CallView seen(const TaskId& task, const CallId& call, Verb verb = Verb::poll) {
    const auto answer = access(task, call, verb);
    REQUIRE(std::holds_alternative<authority::CallView>(answer));
    return std::get<authority::CallView>(answer);
  }
  // The number it is refused with; ok when it is allowed.
  Code refused_access(const TaskId& task, const CallId& call, Verb verb = Verb::poll) {
    const auto answer = access(task, call, verb);
    const auto* denial = std::get_if<authority::Denial>(&answer);
    return denial == nullptr ? Code::ok : denial->error.code();
  }
  std::string last_decision() const { return store->records(store::LeafType::decision).back(); }
};

}  // namespace taper::testing
