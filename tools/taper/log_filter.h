// Which records of a log are asked for. Every condition given must hold.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "tools/taper/log_source.h"

namespace taper::tools {

struct LogFilter {
  std::string task, requester, agent, tool, resource, arguments, since, until;

  void add_to(CLI::App* verb);
  bool empty() const;
};

// To be shown the records in their order: what happened to a call follows its decision.
class LogMatcher {
 public:
  // Errors: usage, of an option that is not of its form.
  static Result<LogMatcher> make(const LogFilter& filter);

  // Whether the record's text can match at all, asked before it is parsed.
  bool may_match(std::string_view body) const {
    return filter_.task.empty() || body.find(filter_.task) != std::string_view::npos;
  }
  // Error: too_large, where more calls match than are remembered.
  Result<bool> matches(const capsules::Value& body);

 private:
  bool is_in_time(const capsules::Value& body) const;
  bool has_call(const capsules::Value& body);
  bool names_resource(const capsules::Value& body) const;

  LogFilter filter_;
  std::optional<std::int64_t> since_s_, until_s_;
  std::string arguments_digest_;
  std::set<std::string, std::less<>> calls_;  // ids of calls and decisions that matched
};

}  // namespace taper::tools
