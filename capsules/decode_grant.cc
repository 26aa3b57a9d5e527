#include <array>
#include <limits>

#include "capsule_generated.h"
#include "capsules/constraints.h"
#include "capsules/decode.h"

namespace taper::capsules {
namespace {

using W = wire::Constraint;
using Kind = wire::ConstraintKind;

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr Field kKind{W::VT_KIND, "kind"};
constexpr Field kJson{W::VT_JSON, "json"};
constexpr Field kJsons{W::VT_JSONS, "jsons"};
constexpr Field kNumber{W::VT_NUMBER, "number"};
constexpr Field kUpper{W::VT_UPPER, "upper"};
constexpr Field kText{W::VT_TEXT, "text"};
constexpr std::array kOperands = {kJson,
                                  kJsons,
                                  kNumber,
                                  kUpper,
                                  kText,
                                  Field{W::VT_TEXTS, "texts"},
                                  Field{W::VT_SCHEMES, "schemes"},
                                  Field{W::VT_HOSTS, "hosts"},
                                  Field{W::VT_PORTS, "ports"},
                                  Field{W::VT_OFFSET_S, "offset_s"},
                                  Field{W::VT_CHILDREN, "children"},
                                  Field{W::VT_RULES, "rules"}};

// A field that the kind does not use would be a restriction that nobody enforces.
void only(const WireTable& table, std::initializer_list<Field> used) {
  for (const Field& operand : kOperands) {
    const bool expected = std::any_of(used.begin(), used.end(), [&operand](const Field& field) {
      return field.offset == operand.offset;
    });
    if (!expected && table.has(operand)) {
      table.invalid(operand, "absent for this kind of constraint", "present");
    }
  }
}

Value canonical(const WireTable& table, Field field, const std::string& json) {
  Result<Value> value = parse_value(as_bytes(json), limits::kTextBytesMax);
  if (value && write_canonical(*value) == json) return std::move(value).value();
  table.invalid(field, "one JSON value in canonical form", json);
  return {};
}

std::string text_operand(const WireTable& table) {
  only(table, {kText});
  return table.text(kText, limits::kTextBytesMax);
}

std::int64_t number_operand(const WireTable& table) {
  only(table, {kNumber});
  return table.number(kNumber, kLeast, kMost);
}

OneOf decode_one_of(const WireTable& table) {
  only(table, {kJsons});
  OneOf out;
  for (const std::string& json :
       table.texts(kJsons, limits::kListItemsMax, limits::kTextBytesMax)) {
    out.values.push_back(canonical(table, kJsons, json));
  }
  table.require(kJsons, !out.values.empty());
  return out;
}

Length decode_length(const WireTable& table) {
  only(table, {kNumber, kUpper});
  Length out;
  out.least = table.number(kNumber, 0, kMost);
  out.most = table.number(kUpper, out.least, kMost);
  return out;
}

Under decode_under(const WireTable& table) {
  Under out{text_operand(table)};
  if (!is_plain_path(out.tree)) table.invalid(kText, "an absolute path in plain form", out.tree);
  return out;
}

Constraint decode_constraint(const WireTable& table) {
  const Kind kind = table.choice(kKind, Kind::MAX);
  switch (kind) {
    case Kind::none: break;  // refused by `choice`
    case Kind::any: only(table, {}); return AnyValue{};
    case Kind::equals:
      only(table, {kJson});
      return Equals{canonical(table, kJson, table.text(kJson, limits::kTextBytesMax))};
    case Kind::one_of: return decode_one_of(table);
    case Kind::at_least: return AtLeast{number_operand(table)};
    case Kind::at_most: return AtMost{number_operand(table)};
    case Kind::length: return decode_length(table);
    case Kind::prefix: return Prefix{text_operand(table)};
    case Kind::glob: return Glob{text_operand(table)};
    case Kind::under: return decode_under(table);
    default:
      table.fail(Code::not_enforced_yet, kKind, "another constraint",
                 wire::EnumNameConstraintKind(kind));
  }
  return OneOf{};  // holds for nothing
}

ArgRule decode_rule(const WireTable& table) {
  using R = wire::ArgRule;
  constexpr Field kConstraints{R::VT_CONSTRAINTS, "constraints"};
  ArgRule out;
  out.name = table.text({R::VT_NAME, "name"}, limits::kNameBytesMax);
  out.optional = table.flag({R::VT_OPTIONAL, "optional"});
  table.each(kConstraints, limits::kConstraintsPerArgMax, W::VT_RULES,
             [&out](const WireTable& item) { out.all.push_back(decode_constraint(item)); });
  table.require(kConstraints, !out.all.empty());
  return out;
}

CellLimits decode_cell(const WireTable& table) {
  using C = wire::Cell;
  constexpr auto kBytes = static_cast<std::int64_t>(limits::kCellOutputBytes);
  constexpr auto kMemory = static_cast<std::int64_t>(limits::kCellMemoryBytes);
  constexpr auto kCpu = static_cast<std::int64_t>(limits::kCellCpuS);
  CellLimits out;
  table.refuse({{C::VT_TREES, "trees"}, {C::VT_HOSTS, "hosts"}});
  out.output_bytes = table.maybe_number({C::VT_OUTPUT_BYTES, "output_bytes"}, 1, kBytes);
  out.memory_bytes = table.maybe_number({C::VT_MEMORY_BYTES, "memory_bytes"}, 1, kMemory);
  out.processes = table.maybe_number({C::VT_PROCESSES, "processes"}, 1, limits::kCellProcesses);
  out.cpu_s = table.maybe_number({C::VT_CPU_S, "cpu_s"}, 1, kCpu);
  out.wall_ms = table.maybe_number({C::VT_WALL_MS, "wall_ms"}, 1, limits::kLeaseTtlMaxMs);
  return out;
}

void decode_digest(const WireTable& table, Grant& out) {
  using G = wire::Grant;
  constexpr Field kDigest{G::VT_DIGEST, "digest"};
  out.digest_kind = table.choice({G::VT_DIGEST_KIND, "digest_kind"}, DigestKind::unpinned);
  if (out.digest_kind == DigestKind::pinned) {
    out.digest = table.id<Hash>(kDigest);
  } else if (table.has(kDigest)) {
    table.invalid(kDigest, "absent unless pinned", "present");
  }
}

}  // namespace

std::vector<ArgRule> decode_rules(const WireTable& owner, Field field) {
  std::vector<ArgRule> out;
  owner.each(field, limits::kArgsPerGrantMax, wire::ArgRule::VT_CONSTRAINTS,
             [&](const WireTable& item) {
               ArgRule rule = decode_rule(item);
               for (const ArgRule& other : out) {
                 if (other.name == rule.name) owner.invalid(field, "each name once", rule.name);
               }
               out.push_back(std::move(rule));
             });
  return out;
}

Budget decode_budget(const WireTable& owner, Field field) {
  using B = wire::Budget;
  const WireTable table = owner.maybe_table(field, B::VT_SUM);
  table.refuse({{B::VT_RATE, "rate"}, {B::VT_CPU_MS, "cpu_ms"}, {B::VT_SUM, "sum"}});
  Budget out;
  out.calls = table.maybe_number({B::VT_CALLS, "calls"}, 0, kMost);
  out.bytes = table.maybe_number({B::VT_BYTES, "bytes"}, 0, kMost);
  return out;
}

Grant decode_grant(const WireTable& table) {
  using G = wire::Grant;
  Grant out;
  table.refuse({{G::VT_ACTION, "action"},
                {G::VT_LABELS, "labels"},
                {G::VT_REFUSE_AFTER, "refuse_after"},
                {G::VT_APPROVAL, "approval"},
                {G::VT_SECRETS, "secrets"},
                {G::VT_AFTER, "after"},
                {G::VT_IDEMPOTENCY, "idempotency"}});
  out.id = table.text({G::VT_ID, "id"}, limits::kNameBytesMax);
  out.tool = table.text({G::VT_TOOL, "tool"}, limits::kNameBytesMax);
  decode_digest(table, out);
  out.verbs = table.choices({G::VT_VERBS, "verbs"}, Verb::resume);
  out.args = decode_rules(table, {G::VT_ARGS, "args"});
  out.budget = decode_budget(table, {G::VT_BUDGET, "budget"});
  out.effect = table.choice({G::VT_EFFECT, "effect"}, Effect::irreversible);
  out.cell = decode_cell(table.maybe_table({G::VT_CELL, "cell"}, wire::Cell::VT_WALL_MS));
  return out;
}

}  // namespace taper::capsules
