#include "author_test.h"
#include "capsules/author/lineage.h"
#include "capsules/builtins.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::all_of;
using testing::find_finding;
using testing::known_key;

constexpr std::int64_t kNowS = 1'790'000'500;

// The sample capsule with room for three blocks, and the chain it is narrowed to.
struct Chain {
  TrustRoot root = testing::opened_root(testing::sample_root_data());
  Bytes file;
  std::uint8_t last = testing::kHolderKey;
  Chain() {
    Capsule capsule = testing::sample_capsule(root);
    capsule.max_depth = 3;
    file = testing::signed_capsule(capsule);
  }
  UntrustedCapsule read() const { return read_untrusted(file, {}).value(); }
  Narrowing parse(std::string_view source) const {
    return parse_narrowing(source, read(), builtin_known_tools(), kNowS);
  }
  // Narrows by a source that must be good; the next holder is `next`.
  void narrow(std::string_view source, std::uint8_t next) {
    Narrowing narrowing = parse(source);
    INFO(all_of(narrowing.findings));
    REQUIRE(narrowing.block.has_value());
    narrowing.block->holder = known_key(next).public_key();
    file = testing::narrowed(file, *narrowing.block, last);
    last = next;
  }
  std::string where(std::string_view source, std::string_view part) const {
    const Narrowing narrowing = parse(source);
    const Finding* found = find_finding(narrowing.findings, part);
    INFO(all_of(narrowing.findings));
    REQUIRE(found != nullptr);
    CHECK((found->severity == Severity::note) == narrowing.block.has_value());
    return found->where;
  }
};

