#include "runtime/authority/decision_record.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/explain.h"

namespace taper::authority {
namespace {

using capsules::Object;
using capsules::Value;

std::string_view verb_name(capsules::Verb verb) {
  switch (verb) {
    case capsules::Verb::unset: break;
    case capsules::Verb::discover: return "discover";
    case capsules::Verb::call: return "call";
    case capsules::Verb::poll: return "poll";
    case capsules::Verb::result: return "result";
    case capsules::Verb::update: return "update";
    case capsules::Verb::cancel: return "cancel";
    case capsules::Verb::retry: return "retry";
    case capsules::Verb::resume: return "resume";
  }
  return "start";  // of an agent's program: no verb of a grant
}

// What stands for an argument's value where the capsule keeps arguments out of the log. `json` is
// the value as a refusal tells it, or words of ours where there is none.
std::string kind_of_value(const std::string& json) {
  if (json.empty() || json == "nothing") return json;
  const std::string bytes = " of " + std::to_string(json.size()) + " bytes as JSON, not logged";
  switch (json.front()) {
    case '"': return "a string" + bytes;
    case '{': return "an object" + bytes;
    case '[': return "an array" + bytes;
    default: return "a value" + bytes;
  }
}

// A refusal names the argument, and may go on to a part of it.
bool kept_out(const capsules::Capsule& capsule, const std::string& field) {
  if (!capsule.log_all_arguments) return true;
  return std::any_of(capsule.log_except.begin(), capsule.log_except.end(),
                     [&field](const std::string& name) { return field.starts_with(name); });
}

std::string digest_of(const Value& value) {
  return crypto::hash(as_bytes(capsules::write_canonical(value))).hex();
}

// The arguments' canonical bytes hashed; where the capsule says so the arguments too, those it
// excepts as digests.
void add_arguments(Object& body, const Case& c, const capsules::Capsule* capsule) {
  if (!c.arguments) {
    body.emplace_back("arguments_digest", crypto::hash(c.request.arguments).hex());
    return;
  }
  body.emplace_back("arguments_digest", digest_of(*c.arguments));
  const bool whole = capsule != nullptr && capsule->log_all_arguments;
  if (!whole || c.ruling.failed == Question::log_quota) return;
  Object shown, digests;
  for (const auto& [name, value] : *c.arguments) {
    const auto& except = capsule->log_except;
    if (std::find(except.begin(), except.end(), name) == except.end()) {
      shown.emplace_back(name, value);
    } else {
      digests.emplace_back(name, digest_of(value));
    }
  }
  body.emplace_back("arguments", std::move(shown));
  if (!digests.empty()) body.emplace_back("arguments_except", std::move(digests));
}

void add_grant(Object& body, const LiveTask& task, const Case& c) {
  const Ruling& ruling = c.ruling;
  if (ruling.about == About::agent && ruling.tool != nullptr)
    body.emplace_back("tool_digest", ruling.tool->digest.hex());
  if (ruling.depth == 0) return;
  const std::size_t last = ruling.depth - 1;
  body.emplace_back("grant", printable(grant_at(ruling, 0).id));
  if (last > 0) body.emplace_back("kept_grant", printable(grant_at(ruling, last).id));
  if (ruling.tool != nullptr) body.emplace_back("tool_digest", ruling.tool->digest.hex());
  if (ruling.error || !is_asked(ruling.about, Question::budgets)) return;
  body.emplace_back("matched", matched_constraints(ruling));
  body.emplace_back("reserved_bytes", count_value(ruling.charge.bytes));
  body.emplace_back("reserved_cpu_ms", count_value(ruling.charge.cpu_ms));
  const std::vector<std::string>& secrets = task.root().grants[ruling.line[0]].secrets;
  if (!secrets.empty())
    body.emplace_back("secrets", capsules::Array(secrets.begin(), secrets.end()));
  capsules::Array labels;
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    for (const std::string& label : grant_at(ruling, level).labels) {
      if (!task.labels.contains(label)) labels.emplace_back(label);
    }
  }
  if (!labels.empty()) body.emplace_back("labels", std::move(labels));
  if (!ruling.once.is_zero()) body.emplace_back("once", ruling.once.hex());
}

}  // namespace

Object decision_body(const TaskId& id, const TaskRecord& record, const Chains& chains,
                     const LiveTask* task, const Case& c) {
  Object body = task_body(c.request.handle_ttl_ms ? "create" : verb_name(c.request.verb), id,
                          record, c.now, caller_of(chains, c.request.chain));
  body.emplace_back("decision", c.decision.hex());
  body.emplace_back("verdict", c.ruling.error ? "deny" : "allow");
  body.emplace_back("step", printable(c.request.step));
  body.emplace_back("tool", printable(c.request.tool));
  if (c.ruling.error) {
    body.emplace_back("question", question_name(c.ruling.failed));
    add_error(body, *c.ruling.error);
  } else {
    body.emplace_back("number", count_value(0));
  }
  if (!c.handle.is_zero()) body.emplace_back("call", c.handle.hex());
  if (!c.request.trace.empty()) body.emplace_back("trace", printable(c.request.trace));
  if (!c.input.is_zero()) body.emplace_back("input_digest", c.input.hex());
  capsules::Array found;
  for (const DiscoveredGrant& grant : c.found) found.emplace_back(printable(grant.id));
  if (c.request.verb == capsules::Verb::discover) body.emplace_back("grants", std::move(found));
  if (task != nullptr) add_grant(body, *task, c);
  add_arguments(body, c, task == nullptr ? nullptr : &task->root());
  return body;
}

Error loggable(const Error& error, Question failed, const LiveTask& task) {
  if (failed != Question::arguments || !kept_out(task.root(), error.detail().field)) return error;
  ErrorDetail detail = error.detail();
  detail.got = kind_of_value(detail.got);
  return Error(error.code(), std::move(detail));
}

}  // namespace taper::authority
