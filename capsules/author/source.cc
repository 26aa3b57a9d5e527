#include <chrono>

#include "capsules/author/reader.h"
#include "crypto/key_file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/base/toml_shape.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMsPerS = 1000;
constexpr std::int64_t kDefaultRevocationAgeS = 7LL * 86'400;
constexpr std::int64_t kDefaultDenials = 3;

std::optional<std::int64_t> unix_seconds(const toml::date_time& when) {
  if (!when.offset || when.time.nanosecond != 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(when.date.year),
                                         std::chrono::month(when.date.month),
                                         std::chrono::day(when.date.day)};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = when.time.hour * 3600 + when.time.minute * 60 + when.time.second;
  return days * 86'400 + seconds - std::int64_t{when.offset->minutes} * 60;
}

void read_window(Section& section, Draft& draft) {
  std::optional<Section> window = section.section("window");
  if (!window) {
    if (!section.table().contains("window")) section.missing("window", "{ for = \"72h\" }");
    return;
  }
  draft.window_from_s = read_window_start(*window);
  if (!window->table().contains("for")) window->missing("for", "\"72h\"");
  draft.window_for_s = window->duration_ms("for").value_or(0) / kMsPerS;
  window->finish();
}

void read_lease(Section& section, Draft& draft) {
  std::optional<Section> lease = section.section("lease");
  if (!lease) {
    if (!section.table().contains("lease")) section.missing("lease", "{ ttl = \"15m\" }");
    return;
  }
  if (!lease->table().contains("ttl")) lease->missing("ttl", "\"15m\"");
  Capsule& capsule = draft.capsule;
  capsule.lease_ttl_ms = lease->duration_ms("ttl").value_or(0);
  capsule.lease_idle_ms = lease->duration_ms("idle").value_or(capsule.lease_ttl_ms);
  if (capsule.lease_ttl_ms > limits::kLeaseTtlMaxMs) {
    lease->wrong_type("ttl", "at most " + format_duration_ms(limits::kLeaseTtlMaxMs),
                      "a lease is short; the window may be long");
  } else if (capsule.lease_ttl_ms != 0 && capsule.lease_idle_ms > capsule.lease_ttl_ms) {
    lease->wrong_type("idle", "at most the ttl", "leave idle out: it is then as long as the ttl");
  }
  capsule.long_lease = lease->boolean("long").value_or(false);
  lease->finish();
}

// Stricter than the lease, and at the strictest where a part is left out.
void read_offline(Section& section, Capsule& capsule) {
  std::optional<Section> offline = section.section("offline");
  if (!offline) return;
  OfflineCaps caps;
  caps.max_ttl_ms = offline->duration_ms("ttl").value_or(0);
  caps.max_idle_ms =
      offline->duration_ms("idle").value_or(std::min(caps.max_ttl_ms, capsule.lease_idle_ms));
  if (caps.max_ttl_ms == 0) {
    offline->missing("ttl", "\"5m\"");
  } else if (caps.max_ttl_ms > capsule.lease_ttl_ms) {
    offline->wrong_type("ttl", "at most the lease's", "it is a stricter cap, never a wider one");
  } else if (caps.max_idle_ms > caps.max_ttl_ms) {
    offline->wrong_type("idle", "at most the ttl", "leave idle out");
  }
  capsule.offline = caps;
  offline->finish();
}

void read_freshness(Section& section, Capsule& capsule) {
  capsule.max_revocation_age_s = kDefaultRevocationAgeS;
  capsule.time_assurance = TimeAssurance::bounded;
  std::optional<Section> freshness = section.section("freshness");
  if (!freshness) return;
  if (const auto age = freshness->duration_ms("max_revocation_age")) {
    capsule.max_revocation_age_s = *age / kMsPerS;
  }
  if (const auto time = freshness->text("time", limits::kNameBytesMax)) {
    if (*time == "behind") {
      capsule.time_assurance = TimeAssurance::behind;
    } else if (*time == "anchored") {
      capsule.time_assurance = TimeAssurance::anchored;
    } else if (*time != "bounded") {
      freshness->wrong_type("time", "\"behind\", \"bounded\" or \"anchored\"",
                            "leave it out for the default, \"bounded\"");
    }
  }
  freshness->finish();
}

