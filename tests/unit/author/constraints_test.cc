// The constraints that look at addresses, URLs, arrays, objects and the time: source, payload,
// show, explain, and back.
#include <algorithm>

#include "author_test.h"

namespace taper::capsules {
namespace {

using testing::all_of;
using testing::completed;
using testing::errors_of;
using testing::find_finding;
using testing::findings_of;
using testing::parsed;
using testing::source_with;
using Verdict = ExplainAnswer::Verdict;

KnownTools tools_with_act(Effect effect = Effect::read) {
  KnownTools tools = builtin_known_tools();
  tools.emplace("act", KnownTool{"act",
                                 false,
                                 effect,
                                 std::nullopt,
                                 {{"text", InputType::string, true},
                                  {"path", InputType::path, true},
                                  {"data", InputType::json, true}}});
  return tools;
}

std::string source(const std::string& args, const std::string& effect = "read") {
  return source_with("[[grant]]\ntool=\"act\"\neffect=\"" + effect +
                     "\"\ndigest=\"unpinned\"\nbudget={calls=1}\nargs = { " + args + " }");
}

std::vector<Finding> errors(const std::string& args, Effect effect = Effect::read) {
  return errors_of(findings_of(source(args, effect == Effect::read ? "read" : "irreversible"),
                               tools_with_act(effect)));
}

struct Form {
  const char* args;
  const char* shown;  // for people
  const char* json;   // for programs
};
constexpr Form kForms[] = {
    {R"(text = { not_one_of = ["root", 1, true] })", R"(not_one_of ["root",1,true])",
     R"([{"not_one_of":["root",1,true]}])"},
    {R"(text = { suffix = ".log" })", R"(suffix ".log")", R"([{"suffix":".log"}])"},
    {R"(text = { url = { schemes = ["https"], hosts = ["a.example", "[::1]"], ports = )"
     R"([443, 8443], under = "/api" } })",
     "url https hosts a.example [::1] ports 443 8443 under /api",
     R"([{"url":{"schemes":["https"],"hosts":["a.example","[::1]"],"ports":[443,8443],)"
     R"("under":"/api"}}])"},
    {R"(text = { url = { schemes = ["http", "https"], hosts = ["10.0.0.1"] } })",
     "url http https hosts 10.0.0.1 usual port under /",
     R"([{"url":{"schemes":["http","https"],"hosts":["10.0.0.1"],"ports":[],"under":"/"}}])"},
    {R"(text = { cidr = ["10.0.0.0/8", "fd00::/8"] })", "cidr 10.0.0.0/8 fd00::/8",
     R"([{"cidr":["10.0.0.0/8","fd00::/8"]}])"},
    {R"(data = { argv = [{ equals = "git" }, "any", { prefix = "-", suffix = "q" }] })",
     R"(argv (equals "git", any, all_of (prefix "-" and suffix "q")))",
     R"([{"argv":[{"equals":"git"},{"any":true},{"all_of":[{"prefix":"-"},{"suffix":"q"}]}]}])"},
    {R"(data = { each = { at_least = 1, at_most = 9 }, count = { at_least = 1, at_most = 5 } })",
     "each (at_least 1 and at_most 9), count 1..5",
     R"([{"each":[{"at_least":1},{"at_most":9}]},{"count":{"at_least":1,"at_most":5}}])"},
    {R"(data = { each = "any" })", "each (any)", R"([{"each":[{"any":true}]}])"},
    {R"(data = { count = { at_most = 5 } })", "count 0..5",
     R"([{"count":{"at_least":0,"at_most":5}}])"},
    {R"(data = { fields = { name = { prefix = "a" }, n = { at_most = 9, optional = )"
     R"(true }, x = "any" } })",
     R"(fields {"n" optional (at_most 9), "name" (prefix "a"), "x" (any)})",
     R"([{"fields":[{"name":"n","optional":true,"all":[{"at_most":9}]},{"name":"name",)"
     R"("optional":false,"all":[{"prefix":"a"}]},{"name":"x","optional":false,)"
     R"("all":[{"any":true}]}]}])"},
    {R"(text = { all_of = [{ prefix = "a" }, { suffix = "z" }] })",
     R"(all_of (prefix "a" and suffix "z"))", R"([{"all_of":[{"prefix":"a"},{"suffix":"z"}]}])"},
    {R"(text = { any_of = [{ prefix = "a" }, { cidr = ["10.0.0.0/8"] }] })",
     R"(any_of (prefix "a" or cidr 10.0.0.0/8))",
     R"([{"any_of":[{"prefix":"a"},{"cidr":["10.0.0.0/8"]}]}])"},
    {R"(text = { prefix = "a", time_of_day = { from = "22:30", to = "06:00", offset = )"
     R"("-03:30" } })",
     R"(prefix "a", time_of_day 22:30 to 06:00 at -03:30)",
     R"([{"prefix":"a"},{"time_of_day":{"from_s":81000,"to_s":21600,"offset_s":-12600}}])"},
};

TEST_CASE("Each constraint goes from source to payload and back", "[author][R35]") {
  for (const Form& form : kForms) {
    INFO(form.args);
    const Draft draft = parsed(source(form.args), tools_with_act());
    const auto bytes = encode_capsule(completed(draft));
    REQUIRE(bytes.ok());
    UntrustedCapsule shown;
    auto decoded = decode_capsule(*bytes);
    INFO((decoded.ok() ? "" : to_line(decoded.error())));
    REQUIRE(decoded.ok());
    shown.root = std::move(*decoded);
    CHECK(*encode_capsule(shown.root) == *bytes);
    CHECK(show_text(shown, std::nullopt).find(form.shown) != std::string::npos);
    INFO(show_json(shown));
    CHECK(show_json(shown).find(form.json) != std::string::npos);
    CHECK(errors(form.args).empty());
  }
}

constexpr const char* kBadOperands[] = {
    "text = { not_one_of = [] }",
    "text = { not_one_of = \"a\" }",
    "text = { not_one_of = [1.5] }",
    "data = { not_one_of = [[1]] }",
    "text = { suffix = \"\" }",
    "text = { suffix = 1 }",
    "text = { url = \"https://a.example\" }",
    "text = { url = {} }",
    "text = { url = { schemes = [\"https\"] } }",
    "text = { url = { hosts = [\"a.example\"] } }",
    "text = { url = { schemes = [], hosts = [\"a.example\"] } }",
    "text = { url = { schemes = [\"\"], hosts = [\"a.example\"] } }",
    "text = { url = { schemes = [\"HTTPS\"], hosts = [\"a.example\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"A.example\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a.example.\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"*.example\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a.example:443\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"0x7f.1\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"::1\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], ports = [] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], ports = [0] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], ports = [65536] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], ports = [\"443\"] } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], under = \"api\" } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], under = \"/api/\" } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], under = \"/a b\" } }",
    "text = { url = { schemes = [\"https\"], hosts = [\"a\"], path = \"/api\" } }",
    "text = { cidr = [] }",
    "text = { cidr = \"10.0.0.0/8\" }",
    "text = { cidr = [\"10.0.0.0\"] }",
    "text = { cidr = [\"10.0.0.1/8\"] }",
    "text = { cidr = [\"10.0.0.0/08\"] }",
    "text = { cidr = [\"10.0.0.0/33\"] }",
    "text = { cidr = [\"10/8\"] }",
    "text = { cidr = [\"::ffff:10.0.0.0/104\"] }",
    "data = { argv = [] }",
    "data = { argv = [\"git\"] }",
    "data = { argv = \"any\" }",
    "data = { argv = [{}] }",
    "data = { argv = [{ equals = \"a\", optional = true }] }",
    "data = { each = {} }",
    "data = { each = \"git\" }",
    "data = { each = [\"any\"] }",
    "data = { count = 3 }",
    "data = { count = {} }",
    "data = { count = { at_least = -1 } }",
    "data = { fields = {} }",
    "data = { fields = { a = 1 } }",
    "data = { fields = { a = {} } }",
    "data = { fields = { a = { regex = \"x\" } } }",
    "text = { all_of = [] }",
    "text = { all_of = {} }",
    "text = { any_of = [] }",
    "text = { any_of = [1] }",
    "text = { any_of = [{ eqauls = 1 }] }",
    "text = { time_of_day = \"06:00\" }",
    "text = { time_of_day = { from = \"06:00\", to = \"18:00\" } }",
    "text = { time_of_day = { from = \"06:00\", offset = \"+00:00\" } }",
    "text = { time_of_day = { from = \"6:00\", to = \"18:00\", offset = \"+00:00\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"24:00\", offset = \"+00:00\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"18:60\", offset = \"+00:00\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"06:00\", offset = \"+00:00\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"18:00\", offset = \"02:00\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"18:00\", offset = \"+14:01\" } }",
    "text = { time_of_day = { from = \"06:00\", to = \"18:00\", offset = \"UTC\" } }",
};

TEST_CASE("Operands are checked in the source", "[author][R35]") {
  for (const char* args : kBadOperands) {
    INFO(args);
    const auto found = errors(args);
    INFO(all_of(found));
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].where.find("grant[1].args") != std::string::npos);
    CHECK_FALSE(found[0].fix.empty());
  }
}

