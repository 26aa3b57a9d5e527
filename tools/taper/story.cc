#include "tools/taper/story.h"

#include <algorithm>
#include <map>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/log_source.h"

namespace taper::tools {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

// A task's records stay within its log quota; only a foreign file or a huge quota has more.
constexpr std::size_t kStoryBytesMax = 4 * limits::kTaskLogQuotaBytes;

constexpr std::string_view kIdentity[] = {"purpose", "requester", "agent",     "tenant",
                                          "holder",  "issuer",    "serial",    "root_version",
                                          "capsule", "chain",     "long_lease"};
constexpr std::string_view kOfCall[] = {"verb",
                                        "verdict",
                                        "step",
                                        "tool",
                                        "tool_digest",
                                        "grant",
                                        "kept_grant",
                                        "matched",
                                        "arguments",
                                        "arguments_digest",
                                        "arguments_except",
                                        "labels",
                                        "secrets",
                                        "once",
                                        "question",
                                        "number",
                                        "name",
                                        "field",
                                        "expected",
                                        "got",
                                        "denials",
                                        "ends_task",
                                        "holder",
                                        "chain",
                                        "input_digest",
                                        "grants",
                                        "handle_ttl_ms"};
constexpr std::string_view kOfOutcome[] = {"outcome", "number", "name",         "detail", "subject",
                                           "exit",    "cpu_ms", "result_bytes", "result"};

// A number or a text as people read it; empty where there is none.
std::string word_of(const Value& body, std::string_view name) {
  const Value* found = body.find(name);
  if (found == nullptr) return {};
  if (found->text() != nullptr) return escape_text(*found->text());
  return found->is_null() ? std::string() : escape_text(capsules::write_canonical(*found));
}

void add(std::string& line, const std::string& before, const std::string& word) {
  if (!word.empty()) line += before + word;
}

template <class Names>
void copy_members(const Value& body, const Names& names, Object& out) {
  for (const std::string_view name : names)
    if (const Value* found = body.find(name)) out.emplace_back(std::string(name), *found);
}

std::string error_words(const Value& body) {
  std::string words = "E" + word_of(body, "number") + " " + word_of(body, "name");
  add(words, " at ", word_of(body, "question"));
  add(words, ": ", word_of(body, "field"));
  add(words, ", expected ", word_of(body, "expected"));
  add(words, ", got ", word_of(body, "got"));
  return words;
}

std::int64_t whole(const Value& body, std::string_view name) {
  const Value* found = body.find(name);
  return found == nullptr || found->integer() == nullptr ? 0 : *found->integer();
}

bool is_error(std::int64_t number) { return number > describe(Code::ok).number; }

// "path under /var/log, max_bytes at most 10"
std::string matched_words(const Value& body) {
  std::string words;
  const Value* matched = body.find("matched");
  if (matched == nullptr || matched->object() == nullptr) return words;
  for (const auto& [name, rules] : *matched->object()) {
    words += (words.empty() ? "" : ", ") + escape_text(name);
    if (rules.array() == nullptr) continue;
    std::string before = " ";
    for (const Value& rule : *rules.array()) {
      if (rule.text() != nullptr) add(words, before, escape_text(*rule.text()));
      before = " and ";
    }
  }
  return words;
}

std::string what_was_asked(const Value& body) {
  std::string words = word_of(body, "verb");
  add(words, "  ", word_of(body, "step"));
  add(words, "  ", word_of(body, "tool"));
  return words;
}

std::string decision_words(const Value& body) {
  const bool allowed = member(body, "verdict") == "allow";
  std::string words = (allowed ? "allowed  " : "refused  ") + what_was_asked(body);
  if (!allowed) words += "  " + error_words(body);
  add(words, "  by grant ", word_of(body, "grant"));
  add(words, ", kept as ", word_of(body, "kept_grant"));
  add(words, "  because ", matched_words(body));
  const std::string arguments = word_of(body, "arguments");
  add(words, "  arguments ", arguments);
  if (arguments.empty()) add(words, "  arguments' digest ", word_of(body, "arguments_digest"));
  add(words, "  tells ", word_of(body, "grants"));
  add(words, "  labels ", word_of(body, "labels"));
  if (!allowed) add(words, "  denial ", word_of(body, "denials"));
  add(words, "  ends the task by ", word_of(body, "ends_task"));
  return words + "  decision " + word_of(body, "decision");
}

std::string outcome_words(const Value& body) {
  std::string words = "outcome  ";
  add(words, "", word_of(body, "step"));
  add(words, "  ", word_of(body, "tool"));
  add(words, "  ", word_of(body, "outcome"));
  if (is_error(whole(body, "number"))) words += "  " + error_words(body);
  add(words, ": ", word_of(body, "detail"));
  add(words, "  bytes ", word_of(body, "result_bytes"));
  if (whole(body, "exit") != 0) add(words, "  exit ", word_of(body, "exit"));
  return words + "  decision " + word_of(body, "decision");
}

std::string activation_words(const Value& body) {
  std::string words = member(body, "verb") == "activate" ? "activated  capsule " : "attached  ";
  words += member(body, "verb") == "activate"
               ? word_of(body, "capsule")
               : word_of(body, "verb") + "  chain " + word_of(body, "chain");
  add(words, "  holder ", word_of(body, "holder"));
  add(words, "  activation ", word_of(body, "activation"));
  const Value* ttl = body.find("ttl_ms");
  if (ttl != nullptr && ttl->integer() != nullptr)
    words += "  lease " + format_duration_ms(*ttl->integer());
  add(words, "  not after ", word_of(body, "not_after"));
  add(words, "  incarnation ", word_of(body, "incarnation"));
  return words;
}

std::string recovery_words(const Value& body, const std::string& task) {
  const Value* tasks = body.find("tasks");
  if (tasks == nullptr || tasks->array() == nullptr) return "recovered";
  for (const Value& one : *tasks->array())
    if (member(one, "task") == task)
      return "recovered  was " + word_of(one, "was") + ", now " + word_of(one, "now") + ", " +
             word_of(one, "interrupted") + " calls interrupted";
  return "recovered";
}

bool is_program(const Value& body) { return member(body, "verb") == "start"; }

}  // namespace

