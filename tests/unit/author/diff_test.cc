#include "capsules/author/diff.h"

#include <random>

#include "author_test.h"
#include "capsules/author/lineage.h"
#include "capsules/author/samples.h"
#include "crypto/crypto.h"
#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::completed;
using testing::parsed;
using testing::source_with;

// An id that no other capsule has.
Hash another_id() {
  static std::uint64_t number = 0;
  ++number;
  return crypto::hash(ByteWriter().u64(number).bytes());
}

UntrustedCapsule capsule_of(std::string_view grants) {
  UntrustedCapsule out;
  out.root = completed(parsed(source_with(grants)));
  out.id = another_id();
  return out;
}

UntrustedCapsule reading(std::string_view args, std::string_view more = "") {
  return capsule_of("[[grant]]\nid = \"read\"\ntool = \"file.read\"\nargs = " + std::string(args) +
                    "\n" + std::string(more) + "\n");
}

std::string relation(const UntrustedCapsule& a, const UntrustedCapsule& b) {
  const Difference there = diff(a, b, builtin_known_tools());
  const Difference back = diff(b, a, builtin_known_tools());
  INFO(there.undecided);
  // The same question, asked from the other side.
  const bool same = there.relation == Relation::equal || there.relation == Relation::incomparable;
  CHECK((same ? back.relation == there.relation
              : back.relation ==
                    (there.relation == Relation::narrower ? Relation::wider : Relation::narrower)));
  return std::string(relation_name(there.relation));
}

std::string between(std::string_view args, std::string_view other) {
  return relation(reading(args), reading(other));
}

TEST_CASE("The second of two capsules is narrower, wider, equal or neither", "[author][R45]") {
  const char* log = R"({ path = { under = "/var/log" } })";
  CHECK(between(log, log) == "equal");
  CHECK(between(log, R"({ path = { under = "/var/log/a" } })") == "narrower");
  CHECK(between(log, R"({ path = { under = "/var" } })") == "wider");
  CHECK(between(log, R"({ path = { under = "/srv" } })") == "incomparable");
  CHECK(between(log, R"({ path = { equals = "/var/log/a" } })") == "narrower");
  CHECK(between(log, R"({ path = { one_of = ["/var/log/a", "/srv/a"] } })") == "incomparable");
  CHECK(between(log, R"({ path = { under = "/var/log", prefix = "/var/log/app" } })") ==
        "narrower");
  CHECK(between(log, R"({ path = { under = "/var/log", length = { at_most = 50 } } })") ==
        "narrower");
  CHECK(between(log, R"({ path = { under = "/var/log" }, max_bytes = { at_most = 5 } })") ==
        "incomparable");
  CHECK(between(
            log,
            R"({ path = { under = "/var/log" }, max_bytes = { any = true, optional = true } })") ==
        "wider");
  CHECK(between(R"({ path = { under = "/a" }, max_bytes = { at_least = 2, at_most = 9 } })",
                R"({ path = { under = "/a" }, max_bytes = { at_least = 3, at_most = 9 } })") ==
        "narrower");
  CHECK(between(R"({ path = { under = "/a" }, max_bytes = { at_most = 9, optional = true } })",
                R"({ path = { under = "/a" }, max_bytes = { at_most = 9 } })") == "narrower");
}

