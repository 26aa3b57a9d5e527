#include "tools/taper/log_filter.h"

#include <algorithm>
#include <array>

#include "crypto/crypto.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

using capsules::Value;

constexpr std::size_t kCallsMax = 1'000'000;

std::string digest_of(const Value& value) {
  return crypto::hash(as_bytes(capsules::write_canonical(value))).hex();
}

// It itself, or what lies below it: of a path after a slash, of a URL also its query and fragment.
bool lies_at(std::string_view text, std::string_view resource) {
  if (!text.starts_with(resource)) return false;
  if (text.size() == resource.size() || resource.ends_with('/')) return true;
  const char next = text[resource.size()];
  return next == '/' ||
         ((next == '?' || next == '#') && text.find("://") != std::string_view::npos);
}

// A text anywhere in the value. Values are as deep as the parser allows.
// NOLINTNEXTLINE(misc-no-recursion)
bool names(const Value& value, std::string_view resource) {
  if (const std::string* text = value.text()) return lies_at(*text, resource);
  if (const capsules::Array* array = value.array())
    // NOLINTNEXTLINE(misc-no-recursion)
    return std::ranges::any_of(*array, [&](const Value& one) { return names(one, resource); });
  if (const capsules::Object* object = value.object())
    return std::ranges::any_of(
        // NOLINTNEXTLINE(misc-no-recursion)
        *object, [&](const auto& one) { return names(one.second, resource); });
  return false;
}

// That the arguments, of which only the digest was kept, are this one alone: under a name that the
// grant knows, or one that builtins have.
bool is_digest_of(const Value& body, const std::string& resource) {
  const std::string_view digest = member(body, "arguments_digest");
  if (digest.empty() || body.find("arguments") != nullptr || !is_utf8(resource)) return false;
  std::set<std::string> known{"path", "url"};
  const Value* matched = body.find("matched");
  if (matched != nullptr && matched->object() != nullptr)
    for (const auto& [name, words] : *matched->object()) known.insert(name);
  return std::ranges::any_of(known, [&](const std::string& name) {
    return digest_of(capsules::Object{{name, resource}}) == digest;
  });
}

bool is_text(const Value& body, std::string_view name, const std::string& wanted) {
  return wanted.empty() || member(body, name) == wanted;
}

Result<std::optional<std::int64_t>> time_option(const std::string& name, const std::string& text) {
  if (text.empty()) return std::optional<std::int64_t>();
  const std::optional<std::int64_t> at_s = parse_utc_s(text);
  if (!at_s) return usage_error(name, "a time such as 2026-11-21T08:00:00Z", text);
  return at_s;
}

}  // namespace

void LogFilter::add_to(CLI::App* verb) {
  verb->add_option("--task", task, "Only of this task");
  verb->add_option("--requester", requester, "Only of tasks for this requester");
  verb->add_option("--agent", agent, "Only of tasks of this agent");
  verb->add_option("--tool", tool, "Only calls of this tool, and what became of them");
  verb->add_option("--resource", resource,
                   "Only calls with this path or URL, or one below it, among their arguments, and "
                   "what became of them; where the log keeps digests alone: calls with exactly it "
                   "as their one argument");
  verb->add_option("--arguments", arguments,
                   "Only calls with exactly these arguments, a JSON object; found by digest too");
  verb->add_option("--since", since, "Only from this time on, as recorded (RFC 3339, UTC)");
  verb->add_option("--until", until, "Only before this time, as recorded");
}

bool LogFilter::empty() const {
  const std::array<const std::string*, 8> all{&task,     &requester, &agent, &tool,
                                              &resource, &arguments, &since, &until};
  return std::ranges::all_of(all, [](const std::string* text) { return text->empty(); });
}

Result<LogMatcher> LogMatcher::make(const LogFilter& filter) {
  LogMatcher matcher;
  matcher.filter_ = filter;
  if (!filter.task.empty()) {
    const std::optional<TaskId> id = TaskId::from_hex(filter.task);
    if (!id) return usage_error("--task", "32 hex digits", filter.task);
    matcher.filter_.task = id->hex();
  }
  TAPER_TRY(matcher.since_s_, time_option("--since", filter.since));
  TAPER_TRY(matcher.until_s_, time_option("--until", filter.until));
  if (!filter.arguments.empty()) {
    const Result<capsules::Object> parsed = capsules::parse_arguments(as_bytes(filter.arguments));
    if (!parsed.ok()) return usage_error("--arguments", "one JSON object", filter.arguments);
    matcher.arguments_digest_ = digest_of(*parsed);
  }
  return matcher;
}

bool LogMatcher::is_in_time(const Value& body) const {
  if (!since_s_ && !until_s_) return true;
  const std::optional<std::int64_t> at_s = parse_utc_s(member(body, "wall"));
  return at_s && (!since_s_ || *at_s >= *since_s_) && (!until_s_ || *at_s < *until_s_);
}

bool LogMatcher::names_resource(const Value& body) const {
  const std::string& wanted = filter_.resource;
  if (wanted.empty()) return true;
  const Value* arguments = body.find("arguments");
  if (arguments != nullptr && names(*arguments, wanted)) return true;
  if (lies_at(member(body, "subject"), wanted) || is_digest_of(body, wanted)) return true;
  const Value* kept_out = body.find("arguments_except");
  if (kept_out == nullptr || kept_out->object() == nullptr || !is_utf8(wanted)) return false;
  const std::string digest = digest_of(wanted);
  return std::ranges::any_of(*kept_out->object(), [&digest](const auto& one) {
    return one.second.text() != nullptr && *one.second.text() == digest;
  });
}

// A call by its own record, or what happened later to one that was.
bool LogMatcher::has_call(const Value& body) {
  if (filter_.tool.empty() && filter_.resource.empty() && arguments_digest_.empty()) return true;
  const std::string_view call = member(body, "call"), decision = member(body, "decision");
  const bool later = calls_.contains(call) || calls_.contains(decision);
  const bool itself = is_text(body, "tool", filter_.tool) && names_resource(body) &&
                      is_text(body, "arguments_digest", arguments_digest_);
  if (!later && !itself) return false;
  if (!call.empty()) calls_.emplace(call);
  if (!decision.empty()) calls_.emplace(decision);
  return true;
}

Result<bool> LogMatcher::matches(const Value& body) {
  if (!filter_.task.empty() && !is_about(body, filter_.task)) return false;
  if (!is_text(body, "requester", filter_.requester)) return false;
  if (!is_text(body, "agent", filter_.agent)) return false;
  if (!has_call(body)) return false;
  if (calls_.size() > kCallsMax)
    return Error(Code::too_large, {"calls that match", "at most " + std::to_string(kCallsMax),
                                   "more", "ask for one --task, --requester or --agent"});
  return is_in_time(body);
}

}  // namespace taper::tools