Status Story::see(const store::LogRecord& record) {
  if (record.body.find(task_) == std::string_view::npos) return success();
  Value body = body_of(record);
  if (!is_about(body, task_)) return success();
  bytes_ += record.body.size();
  if (bytes_ > kStoryBytesMax)
    return Error(Code::too_large,
                 {"records of the task", "at most " + std::to_string(kStoryBytesMax) + " bytes",
                  "more", "'taper audit show --task' prints them one by one"});
  events_.push_back({record.number, std::string(record.type_name), std::move(body)});
  return success();
}

const Story::Event* Story::first(std::string_view type) const {
  const auto found = std::ranges::find(events_, type, &Event::type);
  return found == events_.end() ? nullptr : &*found;
}

// Each decision with what became of it; a program that is the agent among them, by the verb start.
Array Story::calls() const {
  Array out;
  std::map<std::string, std::size_t, std::less<>> by_decision;
  for (const Event& event : events_) {
    const std::string_view decision = member(event.body, "decision");
    if (event.type == "decision") {
      Object call{{"record", static_cast<std::int64_t>(event.number)},
                  {"at", std::string(member(event.body, "wall"))},
                  {"decision", std::string(decision)},
                  {"call", std::string(member(event.body, "call"))}};
      copy_members(event.body, kOfCall, call);
      call.emplace_back("outcome", Value());
      by_decision[std::string(decision)] = out.size();
      out.emplace_back(std::move(call));
    } else if (event.type == "outcome") {
      const auto at = by_decision.find(decision);
      if (at == by_decision.end()) continue;
      Object outcome{{"record", static_cast<std::int64_t>(event.number)},
                     {"at", std::string(member(event.body, "wall"))}};
      copy_members(event.body, kOfOutcome, outcome);
      out[at->second].object()->back().second = std::move(outcome);
    }
  }
  return out;
}