TEST_CASE("Budgets and terms are part of the answer", "[author]") {
  const char* log = R"({ path = { under = "/var/log" } })";
  const UntrustedCapsule plain = reading(log);
  const UntrustedCapsule counted = reading(log, "budget = { calls = 5 }");
  CHECK(relation(plain, counted) == "narrower");
  CHECK(relation(counted, reading(log, "budget = { calls = 6 }")) == "wider");
  CHECK(diff(plain, counted, builtin_known_tools()).examples.at(0).arguments ==
        R"({"path":"/var/log"})");
  const auto with = [&](auto change) {
    UntrustedCapsule out = plain;
    change(out.root);
    out.id = another_id();
    return relation(plain, out);
  };
  CHECK(with([](Capsule& c) { c.lease_ttl_ms -= 1; }) == "narrower");
  CHECK(with([](Capsule& c) { c.activations += 1; }) == "wider");
  CHECK(with([](Capsule& c) { c.end_on.failure = true; }) == "narrower");
  CHECK(with([](Capsule& c) { c.end_on.violation = false; }) == "wider");
  CHECK(with([](Capsule& c) { c.audience.node.bytes[0] ^= 1; }) == "incomparable");
  CHECK(with([](Capsule& c) { c.not_after_s -= 1; }) == "narrower");
  CHECK(with([](Capsule& c) { c.grants[1].labels = {"plant"}; }) == "narrower");
  CHECK(with([](Capsule& c) {
          c.lease_ttl_ms -= 1;
          c.activations += 1;
        }) == "incomparable");
  CHECK(with([](Capsule& c) { c.holder.bytes[0] ^= 1; }) == "equal");  // who holds it is told apart
}

// Two grants of five calls each are not one of five.
TEST_CASE("Budgets of several grants are added up", "[author]") {
  const auto grant = [](const char* id, const char* tree) {
    return "[[grant]]\nid = \"" + std::string(id) +
           "\"\ntool = \"file.read\"\nargs = { path = { under = \"" + tree +
           "\" } }\nbudget = { calls = 5 }\n";
  };
  const UntrustedCapsule one = capsule_of(grant("a", "/a"));
  const UntrustedCapsule two = capsule_of(grant("a", "/a/x") + grant("b", "/a/y"));
  CHECK(diff(one, two, builtin_known_tools()).relation == Relation::incomparable);
}

TEST_CASE("A chain is narrower than what it continues", "[author][R45]") {
  const TrustRoot root = testing::opened_root(testing::sample_root_data());
  Capsule capsule = testing::sample_capsule(root);
  capsule.max_depth = 2;
  const Bytes base = testing::signed_capsule(capsule);
  Block block;
  block.holder = testing::known_key(21).public_key();
  block.grants = {{"list", "file.list", {}, {}}};
  const Bytes one = testing::narrowed(base, block, testing::kHolderKey);
  const UntrustedCapsule a = read_untrusted(base, {}).value();
  const UntrustedCapsule b = read_untrusted(one, {}).value();
  CHECK(relation(a, b) == "narrower");
  const Difference difference = diff(a, b, builtin_known_tools());
  REQUIRE(difference.examples.size() == 1);
  CHECK(difference.examples[0].tool == "file.write");
  CHECK(difference.examples[0].allowed_by == Which::first);
}

// Capsules of a small world, in which every call can be asked.
struct World {
  std::mt19937 random;
  std::size_t below(std::size_t n) { return random() % n; }
  template <class T>
  T one(std::initializer_list<T> of) {
    return *(of.begin() + below(of.size()));
  }
  std::vector<Constraint> path_rule() {
    std::vector<Constraint> out = {Under{one<const char*>({"/a", "/a/b", "/a/b/c", "/d"})}};
    if (below(3) == 0) out.emplace_back(Prefix{one<const char*>({"/a/b", "/a", "/d/e"})});
    if (below(3) == 0) out.emplace_back(Glob{one<const char*>({"/a/*", "/a/b/*", "/?/*"})});
    if (below(4) == 0) out.emplace_back(OneOf{{Value("/a/b"), Value("/d/e"), Value("/a/b/c")}});
    if (below(4) == 0) out.emplace_back(Length{1, static_cast<std::int64_t>(3 + below(3))});
    return out;
  }
  Grant grant(std::size_t number) {
    Grant out;
    out.id = "g" + std::to_string(number);
    out.tool = one<const char*>({"file.read", "file.read", "file.list"});
    out.digest_kind = DigestKind::builtin;
    out.verbs = {Verb::call};
    out.effect = Effect::read;
    out.args = {{"path", false, path_rule()}};
    if (out.tool == "file.read" && below(2) == 0) {
      const auto most = static_cast<std::int64_t>(below(4));
      out.args.push_back({"max_bytes", below(2) == 0, {AtMost{most}, AtLeast{0}}});
    }
    return out;
  }
  UntrustedCapsule capsule() {
    UntrustedCapsule out = reading(R"({ path = { under = "/a" } })");
    out.root.grants.clear();
    for (std::size_t i = 0; i <= below(3); ++i) out.root.grants.push_back(grant(i));
    std::vector<std::string> parents;
    for (const Grant& grant : out.root.grants) parents.push_back(grant.id);
    for (std::size_t depth = below(3); depth > 0; --depth) {
      Block block;
      for (std::size_t i = 0; i <= below(3); ++i) {
        KeptGrant kept{"k" + std::to_string(i), parents[below(parents.size())], {}, {}};
        if (below(2) == 0) kept.args = {{"path", false, path_rule()}};
        block.grants.push_back(kept);
      }
      parents.clear();
      for (const KeptGrant& kept : block.grants) parents.push_back(kept.id);
      out.blocks.push_back(block);
    }
    out.root.max_depth = 8;
    return out;
  }
};

