#include "author_test.h"

#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

using testing::all_of;
using testing::completed;
using testing::errors_of;
using testing::find_finding;
using testing::findings_of;
using testing::kHead;
using testing::kPlan;
using testing::parsed;
using testing::source_of_rule;
using testing::source_with;

constexpr std::string_view kExample = R"([capsule]
purpose   = "Triage the pump alarms of the last day and write one report"
requester = "user:alice@plant.example"
agent     = "log-triage"
tenant    = "plant"
window    = { from = 2026-11-21T00:00:00Z, for = "72h" }
lease     = { ttl = "15m", idle = "2m" }
freshness = { max_revocation_age = "7d", time = "bounded" }
end_on    = { denials = 3, failure = true }
activations = 1

[[grant]]
id     = "read-logs"
tool   = "file.read"
effect = "read"
args   = { path = { under = "/var/log/plant" }, max_bytes = { at_most = 1048576, optional = true } }
budget = { calls = 200, bytes = 50000000 }

[[grant]]
tool   = "file.write"
args   = { path = { one_of = ["/srv/reports/today.md"] }, content = "any" }
budget = { calls = 1 }

[plan]
steps = [
  { id = "read",  tool = "file.read",  args = { path = "/var/log/plant/pump-07.log" } },
  { id = "write", tool = "file.write", args = { path = "/srv/reports/today.md", content = { "$step" = "read", at = "/text" } }, needs = ["read"] },
]
)";