Object Story::value() const {
  Object out{{"task", task_}};
  // A recovery's record has no identity.
  const auto whole = std::ranges::find_if(
      events_, [](const Event& event) { return event.body.find("capsule") != nullptr; });
  if (whole != events_.end()) copy_members(whole->body, kIdentity, out);
  const auto bodies = [this](std::string_view type) {
    Array list;
    for (const Event& event : events_) {
      if (event.type != type) continue;
      Object one{{"record", static_cast<std::int64_t>(event.number)}};
      one.emplace_back("body", event.body);
      list.emplace_back(std::move(one));
    }
    return list;
  };
  out.emplace_back("activations", bodies("activation"));
  out.emplace_back("calls", calls());
  out.emplace_back("readings", bodies("reading"));
  out.emplace_back("orders", bodies("order"));
  out.emplace_back("recoveries", bodies("recovery"));
  const Event* ending = first("ending");
  const Event* end = first("terminal");
  const auto told = [](const Event* event) {
    if (event == nullptr) return Value();
    Object one{{"record", static_cast<std::int64_t>(event->number)},
               {"at", std::string(member(event->body, "wall"))}};
    for (const std::string_view name :
         {"verb", "state", "reason", "calls", "denials", "active_ms", "uid", "expected", "got"})
      if (const Value* found = event->body.find(name)) one.emplace_back(std::string(name), *found);
    return Value(std::move(one));
  };
  out.emplace_back("ending", told(ending));
  out.emplace_back("ended", told(end));
  return out;
}

void Story::tell_identity(const Output& out) const {
  const auto whole = std::ranges::find_if(
      events_, [](const Event& event) { return event.body.find("capsule") != nullptr; });
  out.line("task       " + task_);
  if (whole == events_.end()) return;
  const auto say = [&](const std::string& word, std::string_view name) {
    out.line(word + word_of(whole->body, name));
  };
  say("purpose    ", "purpose");
  say("requester  ", "requester");
  say("agent      ", "agent");
  say("tenant     ", "tenant");
  say("holder     ", "holder");
  say("capsule    ", "capsule");
  out.line("issuer     " + word_of(whole->body, "issuer") + ", serial " +
           word_of(whole->body, "serial") + ", under root version " +
           word_of(whole->body, "root_version"));
  if (whole->body.find("long_lease") != nullptr) out.line("LONG LEASE declared by its issuer");
}

void Story::tell_events(const Output& out) const {
  for (const Event& event : events_) {
    const Value& body = event.body;
    std::string words;
    if (event.type == "decision") {
      words = is_program(body) ? "program " + decision_words(body) : decision_words(body);
    } else if (event.type == "outcome") {
      // Only a call has an id of its own.
      words = member(body, "call").empty() ? "program " + outcome_words(body) : outcome_words(body);
    } else if (event.type == "activation") {
      words = activation_words(body);
    } else if (event.type == "recovery") {
      words = recovery_words(body, task_);
    } else if (event.type == "ending") {
      words = "ending  by " + word_of(body, "reason") + " (" + word_of(body, "verb") + ")";
      add(words, ", said by uid ", word_of(body, "uid"));
      add(words, ": asked ", word_of(body, "expected"));
      add(words, ", was ", word_of(body, "got"));
    } else if (event.type == "order") {
      words = "order  to end it, by revoker " + word_of(body, "signer") + " of " +
              word_of(body, "issued_at") + ": " + word_of(body, "why");
    } else if (event.type == "terminal") {
      words = "ended  " + word_of(body, "state") + " by " + word_of(body, "reason") + ", " +
              word_of(body, "calls") + " calls, " + word_of(body, "denials") + " denials";
    } else {
      words = escape_text(event.type) + "  " + what_was_asked(body);
      add(words, "  ", word_of(body, "verdict"));
      add(words, "  reader ", word_of(body, "reader"));
    }
    const std::string_view at = member(body, "wall");
    out.line((at.empty() ? std::string("-                   ") : escape_text(at)) + "  #" +
             std::to_string(event.number) + "  " + words);
  }
}

}  // namespace taper::tools
