#include "author_test.h"

#include "crypto/crypto.h"
#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::all_of;
using testing::errors_of;
using testing::find_finding;
using testing::findings_of;
using testing::parsed;
using testing::source_of_rule;
using testing::source_with;

// A known command tool with one input of each type.
KnownTools tools_with(Effect effect) {
  KnownTools tools = builtin_known_tools();
  tools.emplace("act", KnownTool{"act",
                                 false,
                                 effect,
                                 std::nullopt,
                                 {{"text", InputType::string, true},
                                  {"path", InputType::path, true},
                                  {"count", InputType::integer, true},
                                  {"flag", InputType::boolean, true},
                                  {"data", InputType::json, true}}});
  return tools;
}

std::vector<Finding> errors_of_rule(const std::string& args, Effect effect = Effect::read) {
  const std::string word = effect == Effect::irreversible ? "irreversible" : "read";
  return errors_of(
      findings_of(source_with("[[grant]]\ntool=\"act\"\ndigest=\"unpinned\"\neffect=\"" + word +
                              "\"\nargs = { " + args + " }"),
                  tools_with(effect)));
}

TEST_CASE("Lint accepts each enforced constraint", "[author]") {
  for (const char* args :
       {"text = \"any\"", "text = { any = true, optional = true }", "text = { equals = \"a\" }",
        "data = { equals = [1, { a = true }] }", "text = { one_of = [\"a\", \"b\"] }",
        "count = { at_least = -5, at_most = -5 }", "text = { length = { at_most = 3 } }",
        "text = { prefix = \"ab\", length = { at_least = 2, at_most = 2 } }",
        "text = { glob = \"a*b?\", prefix = \"ax\" }", "path = { under = \"/var\" }",
        "path = { under = \"/var\", glob = \"/var/*.log\" }", "flag = { equals = true }",
        "path = { one_of = [\"/a\", \"/b\"] }", "path = { under = \"/var\", prefix = \"/v\" }",
        "path = { under = \"/var\", prefix = \"/var/log/\" }"}) {
    const auto errors = errors_of_rule(args);
    INFO(args << "\n" << all_of(errors));
    CHECK(errors.empty());
  }
}

TEST_CASE("Lint refuses to exclude one word in two types", "[author][R35]") {
  CHECK(find_finding(errors_of_rule("data = { not_one_of = [1, \"a\"] }"), "two types"));
  CHECK(find_finding(errors_of_rule("data = { not_one_of = [true, \"a\"] }"), "two types"));
  CHECK(errors_of_rule("data = { not_one_of = [1, true] }").empty());
  CHECK(errors_of_rule("data = { not_one_of = [\"1\", \"a\"] }").empty());
}

TEST_CASE("Lint sees terms that do not fit each other", "[author][R37]") {
  const auto errors = [](const std::string& terms) {
    return errors_of(findings_of(source_with(
        "[[grant]]\nid=\"r\"\ntool=\"file.read\"\nargs = { path = { under = \"/srv\" }, "
        "offset = { at_least = 0, optional = true } }\n" +
        terms)));
  };
  CHECK(errors("after = [\"time.now\"]").empty());
  CHECK(find_finding(errors("after = [\"r\"]"), "ids of other grants"));
  CHECK(find_finding(errors("after = [\"x\"]"), "ids of other grants"));
  CHECK(errors("idempotency = \"path\"").empty());
  CHECK(find_finding(errors("idempotency = \"offset\""), "not optional"));
  CHECK(errors("budget = { sum = { argument = \"offset\", most = 5 } }").empty());
  CHECK(
      find_finding(errors("budget = { sum = { argument = \"max\", most = 5 } }"), "named in args"));
  CHECK(
      find_finding(errors("budget = { sum = { argument = \"path\", most = 5 } }"), "whole number"));
  CHECK(find_finding(errors("budget = { sum = { argument = \"path\" } }"), "most"));
  CHECK(find_finding(errors("budget = { rate = { count = 0, per = \"1m\" } }"), "count"));
  CHECK(find_finding(errors("budget = { rate = { count = 1 } }"), "per"));
  const auto notes = findings_of(source_with(
      "[[grant]]\ntool=\"time.now\"\nlabels=[\"secret\"]\n[[grant]]\ntool=\"time.now\"\n"
      "refuse_after=[\"secrte\"]\nbudget = { calls = 2, rate = { count = 2, per = \"1m\" } }\n"));
  INFO(all_of(notes));
  CHECK(errors_of(notes).empty());
  const Finding* near = find_finding(notes, "no grant adds the label");
  REQUIRE(near != nullptr);
  CHECK(near->fix == "did you mean 'secret'?");
  CHECK(find_finding(notes, "the rate never bounds"));
}

