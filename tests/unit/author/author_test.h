// Small sources and lookups that the tests of this folder share.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "capsules/author/author.h"

namespace taper::testing {

inline constexpr std::string_view kHead = R"([capsule]
purpose   = "Triage the pump alarms"
requester = "user:alice@plant.example"
agent     = "log-triage"
window    = { from = 2026-11-21T00:00:00Z, for = "72h" }
lease     = { ttl = "15m" }
)";

inline constexpr std::string_view kPlan = R"([plan]
steps = [ { id = "now", tool = "time.now" } ]
)";

// A whole source: head, the grants given, a grant of time.now, a plan of one step.
inline std::string source_with(std::string_view grants) {
  return std::string(kHead) + "[[grant]]\ntool = \"time.now\"\n" + std::string(grants) + "\n" +
         std::string(kPlan);
}

// A source that grants file.read with one rule on its path.
inline std::string source_of_rule(std::string_view rule) {
  return source_with("[[grant]]\ntool = \"file.read\"\nargs = { path = " + std::string(rule) +
                     " }\n");
}

inline const capsules::Finding* find_finding(const std::vector<capsules::Finding>& findings,
                                             std::string_view part) {
  for (const capsules::Finding& finding : findings) {
    if (finding.what.find(part) != std::string::npos ||
        finding.where.find(part) != std::string::npos) {
      return &finding;
    }
  }
  return nullptr;
}

inline std::string all_of(const std::vector<capsules::Finding>& findings) {
  std::string out;
  for (const capsules::Finding& finding : findings) {
    out += finding.where + ": " + finding.what + " (" + finding.fix + ")\n";
  }
  return out;
}

inline std::vector<capsules::Finding> errors_of(std::vector<capsules::Finding> findings) {
  std::erase_if(findings, [](const capsules::Finding& finding) {
    return finding.severity != capsules::Severity::error;
  });
  return findings;
}

// The draft of a source that must parse.
inline capsules::Draft parsed(std::string_view source,
                              const capsules::KnownTools& tools = capsules::builtin_known_tools()) {
  capsules::Parsed result = capsules::parse_source(source, tools);
  INFO(all_of(result.findings));
  REQUIRE(result.draft.has_value());
  return std::move(*result.draft);
}

// The findings of parsing, or of lint when it parses.
inline std::vector<capsules::Finding> findings_of(
    std::string_view source, const capsules::KnownTools& tools = capsules::builtin_known_tools()) {
  capsules::Parsed result = capsules::parse_source(source, tools);
  if (!result.draft) return std::move(result.findings);
  return capsules::lint(*result.draft, tools, nullptr, nullptr);
}

// The capsule of a draft with everything that signing adds, from fixed bytes.
inline capsules::Capsule completed(const capsules::Draft& draft) {
  capsules::Capsule capsule = draft.capsule;
  capsule.issuer.bytes.fill(1);
  capsule.fleet.bytes.fill(2);
  capsule.holder.bytes.fill(3);
  capsule.audience.node.bytes.fill(4);
  capsule.audience.incarnation.bytes.fill(5);
  capsule.serial = std::uint64_t{1'700'000'000} << 32U;
  capsule.issued_at_s = 1'763'683'200;
  capsule.not_before_s = draft.window_from_s.value_or(capsule.issued_at_s);
  capsule.not_after_s = capsule.not_before_s + draft.window_for_s;
  return capsule;
}

}  // namespace taper::testing