TEST_CASE("Nesting is bounded in the source as in the payload", "[author]") {
  const auto nested = [](int levels) {
    std::string rule = "\"any\"";
    for (int i = 1; i < levels; ++i) rule = "{ each = " + rule + " }";
    return "data = " + rule;
  };
  CHECK(errors(nested(8)).empty());
  CHECK(encode_capsule(completed(parsed(source(nested(8)), tools_with_act()))).ok());
  CHECK(
      decode_capsule(*encode_capsule(completed(parsed(source(nested(8)), tools_with_act())))).ok());
  const auto deep = errors(nested(9));
  CHECK(find_finding(deep, "nested too deeply"));
}

TEST_CASE("Lint looks inside of nested rules", "[author]") {
  for (const char* args : {
           R"(data = { count = { at_least = 3, at_most = 1 } })",
           R"(data = { each = { at_most = 1 }, prefix = "a" })",
           R"(data = { fields = { a = "any" }, each = "any" })",
           R"(text = { each = "any" })",
           R"(text = { fields = { a = "any" } })",
           R"(data = { each = { at_least = 2, at_most = 1 }, count = { at_least = 1 } })",
           R"(data = { argv = ["any", "any"], count = { at_most = 1 } })",
           R"(data = { argv = [{ at_least = 1 }] })",
           R"(data = { fields = { a = { prefix = "a", equals = "b" } } })",
           R"(text = { all_of = [{ prefix = "a" }, { equals = "b" }] })",
           R"(text = { any_of = [{ equals = 1 }, { at_least = 1 }] })",
           R"(text = { prefix = "a", any_of = [{ equals = "b" }, { one_of = ["c"] }] })",
           R"(text = { suffix = ".log", equals = "a.txt" })",
           R"(text = { suffix = ".log", length = { at_most = 3 } })",
           R"(text = { not_one_of = ["a"], equals = "a" })",
           R"(text = { url = { schemes = ["https"], hosts = ["a"] }, under = "/srv" })",
           R"(text = { url = { schemes = ["https"], hosts = ["a"] }, equals = "http://a/" })",
           R"(text = { cidr = ["10.0.0.0/8"], one_of = ["11.0.0.1", "10.0.0"] })",
       }) {
    INFO(args);
    const auto found = errors(args);
    INFO(all_of(found));
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].what.starts_with("no value can ever match"));
  }
  for (const char* args : {
           R"(text = { equals = "a", time_of_day = { from = "06:00", to = "18:00", offset = )"
           R"("+00:00" } })",
           R"(text = { any_of = [{ equals = 1 }, { equals = "a" }] })",
           R"(data = { each = { at_least = 2, at_most = 1 } })",
           R"(path = { any_of = [{ under = "/srv" }, { equals = "/opt/x" }] })",
           R"(path = { all_of = [{ under = "/srv" }], suffix = ".log" })",
       }) {
    INFO(args << "\n" << all_of(errors(args)));
    CHECK(errors(args).empty());
  }
}

