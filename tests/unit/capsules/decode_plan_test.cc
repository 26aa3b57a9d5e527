#include <catch2/catch.hpp>
#include <functional>

#include "capsule_generated.h"
#include "capsules/open.h"
#include "tests/support/wire_tree.h"

namespace taper::capsules {
namespace {

using testing::sample_wire_capsule;
using testing::wire_bytes;
using testing::WireTree;
using C = wire::Capsule;
using P = wire::Plan;
using R = wire::ResultRule;
using S = wire::Step;
using Change = std::function<void(WireTree&)>;

WireTree::Member text(const char* value) { return std::string(value); }
WireTree::Member count(std::uint32_t value) { return value; }
WireTree::Member number(std::int64_t value) { return value; }

Result<Capsule> with(const Change& change) {
  WireTree tree = sample_wire_capsule();
  change(tree);
  return decode_capsule(wire_bytes(tree, "TPCP"));
}

// The second step with these fields; of a plan with an input "in".
Result<Capsule> with_step(const std::map<std::uint16_t, WireTree::Member>& members) {
  return with([&](WireTree& tree) {
    for (const auto& [field, member] : members)
      tree.tree(C::VT_PLAN).item(P::VT_STEPS, 1).members[field] = member;
  });
}

void check_refused(const Result<Capsule>& result, Code code, const char* field) {
  REQUIRE_FALSE(result.ok());
  CHECK(result.code() == code);
  CHECK(result.error().detail().field.find(field) != std::string::npos);
}

constexpr std::uint8_t kRetry = 3;

TEST_CASE("Retries stand with on_error = retry, and only there", "[capsules][R38]") {
  const auto good = with_step(
      {{S::VT_ON_ERROR, kRetry}, {S::VT_RETRIES, count(100)}, {S::VT_BACKOFF_MS, number(0)}});
  REQUIRE(good.ok());
  CHECK(good->plan.steps.at(1).on_error == OnError::retry);
  CHECK(good->plan.steps.at(1).retries == 100);
  check_refused(with_step({{S::VT_ON_ERROR, kRetry}}), Code::field_missing, "retries");
  check_refused(with_step({{S::VT_ON_ERROR, kRetry}, {S::VT_RETRIES, count(1)}}),
                Code::field_missing, "backoff_ms");
  for (const std::uint32_t wrong : {0U, 101U}) {
    check_refused(with_step({{S::VT_ON_ERROR, kRetry},
                             {S::VT_RETRIES, count(wrong)},
                             {S::VT_BACKOFF_MS, number(1)}}),
                  Code::field_invalid, "retries");
  }
  check_refused(
      with_step(
          {{S::VT_ON_ERROR, kRetry}, {S::VT_RETRIES, count(1)}, {S::VT_BACKOFF_MS, number(-1)}}),
      Code::field_invalid, "backoff_ms");
  check_refused(with_step({{S::VT_RETRIES, count(1)}}), Code::field_invalid, "retries");
  check_refused(with_step({{S::VT_BACKOFF_MS, number(1)}}), Code::field_invalid, "retries");
}

TEST_CASE("for_each is a list or a reference, always with a maximum", "[capsules][R29]") {
  const auto each = [](const char* items) {
    return with_step({{S::VT_FOR_EACH, text(items)}, {S::VT_FOR_EACH_MAX, count(10'000)}});
  };
  const auto good = each(R"([1,"a",{"x":[]}])");
  REQUIRE(good.ok());
  CHECK(good->plan.steps.at(1).for_each_max == 10'000);
  for (const char* wrong : {"1", "{}", R"({"a":1})", "[1, 2]", "[", R"("[]")", R"({"$item":true})",
                            R"([{"$item":true}])", R"({"$input":"nobody"})",
                            R"({"$step":"nobody","at":""})", R"({"$step":"nobody"})"}) {
    INFO(wrong);
    check_refused(each(wrong), Code::field_invalid, "for_each");
  }
  check_refused(with_step({{S::VT_FOR_EACH, text("[]")}}), Code::field_missing, "for_each_max");
  check_refused(with_step({{S::VT_FOR_EACH_MAX, count(1)}}), Code::field_invalid, "for_each_max");
  for (const std::uint32_t most : {0U, 10'001U})
    check_refused(with_step({{S::VT_FOR_EACH, text("[]")}, {S::VT_FOR_EACH_MAX, count(most)}}),
                  Code::field_invalid, "for_each_max");
}

TEST_CASE("An item is named only where there are items", "[capsules][R29]") {
  const auto args = [](const char* json, bool items) {
    std::map<std::uint16_t, WireTree::Member> members{{S::VT_ARGS, text(json)}};
    if (items) members[S::VT_FOR_EACH] = text("[1]");
    if (items) members[S::VT_FOR_EACH_MAX] = count(1);
    return with_step(members);
  };
  CHECK(args(R"({"a":{"$item":true},"b":[{"$item":true,"at":"/x~1y"}]})", true).ok());
  check_refused(args(R"({"a":{"$item":true}})", false), Code::field_invalid, "args");
  for (const char* wrong :
       {R"({"a":{"$item":false}})", R"({"a":{"$item":1}})", R"({"a":{"$item":true,"x":1}})",
        R"({"a":{"$item":true,"at":"x"}})", R"({"a":{"$item":true,"at":1}})", R"({"$item":true})"})
    check_refused(args(wrong, true), Code::field_invalid, "args");
}

TEST_CASE("A step's id leaves the names of items free", "[capsules]") {
  check_refused(with_step({{S::VT_ID, text("a[0]")}}), Code::field_invalid, "id");
}

TEST_CASE("A result rule is whole", "[capsules][R39]") {
  const auto rule = [](Bytes readers, std::int64_t retention, std::uint32_t reads) {
    WireTree table;
    table.members = {
        {R::VT_READERS, readers}, {R::VT_RETENTION_MS, retention}, {R::VT_READS, reads}};
    return with([&](WireTree& tree) { tree.members[C::VT_RESULT] = table; });
  };
  const auto good = rule(Bytes(32, 7), 1, 1);
  REQUIRE(good.ok());
  REQUIRE(good->result);
  CHECK(good->result->readers == std::vector<Hash>{*Hash::from(Bytes(32, 7))});
  check_refused(rule({}, 1, 1), Code::field_missing, "readers");
  check_refused(rule(Bytes(64, 7), 1, 1), Code::field_invalid, "readers");  // the same twice
  check_refused(rule(Bytes(33, 7), 1, 1), Code::field_invalid, "readers");
  check_refused(rule(Bytes(33 * 32, 7), 1, 1), Code::field_invalid, "readers");
  check_refused(rule(Bytes(32, 7), 0, 1), Code::field_invalid, "retention_ms");
  check_refused(rule(Bytes(32, 7), std::int64_t{367} * 86'400'000, 1), Code::field_invalid,
                "retention_ms");
  check_refused(rule(Bytes(32, 7), 1, 0), Code::field_invalid, "reads");
  for (const std::uint16_t field : {R::VT_READERS, R::VT_RETENTION_MS, R::VT_READS}) {
    WireTree table;
    table.members = {
        {R::VT_READERS, Bytes(32, 7)}, {R::VT_RETENTION_MS, number(1)}, {R::VT_READS, count(1)}};
    table.members.erase(field);
    check_refused(with([&](WireTree& tree) { tree.members[C::VT_RESULT] = table; }),
                  Code::field_missing, "result.");
  }
}

}  // namespace
}  // namespace taper::capsules