bool allows(const UntrustedCapsule& capsule, const std::string& tool, const Object& arguments) {
  return find_route(capsule.root, lineage_of(capsule.root, capsule.blocks),
                    {Verb::call, tool, arguments}, find_builtin(tool)->inputs)
      .status.ok();
}

TEST_CASE("Whatever diff answers of random chains is borne out by every call", "[author][R45]") {
  World world{std::mt19937(20'261'121)};
  std::vector<std::pair<std::string, Object>> calls;
  for (const char* path : {"/a", "/a/x", "/a/b", "/a/bx", "/a/b/x", "/a/b/c", "/a/b/c/d", "/d",
                           "/d/e", "/d/e/f", "/ax", "/", "/z", "a", "/a/b/"}) {
    for (const char* tool : {"file.read", "file.list"}) calls.push_back({tool, {{"path", path}}});
    for (const std::int64_t bytes : {-1, 0, 1, 2, 3, 4}) {
      calls.push_back({"file.read", {{"path", path}, {"max_bytes", bytes}}});
    }
  }
  std::map<Relation, int> seen;
  for (int round = 0; round < 400; ++round) {
    const UntrustedCapsule a = world.capsule();
    UntrustedCapsule b = world.below(3) == 0 ? a : world.capsule();
    if (world.below(2) == 0) {
      b.root.grants.pop_back();
      b.id = another_id();
    }
    if (b.root.grants.empty()) continue;
    const Difference difference = diff(a, b, builtin_known_tools());
    ++seen[difference.relation];
    bool only_a = false, only_b = false;
    for (const auto& [tool, arguments] : calls) {
      const bool by_a = allows(a, tool, arguments);
      const bool by_b = allows(b, tool, arguments);
      only_a = only_a || (by_a && !by_b);
      only_b = only_b || (by_b && !by_a);
    }
    INFO("round " << round << ": " << relation_name(difference.relation) << " "
                  << difference.undecided);
    if (only_a)
      CHECK((difference.relation != Relation::equal && difference.relation != Relation::wider));
    if (only_b)
      CHECK((difference.relation != Relation::equal && difference.relation != Relation::narrower));
    for (const DiffExample& example : difference.examples) {
      if (!example.why.starts_with("E")) continue;
      const Object arguments = parse_arguments(as_bytes(example.arguments)).value();
      const bool first = example.allowed_by == Which::first;
      CHECK(allows(first ? a : b, example.tool, arguments));
      CHECK_FALSE(allows(first ? b : a, example.tool, arguments));
    }
  }
  CHECK(seen.size() == 4);  // the test saw each answer
}

TEST_CASE("not_one_of is not taken to hold for other types", "[author][R45]") {
  const auto data = [](std::vector<Constraint> all) {
    UntrustedCapsule out = reading("{ path = { under = \"/a\" } }");
    out.root.grants[0].tool = "odd";
    out.root.grants[0].args = {{"data", false, std::move(all)}};
    return out;
  };
  const NotOneOf no_word{{Value("a")}};
  // 7 is at least 5 and is no "a", but not_one_of ["a"] refuses every number.
  CHECK(relation(data({AtLeast{5}}), data({no_word})) == "incomparable");
  CHECK(relation(data({no_word}), data({Prefix{"b"}})) == "narrower");
  CHECK(relation(data({no_word}), data({AnyValue{}})) == "wider");
  CHECK(relation(data({no_word}), data({NotOneOf{{Value("a"), Value("b")}}})) == "narrower");
  CHECK(relation(data({NotOneOf{{Value(std::int64_t{1})}}}), data({AtLeast{5}})) == "narrower");
}