TEST_CASE("Lint notes what no node of today can meet", "[author]") {
  const auto notes = [](const std::string& grant, const std::string& capsule = "") {
    std::string source =
        source_with("[[grant]]\ntool=\"file.read\"\nargs = { path = " + grant + " }\n");
    source.insert(source.find("lease "), capsule);
    return findings_of(source);
  };
  const std::string plain = "{ under = \"/a\" }";
  const std::string timed =
      "time_of_day = { from = \"06:00\", to = \"18:00\", offset = \"+00:00\" }";
  CHECK_FALSE(find_finding(notes(plain), "node"));
  const auto at_top = notes("{ under = \"/a\", " + timed + " }");
  const Finding* note = find_finding(at_top, "time_of_day");
  REQUIRE(note != nullptr);
  CHECK(note->severity == Severity::note);
  CHECK(note->where.ends_with("grant[1].args.path"));
  CHECK(find_finding(notes("{ under = \"/a\", any_of = [{ " + timed + " }] }"), "time_of_day"));
  CHECK_FALSE(find_finding(notes(plain, "freshness = { time = \"bounded\" }\n"), "signed source"));
  CHECK(find_finding(notes(plain, "freshness = { time = \"anchored\" }\n"), "signed source"));
  CHECK_FALSE(find_finding(notes(plain, "min_tier = \"t2\"\n"), "reaches"));
  CHECK(find_finding(notes(plain, "min_tier = \"t3\"\n"), "no node reaches t3"));
}

TEST_CASE("Lint refuses what can never match", "[author]") {
  for (const char* args : {"count = { at_least = 2, at_most = 1 }",
                           "text = { length = { at_least = 2, at_most = 1 } }",
                           "text = { equals = \"abc\", prefix = \"b\" }",
                           "text = { equals = 1 }",
                           "text = { one_of = [\"a\", \"b\"], length = { at_least = 2 } }",
                           "text = { prefix = \"a\", glob = \"b*\" }",
                           "path = { under = \"/a\", prefix = \"/b\" }",
                           "path = { under = \"/a\", prefix = \"/ab\" }",
                           "path = { under = \"/a\", glob = \"/b/*\" }",
                           "text = { at_least = 1 }",
                           "count = { prefix = \"1\" }",
                           "flag = { at_most = 1 }",
                           "data = { at_most = 1, prefix = \"a\" }",
                           "flag = { equals = \"true\" }",
                           "path = { equals = \"/a/../b\" }",
                           "path = { equals = \"a\" }",
                           "text = { prefix = \"abc\", length = { at_most = 2 } }",
                           "text = { glob = \"a*bc\", length = { at_most = 2 } }",
                           "path = { under = \"/a\", prefix = \"a\" }",
                           "text = { equals = \"b\", glob = \"a\" }",
                           "data = { equals = 1, one_of = [2, 3] }"}) {
    const auto errors = errors_of_rule(args);
    INFO(args << "\n" << all_of(errors));
    REQUIRE_FALSE(errors.empty());
    CHECK(errors[0].what.starts_with("no value can ever match"));
    CHECK(errors[0].where.starts_with("line "));
    CHECK_FALSE(errors[0].fix.empty());
  }
}

TEST_CASE("The form of constraints is checked in the source", "[author]") {
  for (const char* args : {"text = \"anything\"",
                           "text = 5",
                           "text = true",
                           "text = [\"a\"]",
                           "text = { any = false }",
                           "text = {}",
                           "text = { optional = true }",
                           "text = { one_of = [] }",
                           "text = { one_of = \"a\" }",
                           "text = { length = {} }",
                           "text = { length = 5 }",
                           "text = { length = { at_least = -1 } }",
                           "text = { prefix = \"\" }",
                           "path = { under = \"/a/\" }",
                           "path = { under = \"a\" }",
                           "path = { under = \"/a/../b\" }",
                           "count = { at_least = \"1\" }",
                           "count = { at_most = 1.5 }",
                           "text = { equals = 1.5 }",
                           "text = { equals = 2026-01-01 }",
                           "text = { eqauls = \"a\" }",
                           "text = { regex = \"a\" }",
                           "text = { any = true, optional = 1 }"}) {
    INFO(args);
    CHECK_FALSE(errors_of_rule(args).empty());
  }
}