TEST_CASE("A block's source becomes a block that opens", "[author][R45]") {
  Chain chain;
  chain.narrow(R"([[grant]]
parent = "file.list"
args = { path = { under = "/var/log/a" } }
budget = { calls = 3 }
[[grant]]
parent = "file.list"
[block]
lease = { ttl = "1m", idle = "10s" }
window = { for = "1h" }
)",
               21);
  const auto opened = open(chain.file, chain.root);
  REQUIRE(opened.code() == Code::ok);
  const Block& block = opened->blocks().at(0);
  CHECK(block.grants.at(0).id == "file.list");
  CHECK(block.grants.at(1).id == "file.list-2");  // numbered when repeated
  CHECK(block.grants.at(0).budget.calls == 3);
  CHECK(block.lease_ttl_ms == 60'000);
  CHECK(block.lease_idle_ms == 10'000);
  CHECK_FALSE(block.not_before_s.has_value());
  CHECK(block.not_after_s == kNowS + 3600);
  // The next block names grants of this one.
  CHECK(chain.where("[[grant]]\nparent = \"file.write\"\n", "has no grant") ==
        "line 2: grant[0].parent");
  chain.narrow("[[grant]]\nparent = \"file.list-2\"\nid = \"x\"\n", 22);
  CHECK(open(chain.file, chain.root).code() == Code::ok);
}

TEST_CASE("What a block's source gets wrong has its line", "[author]") {
  const Chain chain;
  const std::string keep = "[[grant]]\nparent = \"file.list\"\n";
  CHECK(chain.where("[[grant]]\nid = \"x\"\n", "'parent' is required").starts_with("line 1"));
  CHECK(chain.where("[[grant]]\nparent = \"file.lst\"\n", "no grant 'file.lst'") ==
        "line 2: grant[0].parent");
  CHECK(chain.where(keep + "args = { max_entries = { at_most = 1 } }\n", "does not name") ==
        "line 3: grant[0].args.max_entries");
  CHECK(chain.where(keep + "args = { path = { under = \"/srv\" } }\n", "no value can ever match") ==
        "line 3: grant[0].args.path");
  CHECK(chain
            .where(keep + "[[grant]]\nparent = \"file.write\"\nid = \"file.list\"\n" +
                       "[[grant]]\nparent = \"file.list\"\nid = \"file.list\"\n",
                   "stands twice")
            .starts_with("line 6"));
  CHECK(chain.where(keep + "tool = \"file.list\"\n", "'tool' is not known here") ==
        "line 3: grant[0].tool");
  CHECK(chain.where(keep + "[block]\nwindow = { from = 2001-01-01T00:00:00Z, for = \"1h\" }\n",
                    "shares no time") == "line 4: block.window");
  CHECK(chain.where("", "nothing would be kept") == "grant");
  CHECK(chain.where("grant = 3\n", "list of").starts_with("line 1"));
  CHECK(chain.where("[[grant]\n", "").starts_with("line 1"));
}

TEST_CASE("What is wider than inherited is a note", "[author]") {
  const Chain chain;
  const std::string keep = "[[grant]]\nparent = \"file.list\"\n";
  CHECK(chain.where(keep + "budget = { calls = 11 }\n", "has no effect") ==
        "line 3: grant[0].budget");
  CHECK(chain.where(keep + "[block]\nlease = { ttl = \"1h\" }\n", "has no effect") ==
        "line 4: block.lease.ttl");
  CHECK(chain.where(keep + "[block]\nwindow = { for = \"30d\" }\n", "has no effect") ==
        "line 4: block.window.for");
  CHECK(chain.where(keep + "refuse_after = [\"plant\"]\n", "gives the label") ==
        "line 3: grant[0].refuse_after");
  CHECK(chain.parse(keep + "budget = { calls = 10 }\n").findings.empty());
}

TEST_CASE("A chain grows as deep as its issuer allows", "[author][R47]") {
  Chain chain;
  for (const std::uint8_t next : std::initializer_list<std::uint8_t>{21, 22, 23}) {
    REQUIRE(may_narrow(chain.read()).ok());
    chain.narrow("[[grant]]\nparent = \"file.list\"\n", next);
  }
  CHECK(may_narrow(chain.read()).code() == Code::block_broken);
  CHECK(open(chain.file, chain.root).code() == Code::ok);
}

TEST_CASE("Explain names the block that refuses", "[author][R47]") {
  Chain chain;
  chain.narrow("[[grant]]\nparent = \"file.list\"\nargs = { path = { under = \"/var/log/a\" } }\n",
               21);
  chain.narrow(
      "[[grant]]\nparent = \"file.list\"\nargs = { path = { under = \"/var/log/a/b\" } }\n", 22);
  const UntrustedCapsule read = chain.read();
  const auto refused_by = [&read](std::string_view tool, std::string_view arguments) {
    const Explanation path = explain(read.root, tool, as_bytes(arguments), builtin_known_tools(),
                                     std::nullopt, read.blocks);
    for (const ExplainAnswer& answer : path.answers) {
      if (answer.verdict == ExplainAnswer::Verdict::failed) return answer.question;
    }
    return std::string();
  };
  CHECK(refused_by("file.list", R"({"path":"/var/log/a/b/c"})") == "");
  CHECK(refused_by("file.list", R"({"path":"/var/log/a/c"})") == "block 2");
  CHECK(refused_by("file.list", R"({"path":"/var/log/b"})") == "block 1");
  CHECK(refused_by("file.list", R"({"path":"/etc"})") == "arguments");
  CHECK(refused_by("file.write", R"({"content":"x","path":"/srv/report.md"})") == "block 1");
}

TEST_CASE("The page's worked example does what it says", "[author][R45]") {
  const Result<Bytes> page =
      read_file(std::string(TAPER_SOURCE_DIR) + "/docs/CAPSULES.md", limits::kSourceBytesMax);
  REQUIRE(page.ok());
  std::string text(as_text(*page));
  text = text.substr(text.find("## Narrowing"));
  const std::string open_mark = "```toml\n";
  const std::size_t begin = text.find(open_mark) + open_mark.size();
  const std::string source = text.substr(begin, text.find("```", begin) - begin);

  Chain chain;
  Capsule capsule = testing::sample_capsule(chain.root);
  capsule.max_depth = 1;
  capsule.grants[0].id = capsule.grants[0].tool = "file.read";
  capsule.grants[0].args = {{"path", false, {Under{"/var/log/plant"}}}};
  capsule.grants[0].budget.calls = 100;
  capsule.plan.steps.erase(capsule.plan.steps.begin());
  capsule.plan.steps[0].needs.clear();
  chain.file = testing::signed_capsule(capsule);
  const Bytes whole = chain.file;
  CHECK(chain.parse(source).findings.empty());
  chain.narrow(source, 21);
  const auto answer = [&chain](std::string_view tool, std::string_view arguments) {
    const UntrustedCapsule read = chain.read();
    return explain(read.root, tool, as_bytes(arguments), builtin_known_tools(), std::nullopt,
                   read.blocks)
        .code;
  };
  const std::string report = R"({"content":"x","path":"/srv/report.md"})";
  CHECK(answer("file.read", R"({"path":"/var/log/plant/pump-07.log"})") == Code::ok);
  CHECK(answer("file.read", R"({"path":"/var/log/plant/fan-01.log"})") == Code::argument_refused);
  CHECK(answer("file.write", report) == Code::ok);

  const std::string second = "[[grant]]\nparent = \"file.write\"\n";
  REQUIRE(source.find(second) != source.npos);
  chain.file = whole;
  chain.last = testing::kHolderKey;
  chain.narrow(std::string(source).erase(source.find(second), second.size()), 22);
  CHECK(answer("file.write", report) == Code::tool_not_granted);
}

TEST_CASE("Explain names the times of day that a block asks for", "[author][R45]") {
  Chain chain;
  CHECK(chain.where("[[grant]]\nparent = \"file.list\"\nargs = { path = { time_of_day = { from = "
                    "\"08:00\", to = \"18:00\", offset = \"+01:00\" } } }\n",
                    "signed source of time") == "line 3: grant[0].args.path");
  chain.narrow(R"([[grant]]
parent = "file.list"
args = { path = { time_of_day = { from = "08:00", to = "18:00", offset = "+01:00" } } }
)",
               40);
  const UntrustedCapsule read = chain.read();
  const Explanation path = explain(read.root, "file.list", as_bytes(R"({"path":"/var/log/a"})"),
                                   builtin_known_tools(), {}, read.blocks);
  const auto line =
      std::ranges::find(path.answers, "block 1 time of day", &ExplainAnswer::question);
  REQUIRE(line != path.answers.end());
  CHECK(line->expected.find("08:00") != std::string::npos);
}

