#include "author_test.h"

namespace taper::capsules {
namespace {

using testing::errors_of;
using testing::find_finding;
using testing::findings_of;
using testing::kHead;
using testing::parsed;

std::string plan_source(const std::string& plan) {
  return std::string(kHead) +
         "[[grant]]\ntool=\"time.now\"\n[[grant]]\ntool=\"file.read\"\nargs = { path = { under = "
         "\"/a\" }, max_bytes = { at_most = 9, optional = true } }\n[plan]\n" +
         plan;
}

TEST_CASE("Steps are put in an order where every need comes first", "[author]") {
  const Capsule capsule = parsed(plan_source(R"(steps = [
    { id = "c", tool = "time.now", needs = ["a", "b"] },
    { id = "x", tool = "time.now" },
    { id = "b", tool = "time.now", needs = ["a"] },
    { id = "a", tool = "time.now", on_error = "continue" },
  ])"))
                              .capsule;
  std::string order;
  for (const Step& step : capsule.plan.steps) order += step.id;
  CHECK(order == "xabc");
  CHECK(capsule.plan.steps[1].on_error == OnError::carry_on);
}

TEST_CASE("Needs: no circle, no stranger, no self", "[author]") {
  const auto findings = [](const std::string& steps) {
    return errors_of(findings_of(plan_source("steps = [" + steps + "]")));
  };
  CHECK(find_finding(findings(R"({ id="a", tool="time.now", needs=["b"] },
                                 { id="b", tool="time.now", needs=["a"] })"),
                     "circle"));
  CHECK(find_finding(findings(R"({ id="a", tool="time.now", needs=["zz"] })"), "no step 'zz'"));
  CHECK(find_finding(findings(R"({ id="a", tool="time.now", needs=["a"] })"), "needs itself"));
  CHECK(find_finding(findings(R"({ id="a", tool="time.now" }, { id="a", tool="time.now" })"),
                     "stands twice"));
  CHECK(find_finding(findings(""), "plan.steps"));
  CHECK(find_finding(findings("1"), "a step is a table"));
}

TEST_CASE("References have exactly one form and name what exists", "[author]") {
  const auto findings = [](const std::string& value, const std::string& more = "") {
    return errors_of(findings_of(plan_source(R"(inputs = ["file"]
steps = [ { id = "one", tool = "time.now" }, { id = "two", tool = "file.read", args = { path = )" +
                                             value + " }" + more + " } ]")));
  };
  CHECK(findings(R"({ "$input" = "file" })").empty());
  CHECK(findings(R"({ "$step" = "one", at = "/path" })", R"(, needs = ["one"])").empty());
  const auto no_need = findings(R"({ "$step" = "one", at = "/path" })");
  REQUIRE(no_need.size() == 1);
  CHECK(no_need[0].code == Code::step_reference);
  CHECK(no_need[0].fix == "add needs = [\"one\"] to this step");
  CHECK(no_need[0].where.starts_with("line "));
  CHECK(find_finding(findings(R"({ "$input" = "other" })"), "no input 'other'"));
  for (const char* wrong :
       {R"({ "$input" = "file", x = 1 })", R"({ "$step" = "one" })", R"({ "$env" = "HOME" })",
        R"({ "$input" = 1 })", R"([ { "$step" = "one", at = 1 } ])"}) {
    INFO(wrong);
    CHECK(find_finding(findings(wrong, R"(, needs = ["one"])"), "a reference is a table"));
  }
  for (const char* at : {"text", "/a~", "/a~2"}) {
    CHECK(find_finding(
        findings(R"({ "$step" = "one", at = ")" + std::string(at) + "\" }", R"(, needs = ["one"])"),
        "not a JSON pointer"));
  }
}

TEST_CASE("Plan values are exact: no fractions, no dates", "[author]") {
  const auto findings = [](const std::string& value) {
    return errors_of(findings_of(plan_source(
        R"(steps = [ { id = "a", tool = "file.read", args = { path = "/a/b", max_bytes = )" +
        value + " } } ]")));
  };
  CHECK(findings("5").empty());
  CHECK(find_finding(findings("1.5"), "fraction"));
  CHECK(find_finding(findings("nan"), "fraction"));
  CHECK(find_finding(findings("2026-01-01"), "date"));
  CHECK(find_finding(findings("[ 1, [ 2.5 ] ]"), "fraction"));
}

TEST_CASE("What steps cannot do yet is refused by name", "[author]") {
  const auto findings = [](const std::string& more) {
    return errors_of(
        findings_of(plan_source(R"(steps = [ { id = "a", tool = "time.now", )" + more + " } ]")));
  };
  CHECK(find_finding(findings("approval = true"), "not enforced yet"));
}

TEST_CASE("Retries are counted, spaced and granted", "[author][R38]") {
  const auto source = [](const std::string& on_error, const std::string& grant = "") {
    return std::string(kHead) + "[[grant]]\ntool=\"time.now\"\n" + grant +
           "\n[plan]\nsteps = [ { id = \"a\", tool = \"time.now\", on_error = " + on_error + " } ]";
  };
  const std::string verbs = "verbs = [\"call\", \"retry\"]";
  const std::string good = R"({ retry = 3, backoff = "2s" })";
  const Step step = parsed(source(good, verbs)).capsule.plan.steps.at(0);
  CHECK(step.on_error == OnError::retry);
  CHECK(step.retries == 3);
  CHECK(step.backoff_ms == 2000);
  CHECK(findings_of(source(good, verbs)).empty());
  const auto ungranted = errors_of(findings_of(source(good)));
  REQUIRE(ungranted.size() == 1);
  CHECK(ungranted[0].code == Code::verb_not_granted);
  CHECK(find_finding(findings_of(source(good, verbs + "\neffect = \"irreversible\"")),
                     "carry no id"));
  CHECK(find_finding(findings_of(source(R"({ retry = 1, backoff = "15m" })", verbs)), "idles out"));
  for (const char* wrong :
       {R"("retry")", "{ retry = 3 }", R"({ backoff = "1s" })", R"({ retry = 0, backoff = "1s" })",
        R"({ retry = 101, backoff = "1s" })", R"({ retry = 1, backoff = "91d" })",
        R"({ retry = 1, backoff = "1s", then = "stop" })", "3"}) {
    INFO(wrong);
    CHECK_FALSE(errors_of(findings_of(source(wrong, verbs))).empty());
  }
}

TEST_CASE("A step goes through a list, or a reference to one, up to its maximum", "[author]") {
  const auto source = [](const std::string& more, const std::string& path) {
    return plan_source(R"(inputs = ["files"]
steps = [ { id = "one", tool = "time.now" },
          { id = "two", tool = "file.read", needs = ["one"], )" +
                       more + " args = { path = " + path + " } } ]");
  };
  const std::string item = R"({ "$item" = true })";
  const auto step = [&](const std::string& more, const std::string& path) {
    return parsed(source(more, path)).capsule.plan.steps.at(1);
  };
  const Step literal = step(R"(for_each = ["/a/x", "/a/y"],)", item);
  CHECK(literal.for_each == R"(["/a/x","/a/y"])");
  CHECK(literal.for_each_max == 2);
  CHECK(literal.args == R"({"path":{"$item":true}})");
  const Step pointed = step(R"(for_each = { "$step" = "one", at = "/entries" }, for_each_max = 9,)",
                            R"({ "$item" = true, at = "/name" })");
  CHECK(pointed.for_each == R"({"$step":"one","at":"/entries"})");
  CHECK(pointed.for_each_max == 9);
  CHECK(step(R"(for_each = { "$input" = "files" }, for_each_max = 9,)", item).for_each ==
        R"({"$input":"files"})");
  const auto findings = [&](const std::string& more, const std::string& path) {
    return errors_of(findings_of(source(more, path)));
  };
  CHECK(find_finding(findings(R"(for_each = ["/a/x", "/a/y"], for_each_max = 1,)", item),
                     "more than for_each_max"));
  CHECK(find_finding(findings("", item), "goes through no items"));
  CHECK(find_finding(findings("for_each_max = 2,", R"("/a/x")"), "for_each_max"));
  CHECK(find_finding(findings(R"(for_each = { "$input" = "files" },)", item), "for_each_max"));
  CHECK(find_finding(findings(R"(for_each = { "$input" = "other" }, for_each_max = 1,)", item),
                     "no input 'other'"));
  for (const char* wrong : {R"("x")", "3", R"({ a = 1 })", "{ }"}) {
    CHECK(find_finding(findings("for_each = " + std::string(wrong) + ", for_each_max = 1,", item),
                       "for_each"));
  }
  for (const char* wrong : {R"({ "$item" = false })", R"({ "$item" = true, x = 1 })",
                            R"({ "$item" = true, at = 1 })"}) {
    CHECK(find_finding(findings(R"(for_each = ["/a/x"],)", wrong), "a reference is a table"));
  }
  CHECK(find_finding(findings_of(plan_source(R"(steps = [ { id = "a[0]", tool = "time.now" } ])")),
                     "without '['"));
}

TEST_CASE("A result rule names readers, time and reads", "[author][R39]") {
  const std::string reader = "tpk:" + std::string(64, 'a');
  const auto source = [](const std::string& rule) {
    return std::string(kHead) + "result = " + rule + "\n[[grant]]\ntool=\"time.now\"\n" +
           std::string(testing::kPlan);
  };
  const std::string good = "{ readers = [\"" + reader + "\"], retention = \"7d\", reads = 3 }";
  const Capsule capsule = parsed(source(good)).capsule;
  REQUIRE(capsule.result);
  REQUIRE(capsule.result->readers.size() == 1);
  CHECK(capsule.result->retention_ms == 7LL * 86'400'000);
  CHECK(capsule.result->reads == 3);
  CHECK(findings_of(source(good)).empty());
  CHECK(find_finding(
      findings_of(source("{ readers = [\"" + reader + "\"], retention = \"31d\", reads = 3 }")),
      "stay long"));
  const std::string twice = "\"" + reader + "\", \"" + reader + "\"";
  for (const std::string& wrong : std::vector<std::string>{
           "1", "{ }", "{ readers = [], retention = \"7d\", reads = 3 }",
           "{ readers = [\"alice\"], retention = \"7d\", reads = 3 }",
           "{ readers = [" + twice + "], retention = \"7d\", reads = 3 }",
           "{ readers = [\"" + reader + "\"], reads = 3 }",
           "{ readers = [\"" + reader + "\"], retention = \"367d\", reads = 3 }",
           "{ readers = [\"" + reader + "\"], retention = \"7d\", reads = 0 }"}) {
    INFO(wrong);
    CHECK_FALSE(errors_of(findings_of(source(wrong))).empty());
  }
}

TEST_CASE("What a plan and its results say is signed, read back and shown", "[author]") {
  const std::string reader = "tpk:" + std::string(64, 'a');
  Capsule capsule = testing::completed(parsed(std::string(kHead) + "result = { readers = [\"" +
                                              reader + R"("], retention = "7d", reads = 3 }
[[grant]]
tool = "time.now"
[plan]
steps = [ { id = "a", tool = "time.now", for_each = [1, 2], on_error = { retry = 3, backoff = "2s" } } ]
)"));
  const Result<Bytes> bytes = encode_capsule(capsule);
  REQUIRE(bytes.ok());
  const Result<Capsule> back = decode_capsule(*bytes);
  REQUIRE(back.ok());
  const Step& step = back->plan.steps.at(0);
  CHECK(step.retries == 3);
  CHECK(step.backoff_ms == 2000);
  CHECK(step.for_each == "[1,2]");
  CHECK(step.for_each_max == 2);
  REQUIRE(back->result);
  CHECK(back->result->readers == capsule.result->readers);
  CHECK(back->result->reads == 3);
  UntrustedCapsule shown;
  shown.root = *back;
  const std::string text = show_text(shown, std::nullopt);
  CHECK(text.find("retry: at most 3 more calls, 2s before each; then stop") != text.npos);
  CHECK(text.find("[1,2]") != text.npos);
  CHECK(text.find("7d after the task's end") != text.npos);
  CHECK(text.find(capsule.result->readers.at(0).hex()) != text.npos);
  const std::string json = show_json(shown);
  CHECK(json.find(R"("retries":3,"backoff_ms":2000,"for_each":[1,2],"for_each_max":2)") !=
        json.npos);
  CHECK(json.find(R"("retention_ms":604800000,"reads":3)") != json.npos);
}

TEST_CASE("Steps that will be denied are remarked on", "[author]") {
  const auto findings = [](const std::string& step) {
    return findings_of(plan_source("steps = [ { id = \"a\", " + step + " } ]"));
  };
  for (const char* step :
       {R"(tool = "file.write", args = { path = "/a/b", content = "" })",
        R"(tool = "file.read", args = { path = "/etc/shadow" })",
        R"(tool = "file.read", args = { path = "/a/../b" })",
        R"(tool = "file.read", args = { path = "/a/b", max_bytes = 10 })",
        R"(tool = "file.read", args = { path = "/a/b", offset = 0 })", R"(tool = "file.read")"}) {
    INFO(step);
    const auto found = findings(step);
    REQUIRE(found.size() == 1);
    CHECK(found[0].severity == Severity::note);
    CHECK(found[0].what.starts_with("this step will be denied"));
    CHECK(found[0].where.starts_with("line "));
  }
  CHECK(findings(R"(tool = "file.read", args = { path = "/a/b", max_bytes = 9 })").empty());
}

}  // namespace
}  // namespace taper::capsules
