// Rows of payloads.vec: the operands of each kind of constraint, and the bytes of a payload.
#include <algorithm>

#include "capsules/author/author.h"
#include "tests/vectors/payload_rows.h"

namespace taper::testing::rows {
namespace {

using C = wire::Capsule;
using G = wire::Grant;
using K = wire::Constraint;
using R = wire::ArgRule;
using Ports = WireTree::Ports;

constexpr const char* kFirst = "grants[0].args[0].constraints[0].";

void good(const char* about, Kind kind, const std::map<Field, Member>& operands) {
  accepts(about, with_constraint(constraint(kind, operands)));
}
void bad(int number, const char* field, const char* about, Kind kind,
         const std::map<Field, Member>& operands) {
  refuses(number, kFirst + std::string(field), about, with_constraint(constraint(kind, operands)));
}

void write_values() {
  const auto json = [](const char* value) {
    return std::map<Field, Member>{{K::VT_JSON, text(value)}};
  };
  const auto jsons = [](const Words& values) {
    return std::map<Field, Member>{{K::VT_JSONS, values}};
  };
  good("equals a value in canonical form", Kind::equals, json(R"({"a":[1,null,"\n"],"b":false})"));
  bad(203, "json", "equals nothing", Kind::equals, {});
  bad(204, "json", "white space", Kind::equals, json(R"({"a": 1})"));
  bad(204, "json", "keys in another order", Kind::equals, json(R"({"b":1,"a":1})"));
  bad(204, "json", "a number that is not exact", Kind::equals, json("1.0"));
  bad(204, "json", "one deep inside", Kind::equals, json(R"({"a":[1e3]})"));
  bad(204, "json", "one beyond 64 bits", Kind::equals, json("9223372036854775808"));
  bad(204, "json", "a letter escaped", Kind::equals, json(R"("\u0061")"));
  bad(204, "json", "two values", Kind::equals, json("1 2"));
  bad(204, "jsons", "an operand of another kind", Kind::equals,
      {{K::VT_JSON, text("1")}, {K::VT_JSONS, Words{"1"}}});
  bad(203, "jsons", "one of none", Kind::one_of, jsons({}));
  bad(204, "jsons", "a value that is none", Kind::one_of, jsons({"1", "x"}));
  good("not one of texts, numbers and truths", Kind::not_one_of, jsons({"\"a\"", "-1", "true"}));
  bad(204, "jsons", "not null", Kind::not_one_of, jsons({"null"}));
  bad(204, "jsons", "not an array", Kind::not_one_of, jsons({"[]"}));
  bad(203, "number", "at least nothing", Kind::at_least, {});
  good("the least number", Kind::at_least, {{K::VT_NUMBER, number(INT64_MIN)}});
  bad(204, "upper", "a second bound", Kind::at_most,
      {{K::VT_NUMBER, number(1)}, {K::VT_UPPER, number(2)}});
  for (const Kind kind : {Kind::length, Kind::count}) {
    const auto range = [](std::int64_t least, std::int64_t most) {
      return std::map<Field, Member>{{K::VT_NUMBER, number(least)}, {K::VT_UPPER, number(most)}};
    };
    good("exactly none", kind, range(0, 0));
    bad(204, "upper", "a range that ends before it begins", kind, range(2, 1));
    bad(204, "number", "fewer than none", kind, range(-1, 1));
    bad(203, "upper", "no upper bound", kind, {{K::VT_NUMBER, number(1)}});
  }
}

void write_texts() {
  const auto of = [](const char* value) {
    return std::map<Field, Member>{{K::VT_TEXT, text(value)}};
  };
  for (const Kind kind : {Kind::prefix, Kind::suffix, Kind::glob})
    bad(203, "text", "an empty text", kind, of(""));
  good("a prefix that is no path", Kind::prefix, of("-/../"));
  good("the root", Kind::under, of("/"));
  for (const char* path : {"srv", "/srv/", "/srv//a", "/srv/./a", "/srv/..", "//srv"})
    bad(204, "text", path, Kind::under, of(path));
  const auto blocks = [](const Words& texts) {
    return std::map<Field, Member>{{K::VT_TEXTS, texts}};
  };
  good("blocks of both families", Kind::cidr,
       blocks({"0.0.0.0/0", "10.1.2.3/32", "2001:db8::/33"}));
  bad(203, "texts", "no block", Kind::cidr, blocks({}));
  bad(204, "texts", "a block twice", Kind::cidr, blocks({"::/0", "::/0"}));
  for (const char* block :
       {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.1/31", "10.0.0/8", "010.0.0.0/8",
        "0x0a.0.0.0/8", "::1/127", "2001:DB8::/32", "2001:db8:0:0:0:0:0:0/32",
        "::ffff:10.0.0.0/104", "::ffff:0:0/96", "fe80::%1/64", "[::1]/128", "10.0.0.0/-1", "/8"})
    bad(204, "texts", block, Kind::cidr, blocks({block}));
  const auto time = [](std::int64_t from, std::int64_t to, std::int32_t offset) {
    return std::map<Field, Member>{
        {K::VT_NUMBER, number(from)}, {K::VT_UPPER, number(to)}, {K::VT_OFFSET_S, offset}};
  };
  good("past midnight", Kind::time_of_day, time(86'399, 0, 50'400));
  bad(204, "upper", "no time at all, or all of it", Kind::time_of_day, time(60, 60, 0));
  bad(204, "upper", "after the day's end", Kind::time_of_day, time(0, 86'400, 0));
  bad(204, "number", "before the day", Kind::time_of_day, time(-1, 60, 0));
  bad(204, "offset_s", "beyond every zone", Kind::time_of_day, time(0, 60, -50'401));
  bad(203, "offset_s", "no offset", Kind::time_of_day,
      {{K::VT_NUMBER, number(0)}, {K::VT_UPPER, number(60)}});
}

void write_urls() {
  const auto url = [](const Words& schemes, const Words& hosts, const Ports& ports = {},
                      const char* under = "/") {
    return std::map<Field, Member>{{K::VT_SCHEMES, schemes},
                                   {K::VT_HOSTS, hosts},
                                   {K::VT_PORTS, ports},
                                   {K::VT_TEXT, text(under)}};
  };
  good("names and addresses", Kind::url,
       url({"https", "svn+ssh"}, {"a.example", "[::1]", "10.0.0.1"}, {1, 65'535}, "/a/b"));
  bad(203, "schemes", "no scheme", Kind::url, url({}, {"a.example"}));
  bad(203, "hosts", "no host", Kind::url, url({"https"}, {}));
  bad(203, "text", "no path", Kind::url, url({"https"}, {"a.example"}, {}, ""));
  bad(204, "schemes", "a scheme twice", Kind::url, url({"https", "https"}, {"a.example"}));
  for (const char* scheme : {"HTTPS", "1http", "ht tp", "http:"})
    bad(204, "schemes", scheme, Kind::url, url({scheme}, {"a.example"}));
  for (const char* host :
       {"A.example", "a.example.", "a..b", "-a.example", "a_b.example", "*", "1.2", "0x7f.1",
        "[::1", "::1", "[2001:DB8::1]", "[::ffff:7f00:1]", "a.example:80"})
    bad(204, "hosts", host, Kind::url, url({"https"}, {host}));
  bad(204, "ports", "port 0", Kind::url, url({"https"}, {"a.example"}, {0}));
  for (const char* path : {"a", "/a/", "/a//b", "/a/../b", "/%2e%2e", "/a%2fb", "/a?b", "/a b"})
    bad(204, "text", path, Kind::url, url({"https"}, {"a.example"}, {}, path));
}

void write_nested() {
  const auto children = [](const Trees& items) {
    return std::map<Field, Member>{{K::VT_CHILDREN, items}};
  };
  for (const Kind kind : {Kind::argv, Kind::each, Kind::all_of, Kind::any_of}) {
    good("of one", kind, children({any()}));
    bad(203, "children", "of none", kind, children({}));
  }
  bad(204, "children", "17 of all", Kind::all_of, children(Trees(17, any())));
  bad(204, "children", "65 alternatives", Kind::any_of, children(Trees(65, any())));
  bad(204, "number", "any, and more", Kind::any, {{K::VT_NUMBER, number(1)}});
  bad(203, "rules", "an object of nothing", Kind::fields, {{K::VT_RULES, Trees{}}});
  bad(204, "rules", "a member twice", Kind::fields,
      {{K::VT_RULES, Trees{rule("a", {any()}), rule("a", {any()})}}});
  bad(203, "rules[0].constraints", "a member of no rule", Kind::fields,
      {{K::VT_RULES, Trees{rule("a", {})}}});
  bad(205, "kind", "kind 0", static_cast<Kind>(0), {});
  bad(205, "kind", "kind 21", static_cast<Kind>(21), {});
  refuses(203, kFirst + std::string("kind"), "no kind", with_constraint({}));
  WireTree deep = any();
  std::string path = "grants[0].args[0].constraints[0]";
  for (int level = 1; level < 8; ++level) deep = constraint(Kind::all_of, children({deep}));
  accepts("eight levels", with_constraint(deep));
  for (int level = 1; level < 9; ++level) path += ".children[0]";
  refuses(204, path + ".kind", "nine levels",
          with_constraint(constraint(Kind::all_of, children({deep}))));
  const auto with_rules = [](const Trees& rules) { return with_grant(set(G::VT_ARGS, rules)); };
  refuses(204, "grants[0].args", "an argument twice",
          with_rules({rule("x", {any()}), rule("x", {any()})}));
  refuses(203, "grants[0].args[0].constraints", "a rule of nothing", with_rules({rule("x", {})}));
  refuses(204, "grants[0].args[0].constraints", "17 constraints",
          with_rules({rule("x", Trees(17, any()))}));
  WireTree vague = rule("x", {any()});
  vague.members.erase(R::VT_OPTIONAL);
  refuses(203, "grants[0].args[0].optional", "whether it may be left out", with_rules({vague}));
  refuses(204, "grants[0].args", "65 arguments", with_rules([] {
            Trees many;
            for (int i = 0; i < 65; ++i) many.push_back(rule(std::to_string(i).c_str(), {any()}));
            return many;
          }()));
}

}  // namespace

void write_operands() {
  write_values();
  write_texts();
  write_urls();
  write_nested();
}

void write_structure() {
  const Bytes whole = wire_bytes(base(), wire::CapsuleIdentifier());
  const auto longer = [&whole](std::size_t count, std::uint8_t value) {
    Bytes out = whole;
    out.resize(whole.size() + count, value);
    return out;
  };
  accepts_bytes("seven zero bytes at the end cannot be told from padding", longer(7, 0));
  refuses_bytes(202, "", "eight can", longer(8, 0));
  refuses_bytes(202, "", "a byte that is not zero", longer(1, 1));
  refuses_bytes(202, "", "cut short", ByteSpan(whole).first(whole.size() - 4));
  refuses_bytes(202, "", "nothing", {});
  Bytes other = whole;
  other[7] = 'Q';
  refuses_bytes(202, "", "another identifier", other);
  other = whole;
  other[0] = 0xff;
  refuses_bytes(202, "", "a root beyond the end", other);
  refuses_bytes(202, "", "a trust root's payload", wire_bytes(sample_wire_root(), "TPRT"));
  refuses_bytes(202, "", "a block's payload", wire_bytes(sample_wire_block(), "TPCP"));
  const auto after = [](Field last) { return static_cast<Field>(last + 2); };
  refuses(205, "", "a field that comes after the last", with(set(after(C::VT_LOG), octet(1))));
  refuses(205, "grants[0]", "one of a grant", with_grant(set(after(G::VT_IDEMPOTENCY), octet(1))));
  refuses(205, "lease", "one of the lease",
          with(set_in(C::VT_LEASE, after(wire::Lease::VT_LONG_LEASE), octet(1))));

  // Two names that are one string, and a vtable that two equal tables share.
  flatbuffers::FlatBufferBuilder fbb;
  Bytes shared = wire_bytes(with([](WireTree& t) {
                              t.members[C::VT_TENANT] = text("twice");
                              t.members[C::VT_AGENT] = text("twice");
                            }),
                            wire::CapsuleIdentifier());
  const auto* table = flatbuffers::GetRoot<flatbuffers::Table>(shared.data());
  const auto at = [&](Field field) {
    const std::size_t here =
        static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(table) - shared.data()) +
        table->GetOptionalFieldOffset(field);
    return here;
  };
  const std::size_t tenant = at(C::VT_TENANT), agent = at(C::VT_AGENT);
  const auto target =
      flatbuffers::ReadScalar<flatbuffers::uoffset_t>(shared.data() + tenant) + tenant;
  flatbuffers::WriteScalar(shared.data() + agent,
                           static_cast<flatbuffers::uoffset_t>(target - agent));
  refuses_bytes(202, "", "one string with two owners", shared);
  accepts("two grants that share a vtable", with_grants(same, same));
}

}  // namespace taper::testing::rows