void read_end_on(Section& section, EndOn& end) {
  std::optional<Section> table = section.section("end_on");
  if (!table) return;
  end.completion = table->boolean("completion").value_or(end.completion);
  end.failure = table->boolean("failure").value_or(end.failure);
  end.violation = table->boolean("violation").value_or(end.violation);
  end.tool_drift = table->boolean("tool_drift").value_or(end.tool_drift);
  end.policy_drift = table->boolean("policy_drift").value_or(end.policy_drift);
  end.clock_step = table->boolean("clock_step").value_or(end.clock_step);
  end.denials = table->integer("denials", 1, limits::kActivationsMax).value_or(kDefaultDenials);
  table->finish();
}

void read_log(Section& section, Capsule& capsule) {
  capsule.log_quota_bytes = static_cast<std::int64_t>(limits::kTaskLogQuotaBytes);
  std::optional<Section> log = section.section("log");
  if (!log) return;
  if (const auto arguments = log->text("arguments", limits::kNameBytesMax)) {
    capsule.log_all_arguments = *arguments == "all";
    if (*arguments != "all" && *arguments != "digest") {
      log->wrong_type("arguments", "\"digest\" or \"all\"", "leave it out for \"digest\"");
    }
  }
  if (const auto quota = log->integer("quota_bytes", 1, std::numeric_limits<std::int64_t>::max())) {
    capsule.log_quota_bytes = *quota;
  }
  capsule.log_except =
      log->words("except", limits::kArgsPerGrantMax).value_or(std::vector<std::string>());
  if (!capsule.log_all_arguments && !capsule.log_except.empty()) {
    log->wrong_type("except", "absent unless arguments = \"all\"",
                    "digests alone are logged without it");
  }
  log->finish();
}

void read_delegation(Section& section, Capsule& capsule) {
  std::optional<Section> delegation = section.section("delegation");
  if (!delegation) return;
  const auto depth = delegation->integer("max_depth", 0, limits::kDelegationDepthMax);
  capsule.max_depth = static_cast<std::uint8_t>(depth.value_or(0));
  delegation->not_yet({"allocator"});
  delegation->finish();
}

void read_tier(Section& section, Capsule& capsule) {
  capsule.min_tier = Tier::t2;
  const std::optional<std::string> tier = section.text("min_tier", limits::kNameBytesMax);
  if (!tier || *tier == "t2") return;
  if (*tier == "t1") {
    capsule.min_tier = Tier::t1;
  } else if (*tier == "t3") {
    capsule.min_tier = Tier::t3;
  } else {
    section.wrong_type("min_tier", "\"t1\", \"t2\" or \"t3\"",
                       "leave it out for the default, \"t2\"");
  }
}

void read_holder(Section& section, Draft& draft) {
  const std::optional<std::string> text = section.text("holder", limits::kTextBytesMax);
  if (!text) return;
  if (text->starts_with("spiffe://")) {
    not_enforced_yet(section.report(), section.place("holder"), "holder = \"spiffe://…\"");
    return;
  }
  draft.holder = crypto::parse_public_key_text(*text);
  if (!draft.holder) {
    section.wrong_type("holder", "\"tpk:\" and 64 hex digits",
                       "copy the line of the holder's .pub file, or use sign's --holder");
  }
}

void read_node(Section& section, Draft& draft) {
  constexpr std::string_view kMark = "tpn:";
  constexpr std::size_t kKeyDigits = 2 * PublicKey::kSize;
  const std::optional<std::string> text = section.text("node", limits::kTextBytesMax);
  if (!text) return;
  const std::string_view rest =
      std::string_view(*text).substr(text->starts_with(kMark) ? kMark.size() : text->size());
  if (rest.size() == kKeyDigits + 1 + 2 * Incarnation::kSize && rest[kKeyDigits] == ':') {
    const auto key = PublicKey::from_hex(rest.substr(0, kKeyDigits));
    const auto incarnation = Incarnation::from_hex(rest.substr(kKeyDigits + 1));
    if (key && incarnation) draft.audience = Audience{*key, *incarnation};
  }
  if (!draft.audience) {
    section.wrong_type("node", "\"tpn:\", 64 hex digits, ':' and 32 hex digits",
                       "node key and incarnation stand in node.pub; or use sign's --node node.pub");
  }
}

AgentEntry read_agent(Section& section) {
  AgentEntry out;
  out.program = section.required_text("program", limits::kNameBytesMax, "\"its name on the node\"")
                    .value_or("");
  constexpr std::string_view kExample =
      "\"64 hex digits from 'taper tools list --json' on the node\"";
  const auto text = section.required_text("digest", limits::kNameBytesMax, kExample);
  const std::optional<Hash> digest = text ? Hash::from_hex(*text) : std::nullopt;
  if (text && !digest)
    section.wrong_type("digest", "64 hex digits: a program is always pinned",
                       "copy it from 'taper tools list --json' on the node");
  out.digest = digest.value_or(Hash());
  out.cell = read_cell(section);
  section.finish();
  return out;
}