TEST_CASE("Lint asks every alternative of a path for a tree", "[author][R29]") {
  for (const char* args : {
           R"(path = { any_of = [{ under = "/srv" }, { prefix = "/opt/" }] })",
           R"(path = { any_of = [{ under = "/srv" }, "any"] })",
           R"(path = { not_one_of = ["/etc/passwd"] })",
           R"(data = { each = { any_of = [{ under = "/srv" }, { suffix = ".log" }] } })",
       }) {
    INFO(args << "\n" << all_of(errors(args)));
    CHECK(find_finding(errors(args), "the sandbox gives a tool only what a path argument names"));
  }
  CHECK(find_finding(errors(R"(path = { any_of = [{ under = "/srv" }, { under = "/proc" }] })"),
                     "would have to be given"));
  CHECK(find_finding(errors(R"(data = { each = { under = "/sys" } })"), "would have to be given"));
}

TEST_CASE("A hidden wildcard on an irreversible tool is refused", "[author][R33]") {
  for (const char* args : {
           R"(text = { any_of = [{ equals = "a" }, "any"] })",
           R"(text = { any_of = [{ any_of = [{ equals = "a" }, { all_of = ["any"] }] }] })",
           R"(text = { all_of = ["any"] })",
           R"(text = { not_one_of = ["a"] })",
           R"(text = { time_of_day = { from = "06:00", to = "18:00", offset = "+00:00" } })",
           R"(data = { each = "any" })",
           R"(data = { each = "any", count = { at_most = 3 } })",
           R"(data = { count = { at_most = 3 } })",
           R"(data = { argv = [{ equals = "rm" }, "any"] })",
           R"(data = { fields = { a = { equals = 1 }, b = "any" } })",
       }) {
    INFO(args << "\n" << all_of(errors(args, Effect::irreversible)));
    CHECK(errors(args).empty());
    CHECK(find_finding(errors(args, Effect::irreversible), "whose effect cannot be undone"));
  }
  for (const char* args : {
           R"(text = { any_of = [{ equals = "a" }, { prefix = "b" }] })",
           R"(text = { all_of = ["any", { equals = "a" }] })",
           R"(text = { prefix = "a", not_one_of = ["a"] })",
           R"(data = { each = { equals = 1 }, count = { at_most = 3 } })",
           R"(data = { argv = [{ equals = "rm" }, { under = "/srv" }] })",
       }) {
    INFO(args << "\n" << all_of(errors(args, Effect::irreversible)));
    CHECK(errors(args, Effect::irreversible).empty());
  }
}