TEST_CASE("A block takes verbs away", "[author][R45]") {
  Chain chain;
  chain.narrow(R"([[grant]]
parent = "file.list"
verbs = ["result", "poll"]
)",
               40);
  const UntrustedCapsule read = chain.read();
  CHECK(read.blocks[0].grants[0].verbs == std::vector{Verb::result, Verb::poll});
  const auto ask = [&read](Verb verb) {
    const Object arguments{{"path", "/var/log"}};
    return find_route(read.root, lineage_of(read.root, read.blocks), {verb, "file.list", arguments},
                      find_builtin("file.list")->inputs)
        .status.code();
  };
  CHECK(ask(Verb::result) == Code::ok);
  CHECK(ask(Verb::call) == Code::verb_not_granted);
  CHECK(show_text(read, kNowS).find("result, poll") != std::string::npos);
  CHECK(show_json(read).find("\"verbs\":[\"result\",\"poll\"]") != std::string::npos);
  CHECK(chain.where("[[grant]]\nparent = \"file.list\"\nverbs = [\"call\"]\n",
                    "none of these verbs") == "line 3: grant[0].verbs");
  CHECK(chain.where("[[grant]]\nparent = \"file.list\"\nverbs = [\"call\", \"poll\"]\n",
                    "a block adds none") == "line 3: grant[0].verbs");
  CHECK(chain.where("[[grant]]\nparent = \"file.list\"\nverbs = []\n", "verb") ==
        "line 3: grant[0].verbs");
}

}  // namespace
}  // namespace taper::capsules
