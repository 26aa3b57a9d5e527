#include <algorithm>

#include "author_test.h"

namespace taper::capsules {
namespace {

using testing::completed;
using testing::parsed;
using testing::source_with;
using Verdict = ExplainAnswer::Verdict;

const Capsule& capsule() {
  static const Capsule made = completed(parsed(source_with(R"([[grant]]
id = "small"
tool = "file.read"
args = { path = { under = "/var/log" }, max_bytes = { at_most = 10 } }
budget = { calls = 2 }
[[grant]]
id = "large"
tool = "file.read"
args = { path = { under = "/srv" } }
[[grant]]
tool = "file.stat"
verbs = ["discover"]
args = { path = { under = "/srv" } }
)")));
  return made;
}

Explanation ask(std::string_view tool, std::string_view arguments,
                std::optional<std::int64_t> at_s = std::nullopt) {
  return explain(capsule(), tool, as_bytes(arguments), builtin_known_tools(), at_s);
}

const ExplainAnswer& answer(const Explanation& explanation, std::string_view question) {
  const auto found = std::ranges::find(explanation.answers, question, &ExplainAnswer::question);
  REQUIRE(found != explanation.answers.end());
  return *found;
}

TEST_CASE("Explain tells the whole path in its order", "[author]") {
  const Explanation path = ask("file.read", R"({"path":"/var/log/a","max_bytes":10})");
  std::string questions;
  for (const ExplainAnswer& one : path.answers) questions += one.question + "|";
  CHECK(questions ==
        "session and proof|task live|time|revocation|node policy|grant|tool digest|arguments|"
        "labels|after|budgets|");
  CHECK(path.code == Code::ok);
  CHECK(path.grant == "small");
  CHECK(answer(path, "session and proof").verdict == Verdict::needs_node);
  CHECK(answer(path, "time").verdict == Verdict::needs_node);
  CHECK(answer(path, "tool digest").verdict == Verdict::passed);
  CHECK(answer(path, "budgets").verdict == Verdict::needs_node);
}

TEST_CASE("Explain chooses the first grant that matches", "[author]") {
  CHECK(ask("file.read", R"({"path":"/srv/a"})").grant == "large");
  CHECK(answer(ask("file.read", R"({"path":"/srv/a"})"), "budgets").verdict == Verdict::passed);
}

TEST_CASE("An unknown argument is refused and named", "[author][R35]") {
  const Explanation path = ask("file.read", R"({"path":"/var/log/a","max_bytes":1,"follow":true})");
  CHECK(path.code == Code::argument_unknown);
  CHECK(path.grant.empty());
  const ExplainAnswer& arguments = answer(path, "arguments");
  CHECK(arguments.verdict == Verdict::failed);
  CHECK(arguments.expected.starts_with("follow: "));
  CHECK(arguments.got == "true");
}

TEST_CASE("Explain gives each refusal its own code", "[author]") {
  CHECK(ask("file.write", "{}").code == Code::tool_not_granted);
  CHECK(answer(ask("file.write", "{}"), "grant").verdict == Verdict::failed);
  CHECK(ask("file.stat", R"({"path":"/srv/a"})").code == Code::verb_not_granted);
  CHECK(ask("file.read", "{").code == Code::arguments_malformed);
  CHECK(ask("file.read", R"({"path":"/var/log/a"})").code == Code::argument_missing);
  CHECK(ask("file.read", R"({"path":"/etc/x","max_bytes":1})").code == Code::argument_refused);
  CHECK(ask("file.read", R"({"path":"/var/log/../x","max_bytes":1})").code == Code::path_malformed);
}

TEST_CASE("Explain asks the time where one is given", "[author]") {
  const auto code = [](std::int64_t at_s) { return ask("time.now", "{}", at_s).code; };
  CHECK(code(capsule().not_before_s) == Code::ok);
  CHECK(code(capsule().not_before_s - 1) == Code::window_not_open);
  CHECK(code(capsule().not_after_s) == Code::window_closed);
  const Explanation late = ask("time.now", R"({"x":1})", capsule().not_after_s);
  CHECK(late.code == Code::window_closed);
  CHECK(answer(late, "arguments").code == Code::argument_unknown);
}

}  // namespace
}  // namespace taper::capsules