TEST_CASE("Lint finds secrets however deep", "[author]") {
  CHECK(find_finding(errors(R"(data = { fields = { password = { equals = "hunter2" } } })"),
                     "looks like a secret"));
  CHECK(find_finding(errors(R"(data = { any_of = [{ each = { prefix = "https://u:pw@h/" } }] })"),
                     "a URL with a password"));
}

TEST_CASE("Explain leaves the time of day to the node, or asks it for a given time", "[author]") {
  const KnownTools tools = tools_with_act();
  const Capsule capsule = completed(parsed(
      source(R"(text = { equals = "a", time_of_day = { from = "06:00", to = "18:00", offset = )"
             R"("+02:00" } })"),
      tools));
  const auto ask = [&](std::optional<std::int64_t> at_s) {
    return explain(capsule, "act", as_bytes(R"({"text":"a"})"), tools, at_s);
  };
  const auto answer = [](const Explanation& all) {
    const auto found = std::ranges::find(all.answers, "time of day", &ExplainAnswer::question);
    return found == all.answers.end() ? nullptr : &*found;
  };
  const std::int64_t midnight = capsule.not_before_s;
  const Explanation open = ask(std::nullopt);
  CHECK(open.code == Code::ok);
  // Verdict and words point into `open`.
  REQUIRE(std::ranges::count(open.answers, "time of day", &ExplainAnswer::question) == 1);
  CHECK(std::ranges::find(open.answers, "time of day", &ExplainAnswer::question)->verdict ==
        Verdict::needs_node);
  const Explanation day = ask(midnight + 12 * 3600);
  CHECK(day.code == Code::ok);
  CHECK(answer(day) != nullptr);
  CHECK(ask(midnight + 3 * 3600).code == Code::argument_refused);
  CHECK(ask(midnight + 16 * 3600).code == Code::argument_refused);
  CHECK(ask(midnight + 4 * 3600).code == Code::ok);
}

}  // namespace
}  // namespace taper::capsules
