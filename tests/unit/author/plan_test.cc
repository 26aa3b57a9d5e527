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
  for (const char* more : {R"(for_each = "x")", "approval = true", "retries = 2"}) {
    CHECK(find_finding(findings(more), "not enforced yet"));
  }
  CHECK(find_finding(findings(R"(on_error = "retry")"), "'on_error = retry' is not enforced yet"));
  CHECK(find_finding(findings(R"(on_error = { retry = 3 })"), "not enforced yet"));
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