TEST_CASE("A wildcard on an irreversible tool is refused", "[author][R33][R65]") {
  for (const char* args :
       {"text = \"any\"", "text = { any = true }", "text = { any = true, optional = true }"}) {
    INFO(args);
    CHECK(errors_of_rule(args).empty());
    const auto errors = errors_of_rule(args, Effect::irreversible);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].what == "\"any\" on a tool whose effect cannot be undone");
  }
  CHECK(errors_of_rule("text = { one_of = [\"a\"] }", Effect::irreversible).empty());
  const auto tool = findings_of(source_with("[[grant]]\ntool=\"*\"\neffect=\"read\"\n"));
  CHECK(find_finding(tool, "there is no wildcard"));
}

TEST_CASE("The grant's effect is at least the tool's", "[author][R65]") {
  const auto errors = errors_of(
      findings_of(source_with("[[grant]]\ntool=\"act\"\ndigest=\"unpinned\"\neffect=\"read\"\n"),
                  tools_with(Effect::write)));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].code == Code::effect_exceeds);
  CHECK(errors[0].fix == "write effect = \"write\"");
  const auto builtin =
      findings_of(source_with("[[grant]]\ntool=\"file.append\"\neffect=\"read\"\nargs={path={under="
                              "\"/a\"},content=\"any\"}"));
  CHECK(find_finding(builtin, "the tool's effect is 'write'"));
}

TEST_CASE("Arguments are those of the tool, and the tool's needs can be met", "[author][R35]") {
  const auto unknown = findings_of(source_with(
      "[[grant]]\ntool=\"file.read\"\nargs={path={under=\"/a\"},max_byte={at_most=1}}"));
  const Finding* finding = find_finding(unknown, "no argument 'max_byte'");
  REQUIRE(finding != nullptr);
  CHECK(finding->code == Code::tool_input);
  CHECK(finding->fix == "did you mean 'max_bytes'?");
  const auto missing = findings_of(source_with("[[grant]]\ntool=\"file.read\"\n"));
  CHECK(find_finding(missing, "needs 'path'")->code == Code::argument_missing);
}

TEST_CASE("A path argument must say what the sandbox may give", "[author]") {
  for (const char* rule : {"\"any\"", "{ prefix = \"/var\" }", "{ glob = \"/var/*\" }"}) {
    INFO(rule);
    CHECK(find_finding(errors_of(findings_of(source_of_rule(rule))), "is missing"));
  }
}

TEST_CASE("System trees are never granted", "[author]") {
  for (const char* rule :
       {"{ under = \"/\" }", "{ under = \"/proc\" }", "{ under = \"/sys/fs\" }",
        "{ equals = \"/dev/sda\" }", "{ one_of = [\"/var/a\", \"/proc/1/mem\"] }"}) {
    const auto errors = errors_of(findings_of(source_of_rule(rule)));
    INFO(rule << all_of(errors));
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == Code::tree_refused);
  }
  CHECK(errors_of(findings_of(source_of_rule("{ under = \"/process\" }"))).empty());
  CHECK(errors_of(findings_of(source_of_rule("{ equals = \"/a\" }"))).empty());
  const auto parent = errors_of(findings_of(
      source_with("[[grant]]\ntool=\"file.write\"\nargs={path={equals=\"/a\"},content=\"any\"}")));
  REQUIRE(parent.size() == 1);
  CHECK(parent[0].code == Code::tree_refused);
}