TEST_CASE("A comparison is bounded, and says when it gave up", "[author][R45]") {
  UntrustedCapsule hostile = reading("{ path = { under = \"/a\" } }");
  hostile.root.grants[0].args = {{"path", false, {Under{"/a"}}}};
  UntrustedCapsule other = hostile;
  other.id = another_id();
  AnyOf choices;
  for (int i = 0; i < 16; ++i) choices.any.push_back(Prefix{"/a/" + std::to_string(i)});
  auto& all = hostile.root.grants[0].args[0].all;
  for (int i = 0; i < 10; ++i) all.push_back(choices);
  AnyOf ends;
  ends.any = {Suffix{"/x"}, Suffix{"/y"}};
  other.root.grants[0].args[0].all.push_back(ends);
  const Difference difference = diff(hostile, other, builtin_known_tools());
  CHECK(difference.relation == Relation::incomparable);
}

TEST_CASE("Long lists of long words are not tried in every way", "[author][R45]") {
  UntrustedCapsule hostile = reading("{ path = { under = \"/a\" } }");
  Argv words;
  for (int i = 0; i < 256; ++i) words.words.push_back(Length{4000, 4096});
  hostile.root.grants[0].tool = "odd";
  hostile.root.grants[0].args = {{"words", false, {words}}};
  UntrustedCapsule other = hostile;
  other.id = another_id();
  // A megabyte each: without a bound, more than a thousand of them.
  const std::vector<Value> lists = edge_values({words});
  std::size_t bytes = 0;
  for (const Value& list : lists) bytes += write_canonical(list).size();
  CHECK(bytes < std::size_t{8} * 1024 * 1024);
  CHECK(diff(hostile, other, builtin_known_tools()).relation == Relation::equal);
}

TEST_CASE("Of two caps of a cell the smaller counts; what logs keep is a note", "[author]") {
  UntrustedCapsule capped = reading("{ path = { under = \"/a\" } }");
  for (Grant& grant : capped.root.grants) grant.cell.wall_ms = 60'000;
  UntrustedCapsule loose = capped;
  loose.id = another_id();
  CHECK(relation(loose, capped) == "equal");
  capped.root.cell.wall_ms = 1000;
  CHECK(relation(loose, capped) == "narrower");
  capped.root.cell.wall_ms = 90'000;
  CHECK(relation(loose, capped) == "equal");
  capped.root.log_all_arguments = true;
  const Difference difference = diff(loose, capped, builtin_known_tools());
  CHECK(difference.relation == Relation::equal);
  const auto says_log = [](const std::string& note) { return note.starts_with("their logs"); };
  CHECK(std::ranges::any_of(difference.notes, says_log));
}

TEST_CASE("Fewer verbs are less", "[author][R45]") {
  UntrustedCapsule whole = reading("{ path = { under = \"/a\" } }");
  whole.root.max_depth = 2;
  const auto kept = [&whole](std::vector<Verb> verbs) {
    UntrustedCapsule out = whole;
    out.blocks.push_back({});
    out.blocks[0].grants = {{"mine", "read", {}, {}}};
    out.blocks[0].grants[0].verbs = std::move(verbs);
    return out;
  };
  CHECK(relation(whole, kept({})) == "narrower");
  CHECK(relation(kept({}), kept({})) == "equal");
  CHECK(relation(kept({}), kept({Verb::result})) == "narrower");
  CHECK(relation(kept({Verb::result, Verb::poll}), kept({Verb::result})) == "narrower");
  CHECK(relation(kept({Verb::result}), kept({Verb::poll})) == "incomparable");
}

}  // namespace
}  // namespace taper::capsules