TEST_CASE("The documented example parses, lints clean and means what it says", "[author]") {
  const Draft draft = parsed(kExample);
  const KnownTools tools = builtin_known_tools();
  const std::vector<Finding> findings = lint(draft, tools, nullptr, nullptr);
  INFO(all_of(findings));
  CHECK(findings.empty());
  const Capsule& capsule = draft.capsule;
  CHECK(capsule.tenant == "plant");
  CHECK(draft.window_from_s == 1'795'219'200);
  CHECK(draft.window_for_s == 72 * 3600);
  CHECK(capsule.lease_ttl_ms == 900'000);
  CHECK(capsule.lease_idle_ms == 120'000);
  CHECK(capsule.end_on.failure);
  REQUIRE(capsule.grants.size() == 2);
  CHECK(capsule.grants[0].id == "read-logs");
  CHECK(capsule.grants[0].budget.bytes == 50'000'000);
  CHECK(capsule.grants[1].id == "file.write");
  CHECK(capsule.grants[1].effect == Effect::write);
  CHECK(capsule.entry == EntryKind::plan);
  REQUIRE(capsule.plan.steps.size() == 2);
  CHECK(capsule.plan.steps[1].args ==
        R"({"content":{"$step":"read","at":"/text"},"path":"/srv/reports/today.md"})");
}

TEST_CASE("What the source leaves out has the documented default", "[author]") {
  const Capsule capsule = parsed(source_with("")).capsule;
  CHECK(capsule.tenant == "default");
  CHECK(capsule.activations == 1);
  CHECK(capsule.lease_idle_ms == capsule.lease_ttl_ms);
  CHECK(capsule.max_revocation_age_s == 7 * 86'400);
  CHECK(capsule.time_assurance == TimeAssurance::bounded);
  CHECK(capsule.min_tier == Tier::t2);
  CHECK(capsule.end_on.denials == 3);
  CHECK_FALSE(capsule.end_on.failure);
  CHECK(capsule.end_on.completion);
  CHECK(capsule.end_on.violation);
  CHECK(capsule.end_on.tool_drift);
  CHECK(capsule.end_on.policy_drift);
  CHECK(capsule.end_on.clock_step);
  CHECK_FALSE(capsule.log_all_arguments);
  CHECK(capsule.log_quota_bytes == static_cast<std::int64_t>(limits::kTaskLogQuotaBytes));
  CHECK(capsule.max_depth == 0);
  REQUIRE(capsule.grants.size() == 1);
  const Grant& grant = capsule.grants[0];
  CHECK(grant.id == "time.now");
  CHECK(grant.effect == Effect::read);
  CHECK(grant.digest_kind == DigestKind::builtin);
  CHECK(grant.verbs == std::vector<Verb>{Verb::discover, Verb::call, Verb::poll, Verb::result,
                                         Verb::update, Verb::cancel});
  CHECK_FALSE(grant.budget.calls.has_value());
  CHECK(capsule.plan.steps[0].args == "{}");
  CHECK(capsule.plan.steps[0].on_error == OnError::stop);
}

TEST_CASE("Grants without an id are numbered when their tool repeats", "[author]") {
  const Capsule capsule =
      parsed(source_with("[[grant]]\ntool=\"time.now\"\n[[grant]]\nid=\"time.now-3\"\n"
                         "tool=\"time.now\"\n[[grant]]\ntool=\"time.now\"\n"))
          .capsule;
  REQUIRE(capsule.grants.size() == 4);
  CHECK(capsule.grants[0].id == "time.now");
  CHECK(capsule.grants[1].id == "time.now-2");
  CHECK(capsule.grants[2].id == "time.now-3");
  CHECK(capsule.grants[3].id == "time.now-4");
  CHECK(find_finding(findings_of(source_with("[[grant]]\nid=\"a\"\ntool=\"time.now\"\n[[grant]]\n"
                                             "id=\"a\"\ntool=\"time.now\"\n")),
                     "stands twice"));
}

TEST_CASE("Every part that is not enforced yet is refused by its name", "[author]") {
  const auto refused = [](const std::string& source, const std::string& name) {
    const std::vector<Finding> findings = findings_of(source);
    INFO(name << "\n" << all_of(findings));
    const Finding* finding = find_finding(findings, "'" + name + "' is not enforced yet");
    REQUIRE(finding != nullptr);
    CHECK(finding->code == Code::not_enforced_yet);
    CHECK(finding->where.starts_with("line "));
    CHECK_FALSE(finding->fix.empty());
  };
  for (const char* key : {"action", "approval", "parent"}) {
    refused(source_with("[[grant]]\ntool=\"time.now\"\n" + std::string(key) + " = []\n"), key);
  }
  for (const char* key : {"trees", "hosts"}) {
    refused(source_with("[[grant]]\ntool=\"time.now\"\ncell = { " + std::string(key) + " = [] }"),
            key);
  }
  for (const char* key :
       {"audience", "pools", "nodes", "secrets", "approvers", "hosts", "host_ca", "proof"}) {
    refused(std::string(kHead) + key + " = 1\n[[grant]]\ntool=\"time.now\"\n" + std::string(kPlan),
            key);
  }
  refused(source_with("") + "[block]\n", "block");
  refused(std::string(kHead) + "holder = \"spiffe://a/b\"\n[[grant]]\ntool=\"time.now\"\n" +
              std::string(kPlan),
          "holder = \"spiffe://…\"");
}

TEST_CASE("A source without a plan is a session", "[author]") {
  const std::string source = std::string(kHead) + "[[grant]]\ntool=\"time.now\"\n";
  const Capsule capsule = completed(parsed(source));
  CHECK(capsule.entry == EntryKind::session);
  CHECK(capsule.plan.steps.empty());
  CHECK(findings_of(source).empty());
  const Result<Bytes> payload = encode_capsule(capsule);
  REQUIRE(payload.ok());
  const Result<Capsule> read = decode_capsule(*payload);
  REQUIRE(read.ok());
  CHECK(read->entry == EntryKind::session);
}

TEST_CASE("A source with a program is an agent", "[author]") {
  const std::string head = std::string(kHead) + "[[grant]]\ntool=\"time.now\"\n";
  const std::string digest(64, 'a');
  const std::string agent = "[agent]\nprogram = \"planner\"\ndigest = \"" + digest + "\"\n";
  const Draft draft = parsed(head + agent + "cell = { cpu = \"5s\" }\n");
  const Result<Bytes> payload = encode_capsule(completed(draft));
  REQUIRE(payload.ok());
  const Result<Capsule> read = decode_capsule(*payload);
  REQUIRE(read.ok());
  CHECK(read->entry == EntryKind::agent);
  CHECK(read->agent_entry.program == "planner");
  CHECK(read->agent_entry.digest.hex() == digest);
  CHECK(read->agent_entry.cell.cpu_s == 5);

  const auto wrong = [&](const std::string& source, const char* words) {
    INFO(source);
    CHECK(find_finding(findings_of(source), words) != nullptr);
  };
  wrong(head + agent + std::string(kPlan), "[plan] or [agent], not both");
  wrong(head + "[agent]\ndigest = \"" + digest + "\"\n", "program");
  wrong(head + "[agent]\nprogram = \"planner\"\n", "digest");
  wrong(head + "[agent]\nprogram = \"planner\"\ndigest = \"unpinned\"\n", "always pinned");
  wrong(head + agent + "argv = [\"x\"]\n", "argv");

  KnownTools tools = builtin_known_tools();
  const auto linted = [&](const char* words) {
    return find_finding(lint(draft, tools, nullptr, nullptr), words) != nullptr;
  };
  CHECK(linted("'planner' is not known"));
  KnownTool known;
  known.name = "planner";
  known.digest = Hash::from_hex(digest);
  tools["planner"] = known;
  CHECK(linted("'planner' is not known"));
  known.agent = true;
  tools["planner"] = known;
  CHECK(lint(draft, tools, nullptr, nullptr).empty());
  tools["planner"].digest = Hash();
  CHECK(linted("another digest"));
}

TEST_CASE("A session's grant that is not to be discovered is noted", "[author]") {
  const std::string grant = "[[grant]]\ntool=\"time.now\"\nverbs = [\"call\"]\n";
  const auto findings = findings_of(std::string(kHead) + grant);
  const Finding* finding = find_finding(findings, "discover");
  REQUIRE(finding != nullptr);
  CHECK(finding->severity == Severity::note);
  CHECK(find_finding(findings_of(std::string(kHead) + grant + std::string(kPlan)), "discover") ==
        nullptr);
}

TEST_CASE("Findings come many at once, with line, place and mending", "[author]") {
  const auto findings = findings_of(R"([capsule]
purpose = 3
agnet = "x"
window = { for = "soon" }
lease = { ttl = "1h", idle = "2h" }
activations = 0
[[grant]]
tool = "file.raed"
args = { path = "/etc/passwd" }
budget = { calls = -1 }
[plan]
steps = [ { id = "a", tool = "time.now", on_error = "maybe" } ]
)");
  INFO(all_of(findings));
  CHECK(findings.size() >= 10);
  for (const Finding& finding : findings) {
    CHECK(finding.severity == Severity::error);
    CHECK_FALSE(finding.what.empty());
    CHECK_FALSE(finding.fix.empty());
  }
  const Finding* near = find_finding(findings, "'agnet'");
  REQUIRE(near != nullptr);
  CHECK(near->where == "line 3: capsule.agnet");
  CHECK(near->fix == "did you mean 'agent'?");
  const Finding* tool = find_finding(findings, "file.raed");
  REQUIRE(tool != nullptr);
  CHECK(tool->code == Code::tool_missing);
  CHECK(tool->where == "line 8: grant[0].tool");
  CHECK(tool->fix == "did you mean 'file.read'?");
  const Finding* bare = find_finding(findings, "bare value");
  REQUIRE(bare != nullptr);
  CHECK(bare->where == "line 9: grant[0].args.path");
  CHECK(find_finding(findings, "capsule.requester")->code == Code::field_missing);
}

TEST_CASE("Broken TOML is one finding with its line", "[author]") {
  const auto findings = findings_of("[capsule]\npurpose = \"x\n");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].code == Code::source_syntax);
  CHECK(findings[0].where == "line 2");
  CHECK(findings_of(std::string(limits::kSourceBytesMax + 1, ' '))[0].code == Code::too_large);
  CHECK(findings_of("\xff = 1")[0].code == Code::source_syntax);
  CHECK_FALSE(errors_of(findings_of("")).empty());
}

TEST_CASE("Times need an offset and are kept in UTC", "[author]") {
  const auto with = [](const std::string& from) {
    std::string source = source_with("");
    const std::string old = "2026-11-21T00:00:00Z";
    return source.replace(source.find(old), old.size(), from);
  };
  CHECK(parsed(with("2026-11-21T01:30:00+01:30")).window_from_s == 1'795'219'200);
  CHECK(parsed(with("2026-11-20T19:00:00-05:00")).window_from_s == 1'795'219'200);
  for (const char* wrong : {"2026-11-21T00:00:00", "2026-11-21", "00:00:00", "\"2026-11-21\"",
                            "2026-11-21T00:00:00.5Z", "5"}) {
    INFO(wrong);
    CHECK(find_finding(errors_of(findings_of(with(wrong))), "capsule.window.from") != nullptr);
  }
}

TEST_CASE("Holder and node can stand in the source", "[author]") {
  const std::string key(64, 'a');
  const std::string incarnation(32, 'b');
  const auto with = [](const std::string& line) {
    return std::string(kHead) + line + "\n[[grant]]\ntool=\"time.now\"\n" + std::string(kPlan);
  };
  const Draft draft =
      parsed(with("holder = \"tpk:" + key + "\"\nnode = \"tpn:" + key + ":" + incarnation + "\""));
  CHECK(draft.holder->hex() == key);
  CHECK(draft.audience->node.hex() == key);
  CHECK(draft.audience->incarnation.hex() == incarnation);
  for (const std::string& wrong :
       {"holder = \"" + key + "\"", std::string("holder = \"tpk:12\""),
        "node = \"tpn:" + key + "\"", "node = \"tpn:" + key + ":" + incarnation + "00\"",
        "node = \"" + key + "\""}) {
    INFO(wrong);
    CHECK_FALSE(errors_of(findings_of(with(wrong))).empty());
  }
}

TEST_CASE("Verbs: known ones, none of the task's", "[author]") {
  const auto with = [](const std::string& verbs) {
    return source_with("[[grant]]\ntool=\"time.now\"\nverbs = " + verbs + "\n");
  };
  const Capsule capsule = parsed(with(R"(["discover", "retry", "resume"])")).capsule;
  CHECK(capsule.grants[1].verbs == std::vector<Verb>{Verb::discover, Verb::retry, Verb::resume});
  CHECK(find_finding(findings_of(with(R"(["activate"])")), "belongs to the whole task"));
  CHECK(find_finding(findings_of(with(R"(["run"])")), "'run' does not"));
  CHECK(find_finding(findings_of(with("[]")), "verbs"));
  CHECK(find_finding(findings_of(with(R"(["call","call"])")), "twice"));
}

TEST_CASE("Tools that are not builtins need effect and digest in so many words", "[author]") {
  KnownTools tools = builtin_known_tools();
  const std::string digest(64, 'c');
  REQUIRE(add_known_tools(tools, R"({"tools":[{"name":"grep","kind":"command","effect":"read",
    "digest":")" + digest + R"(","inputs":[{"name":"pattern","type":"string","optional":false},
    {"name":"path","type":"path","optional":false}]}]})")
              .ok());
  const std::string grant =
      "[[grant]]\ntool=\"grep\"\nargs = { pattern = \"any\", path = { under = "
      "\"/var/log\" } }\n";
  const auto bare = findings_of(source_with(grant), tools);
  CHECK(find_finding(bare, "'effect' is required"));
  const Finding* missing = find_finding(bare, "'digest' is required");
  REQUIRE(missing != nullptr);
  CHECK(missing->fix.find(digest) != std::string::npos);

  const std::string full = grant + "effect = \"read\"\ndigest = ";
  const Draft draft = parsed(source_with(full + "\"" + digest + "\""), tools);
  CHECK(draft.capsule.grants[1].digest_kind == DigestKind::pinned);
  CHECK(lint(draft, tools, nullptr, nullptr).empty());

  const auto unpinned = findings_of(source_with(full + "\"unpinned\""), tools);
  REQUIRE(unpinned.size() == 1);
  CHECK(unpinned[0].severity == Severity::note);
  const auto other = findings_of(source_with(full + "\"" + std::string(64, 'd') + "\""), tools);
  CHECK(find_finding(other, "another digest")->code == Code::tool_digest);
  CHECK_FALSE(errors_of(findings_of(source_with(full + "\"12\""), tools)).empty());
  CHECK(find_finding(findings_of(source_with("[[grant]]\ntool=\"time.now\"\ndigest=\"unpinned\"")),
                     "builtin is pinned"));
}

TEST_CASE("The tools file is read strictly", "[author]") {
  for (const char* wrong :
       {"", "{}", "[]", R"({"tools":{}})", R"({"tools":[{}]})",
        R"({"tools":[{"name":"a","kind":"command","effect":"burn","digest":null,"inputs":[]}]})",
        R"({"tools":[{"name":"a","kind":"command","effect":"read","digest":"xy","inputs":[]}]})",
        R"({"tools":[{"name":"a","kind":"command","effect":"read","inputs":[{"name":"x"}]}]})",
        R"({"tools":[{"name":"file.read","kind":"command","effect":"read","inputs":[]}]})",
        R"({"tools":[{"name":"new","kind":"builtin","effect":"read","inputs":[]}]})"}) {
    KnownTools tools = builtin_known_tools();
    const std::size_t before = tools.size();
    INFO(wrong);
    CHECK(add_known_tools(tools, wrong).code() == Code::tool_file_malformed);
    CHECK(tools.size() == before);
  }
}

TEST_CASE("The template parses and lints without an error", "[author]") {
  const std::vector<Finding> findings = findings_of(source_template());
  INFO(all_of(findings));
  CHECK(findings.empty());
}

}  // namespace
}  // namespace taper::capsules