Parsed failed(Report& report) { return {std::nullopt, report.take()}; }

void read_sections(Section& top, const KnownTools& tools, Draft& draft) {
  if (auto capsule = top.section("capsule")) {
    read_capsule(*capsule, draft);
  } else if (!top.table().contains("capsule")) {
    top.report().error(Code::field_missing, {"capsule", 0}, "the section [capsule] is required",
                       "start from 'taper capsule new'");
  }
  if (const toml::node* grants = top.take("grant")) {
    read_grants(*grants, tools, draft, top.report());
  } else {
    top.report().error(Code::field_missing, {"grant", 0}, "no [[grant]]: nothing would be allowed",
                       "add a [[grant]] for each tool");
  }
  read_secrets(top.take("secret"), draft, top.report());
  auto plan = top.section("plan");
  auto agent = top.section("agent");
  draft.capsule.entry = agent ? EntryKind::agent : plan ? EntryKind::plan : EntryKind::session;
  if (plan && agent)
    top.wrong_type("agent", "[plan] or [agent], not both",
                   "a task's calls come from its plan or from a program");
  if (plan) read_plan(*plan, draft);
  if (agent) draft.capsule.agent_entry = read_agent(*agent);
  top.not_yet({"block", "secrets", "hosts", "proof", "approvers", "cell"});
  top.finish();
}

}  // namespace

std::optional<std::int64_t> read_window_start(Section& window) {
  const toml::node* from = window.take("from");
  if (from == nullptr) return std::nullopt;
  const auto* when = from->as_date_time();
  const auto start = when == nullptr ? std::nullopt : unix_seconds(when->get());
  if (start && *start >= 0) return start;
  window.wrong_type("from", "a date and time with an offset, in whole seconds",
                    "write it unquoted: from = 2026-11-21T00:00:00Z");
  return std::nullopt;
}

void read_capsule(Section& section, Draft& draft) {
  Capsule& capsule = draft.capsule;
  constexpr std::size_t kMax = limits::kTextBytesMax;
  const auto required = [&section](std::string_view key, std::string_view example) {
    return section.required_text(key, kMax, example).value_or("");
  };
  capsule.purpose = required("purpose", "\"why this task runs\"");
  capsule.requester = required("requester", "\"user:you@example\"");
  capsule.agent = required("agent", "\"name of the agent\"");
  capsule.tenant = section.text("tenant", limits::kNameBytesMax).value_or("default");
  read_window(section, draft);
  read_lease(section, draft);
  read_freshness(section, capsule);
  read_offline(section, capsule);
  read_end_on(section, capsule.end_on);
  capsule.activations = static_cast<std::uint32_t>(
      section.integer("activations", 1, limits::kActivationsMax).value_or(1));
  read_tier(section, capsule);
  capsule.cell = read_cell(section);
  read_log(section, capsule);
  read_delegation(section, capsule);
  read_holder(section, draft);
  read_node(section, draft);
  read_result(section, capsule);
  section.not_yet({"audience", "pools", "nodes", "secrets", "approvers", "hosts", "host_ca",
                   "proof", "features"});
  section.finish();
}

Parsed parse_source(std::string_view toml, const KnownTools& tools) {
  Report report;
  if (toml.size() > limits::kSourceBytesMax) {
    report.error(Code::too_large, {}, "the source is too large",
                 "at most " + std::to_string(limits::kSourceBytesMax) + " bytes");
    return failed(report);
  }
  if (const auto line = toml_too_deep(toml)) {
    report.error(Code::source_syntax, {"", static_cast<std::uint32_t>(*line)},
                 "a key of too many parts, or too many brackets within each other",
                 "write shorter keys and flatter tables at this line");
    return failed(report);
  }
  try {
    const toml::table table = toml::parse(toml);
    Draft draft;
    Section top(table, {}, report);
    read_sections(top, tools, draft);
    if (report.has_errors()) return failed(report);
    draft.lines = report.lines();
    return {std::move(draft), report.take()};
  } catch (const toml::parse_error& error) {
    report.error(Code::source_syntax, {"", error.source().begin.line},
                 std::string(error.description()), "mend the TOML at this line");
  } catch (const std::exception& error) {
    report.error(Code::source_syntax, {}, error.what(), "mend the TOML");
  }
  return failed(report);
}

}  // namespace taper::capsules