TEST_CASE("A secret in clear is refused wherever it stands", "[author]") {
  const auto secret = [](const std::string& args) {
    const auto errors = errors_of_rule(args);
    return find_finding(errors, "in clear") != nullptr;
  };
  CHECK(secret("text = { equals = \"AKIAIOSFODNN7EXAMPLE\" }"));
  CHECK(secret("text = { one_of = [\"a\", \"-----BEGIN OPENSSH PRIVATE KEY-----\"] }"));
  CHECK(secret("text = { prefix = \"https://user:hunter2@host/\" }"));
  CHECK(secret("text = { equals = \"mysql --password=hunter2\" }"));
  CHECK(secret("data = { equals = { db_password = \"x\" } }"));
  CHECK(secret("text = { equals = \"ghp_0123456789012345678901234567890123456789\" }"));
  CHECK_FALSE(secret("text = { equals = \"the password is asked for at the door\" }"));
  CHECK_FALSE(secret("text = { equals = \"https://host/a?b=c:d@e\" }"));
  CHECK_FALSE(secret("text = { equals = \"risk-assessment-of-the-northern-pumping-station\" }"));
  std::string source = source_with("");
  const std::string step = "tool = \"time.now\"";
  source.replace(source.rfind(step), step.size(), step + ", args = { api_key = \"12345\" }");
  CHECK(find_finding(errors_of(findings_of(source)), "in clear"));
}

TEST_CASE("The issuer's limits hold for lease, window, age and tools", "[author][R13]") {
  TrustRootData data = testing::sample_root_data();
  data.issuers[0].limits = {600'000, 3600, 3600, false, {"file.read"}};
  const TrustRoot root = testing::opened_root(data);
  const KeyId issuer = crypto::key_id(data.issuers[0].key);
  const Draft draft = parsed(source_with(""));
  const auto errors = errors_of(lint(draft, builtin_known_tools(), &root, &issuer));
  INFO(all_of(errors));
  REQUIRE(errors.size() == 4);
  for (const Finding& finding : errors) CHECK(finding.code == Code::issuer_limit);
  CHECK(find_finding(errors, "capsule.lease.ttl"));
  CHECK(find_finding(errors, "capsule.window.for"));
  CHECK(find_finding(errors, "max_revocation_age"));
  CHECK(find_finding(errors, "grant[0].tool"));
  const KeyId stranger{};
  const auto unknown = errors_of(lint(draft, builtin_known_tools(), &root, &stranger));
  REQUIRE(unknown.size() == 1);
  CHECK(unknown[0].code == Code::signer_unknown);
}

TEST_CASE("A lease above a day says so, and its issuer may give it", "[author][R22]") {
  TrustRootData data = testing::sample_root_data();
  data.issuers[0].limits.max_ttl_ms = 72 * 3'600'000;
  const KeyId issuer = crypto::key_id(data.issuers[0].key);
  const auto errors = [&](const std::string& lease) {
    std::string source = source_with("");
    source.replace(source.find("ttl = \"15m\""), 11, lease);
    const TrustRoot root = testing::opened_root(data);
    return errors_of(lint(parsed(source), builtin_known_tools(), &root, &issuer));
  };
  CHECK(errors("ttl = \"24h\"").empty());
  auto found = errors("ttl = \"25h\"");
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == Code::long_lease);
  found = errors("ttl = \"24h\", long = true");
  REQUIRE(found.size() == 2);  // nor may this issuer give any
  CHECK(found[0].code == Code::long_lease);
  found = errors("ttl = \"25h\", long = true");
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == Code::issuer_limit);
  CHECK(found[0].where.find("capsule.lease.long") != std::string::npos);
  data.issuers[0].limits.long_leases = true;
  CHECK(errors("ttl = \"25h\", long = true").empty());
}

TEST_CASE("Weak but legal things are notes", "[author]") {
  const auto notes = [](const std::string& source) {
    const auto findings = findings_of(source);
    INFO(all_of(findings));
    CHECK(errors_of(findings).empty());
    return findings;
  };
  std::string source =
      source_with("[[grant]]\ntool=\"file.write\"\nargs={path={under=\"/srv/a\"},content=\"any\"}");
  CHECK(find_finding(notes(source), "not counted"));
  source.replace(source.find("15m"), 3, "24h");
  CHECK(find_finding(notes(source), "is long"));
  source.replace(source.find("\"72h\" }"), 7, "\"30d\" }");
  CHECK(find_finding(notes(source), "capsule.window.for"));
}

TEST_CASE("Requester, purpose and agent are required", "[author][R6]") {
  Draft draft = parsed(source_with(""));
  draft.capsule.purpose.clear();
  draft.capsule.requester.clear();
  draft.capsule.agent.clear();
  const auto errors = errors_of(lint(draft, builtin_known_tools(), nullptr, nullptr));
  CHECK(errors.size() == 3);
  for (const Finding& finding : errors) CHECK(finding.code == Code::field_missing);
}

}  // namespace
}  // namespace taper::capsules
