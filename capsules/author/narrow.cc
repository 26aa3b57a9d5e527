#include <algorithm>

#include "capsules/author/implies.h"
#include "capsules/author/lineage.h"
#include "capsules/author/lint.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/base/toml_shape.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMsPerS = 1000;
constexpr std::string_view kSmaller = "the smaller holds: leave it out, or lower it";

// What a narrowing may hold on to: the level directly before, and all above it.
struct Above {
  const UntrustedCapsule& chain;
  const KnownTools& tools;
  Lineage lineage;
  Capsule times;  // the root block, with the times as they stand before this block

  const std::vector<LineGrant>& level() const { return lineage.back(); }
  std::string name() const {
    const std::size_t blocks = chain.blocks.size();
    return blocks == 0 ? "the root block" : "block " + std::to_string(blocks);
  }
  const Grant& root_of(std::size_t index) const {
    for (std::size_t at = lineage.size() - 1; at > 0; --at) index = lineage[at][index].parent;
    return chain.root.grants[index];
  }
  // The smallest of one budget along the line of a grant.
  template <class Read>
  std::optional<std::int64_t> least(std::size_t index, Read read) const {
    std::optional<std::int64_t> out;
    for (std::size_t at = lineage.size(); at-- > 0;) {
      const LineGrant& grant = lineage[at][index];
      const std::optional<std::int64_t> own = read(grant.budget);
      if (own && (!out || *own < *out)) out = own;
      index = grant.parent;
    }
    return out;
  }
};

InputType type_of(const Grant& root, const std::string& argument, const KnownTools& tools) {
  const auto tool = tools.find(root.tool);
  if (tool == tools.end()) return InputType::unset;
  const auto input = std::ranges::find(tool->second.inputs, argument, &InputSpec::name);
  return input == tool->second.inputs.end() ? InputType::unset : input->type;
}

void lint_args(Section& grant, const KeptGrant& kept, const Above& above, std::size_t parent) {
  const LineGrant& held = above.level()[parent];
  for (const ArgRule& rule : kept.args) {
    const Place place{grant.place("args").path + "." + rule.name, grant.place("args").line};
    if (asks_time_of_day(rule))
      grant.report().note(place, std::string(kNeedsSignedTime), std::string(kBringTime));
    const auto inherited = std::ranges::find(held.args, rule.name, &ArgRule::name);
    if (inherited == held.args.end()) {
      grant.report().error(
          Code::argument_unknown, place,
          "'" + held.id + "' does not name '" + rule.name + "', so no call with it ever passes",
          "a block adds rules to arguments that are granted; leave it out");
      continue;
    }
    const std::vector<ArgRule> both = narrowed_rules({*inherited}, {rule});
    const InputType type = type_of(above.root_of(parent), rule.name, above.tools);
    std::string why = never_holds(both.front(), type);
    ArgRule mine = rule;
    ArgRule theirs = *inherited;
    mine.optional = theirs.optional = false;
    if (why.empty() && rules_apart({mine}, {theirs})) why = "the two have no value in common";
    if (why.empty()) continue;
    grant.report().error(Code::source_invalid, place,
                         "with what is inherited no value can ever match: " + why,
                         "choose values inside what '" + held.id + "' allows");
  }
}

void lint_verbs(Section& grant, const std::vector<Verb>& verbs, const LineGrant& parent) {
  if (verbs.empty()) return;
  if (narrowed_verbs(parent.verbs, verbs).empty()) {
    grant.report().error(Code::source_invalid, grant.place("verbs"),
                         "'" + parent.id + "' has none of these verbs, so no call ever passes",
                         "choose from its own, or leave verbs out");
  } else if (narrowed_verbs(verbs, parent.verbs).size() < verbs.size()) {
    grant.report().note(grant.place("verbs"),
                        "'" + parent.id + "' has not all of these verbs, and a block adds none",
                        "choose from its own");
  }
}

void lint_budget(Section& grant, const Budget& budget, const Above& above, std::size_t parent) {
  const auto compare = [&](const char* name, auto read) {
    const std::optional<std::int64_t> own = read(budget);
    const std::optional<std::int64_t> most = above.least(parent, read);
    if (!own || !most || *own <= *most) return;
    grant.report().note(grant.place("budget"),
                        std::string(name) + " = " + std::to_string(*own) +
                            " is above what is inherited, " + std::to_string(*most) +
                            ", and has no effect",
                        std::string(kSmaller));
  };
  compare("calls", [](const Budget& b) { return b.calls; });
  compare("bytes", [](const Budget& b) { return b.bytes; });
  compare("cpu in milliseconds", [](const Budget& b) { return b.cpu_ms; });
  if (!budget.sum) return;
  const std::vector<ArgRule>& named = above.level()[parent].args;
  if (std::ranges::find(named, budget.sum->argument, &ArgRule::name) != named.end()) return;
  grant.report().error(Code::source_invalid, grant.place("budget"),
                       "the sum is of '" + budget.sum->argument + "', which is not granted",
                       "name an argument of '" + above.level()[parent].id + "'");
}

void lint_labels(Section& grant, const KeptGrant& kept, const Above& above,
                 const std::vector<KeptGrant>& siblings) {
  std::set<std::string> borne;
  for (const auto& level : above.lineage) {
    for (const LineGrant& one : level) borne.insert(one.labels.begin(), one.labels.end());
  }
  for (const KeptGrant& one : siblings) borne.insert(one.labels.begin(), one.labels.end());
  borne.insert(kept.labels.begin(), kept.labels.end());
  for (const std::string& label : kept.refuse_after) {
    if (borne.contains(label)) continue;
    grant.report().note(grant.place("refuse_after"),
                        "no grant of this chain ever gives the label '" + label + "'",
                        "labels are given by 'labels', here or in a block before");
  }
}

std::string known_parents(const std::vector<LineGrant>& level) {
  std::string out = "it has:";
  for (const LineGrant& grant : level) out += " " + grant.id;
  return out;
}

KeptGrant read_kept(Section grant, const Above& above, const std::vector<KeptGrant>& siblings) {
  KeptGrant out;
  out.parent =
      grant.required_text("parent", limits::kNameBytesMax, "\"the id of a grant\"").value_or("");
  out.id = grant.text("id", limits::kNameBytesMax).value_or("");
  if (auto args = grant.section("args")) out.args = read_rules(*args);
  out.budget = read_budget(grant);
  out.verbs = read_verbs(grant);
  out.labels = grant.words("labels", limits::kLabelsMax).value_or(std::vector<std::string>());
  out.refuse_after =
      grant.words("refuse_after", limits::kLabelsMax).value_or(std::vector<std::string>());
  grant.finish();
  const auto parent = std::ranges::find(above.level(), out.parent, &LineGrant::id);
  if (parent == above.level().end()) {
    std::set<std::string, std::less<>> ids;
    for (const LineGrant& one : above.level()) ids.insert(one.id);
    const std::string near = nearest(out.parent, ids);
    if (!out.parent.empty()) {
      grant.report().error(
          Code::source_invalid, grant.place("parent"),
          above.name() + " has no grant '" + out.parent + "'",
          near.empty() ? known_parents(above.level()) : "did you mean '" + near + "'?");
    }
    return out;
  }
  const auto index = static_cast<std::size_t>(parent - above.level().begin());
  lint_args(grant, out, above, index);
  lint_verbs(grant, out.verbs, *parent);
  lint_budget(grant, out.budget, above, index);
  lint_labels(grant, out, above, siblings);
  return out;
}

// Kept grants without an id are called after their parent, numbered when that name is taken.
void name_kept(std::vector<KeptGrant>& grants, const std::vector<Place>& places, Report& report) {
  std::set<std::string> taken;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    if (grants[i].id.empty() || taken.insert(grants[i].id).second) continue;
    report.error(Code::source_invalid, places[i], "the id '" + grants[i].id + "' stands twice",
                 "give each kept grant an id of its own");
  }
  for (KeptGrant& kept : grants) {
    if (!kept.id.empty()) continue;
    std::string id = kept.parent;
    for (std::size_t number = 2; !taken.insert(id).second; ++number) {
      id = kept.parent + "-" + std::to_string(number);
    }
    kept.id = id;
  }
}

void read_all_kept(const toml::node& node, const Above& above, Report& report, Block& block) {
  const auto* array = node.as_array();
  if (array == nullptr || array->empty() || array->size() > limits::kGrantsMax) {
    report.error(Code::source_invalid, {"grant", line_of(node)},
                 "kept grants are a list of 1 to " + std::to_string(limits::kGrantsMax) + " tables",
                 "start each with [[grant]], in double brackets");
    return;
  }
  std::vector<Place> places;
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Place place{"grant[" + std::to_string(i) + "]", line_of((*array)[i])};
    const auto* table = (*array)[i].as_table();
    if (table == nullptr) {
      report.error(Code::source_invalid, place, "a kept grant is a table",
                   "start it with [[grant]]");
      continue;
    }
    places.push_back(place);
    block.grants.push_back(read_kept(Section(*table, place, report), above, block.grants));
  }
  name_kept(block.grants, places, report);
}

// A time that is not shorter than the inherited one.
void note_longer(Section& section, std::string_view key, const std::string& own,
                 const std::string& inherited) {
  section.report().note(section.place(key),
                        "'" + std::string(key) + "' reaches " + own +
                            ", beyond what is inherited, " + inherited +
                            ", and has no effect there",
                        std::string(kSmaller));
}

void read_block_lease(Section& section, const Capsule& times, Block& block) {
  std::optional<Section> lease = section.section("lease");
  if (!lease) return;
  const auto duration = [&lease](std::string_view key, std::int64_t inherited) {
    const std::optional<std::int64_t> ms = lease->duration_ms(key);
    if (ms && *ms > limits::kLeaseTtlMaxMs) {
      lease->wrong_type(key, "at most " + format_duration_ms(limits::kLeaseTtlMaxMs), "lower it");
    } else if (ms && *ms > inherited) {
      note_longer(*lease, key, format_duration_ms(*ms), format_duration_ms(inherited));
    }
    return ms;
  };
  block.lease_ttl_ms = duration("ttl", times.lease_ttl_ms);
  block.lease_idle_ms = duration("idle", times.lease_idle_ms);
  lease->finish();
}

void read_block_window(Section& section, const Capsule& times, std::int64_t now_s, Block& block) {
  std::optional<Section> window = section.section("window");
  if (!window) return;
  block.not_before_s = read_window_start(*window);
  if (const auto length_ms = window->duration_ms("for")) {
    const std::int64_t from_s = block.not_before_s.value_or(now_s);
    block.not_after_s = std::min(from_s + *length_ms / kMsPerS, limits::kTimeMaxS);
  }
  window->finish();
  const std::int64_t from_s = std::max(times.not_before_s, block.not_before_s.value_or(0));
  const std::int64_t to_s =
      std::min(times.not_after_s, block.not_after_s.value_or(times.not_after_s));
  if (from_s >= to_s) {
    section.report().error(Code::source_invalid, section.place("window"),
                           "it shares no time with the inherited window, which lasts from " +
                               format_utc_s(times.not_before_s) + " to " +
                               format_utc_s(times.not_after_s),
                           "choose a time inside it");
    return;
  }
  if (block.not_before_s && *block.not_before_s < times.not_before_s) {
    note_longer(*window, "from", format_utc_s(*block.not_before_s),
                format_utc_s(times.not_before_s));
  }
  if (block.not_after_s && *block.not_after_s > times.not_after_s) {
    note_longer(*window, "for", format_utc_s(*block.not_after_s), format_utc_s(times.not_after_s));
  }
}

Block read_block(Section& top, const Above& above, std::int64_t now_s) {
  Block block;
  if (auto section = top.section("block")) {
    read_block_lease(*section, above.times, block);
    read_block_window(*section, above.times, now_s, block);
    section->finish();
  }
  if (const toml::node* grants = top.take("grant")) {
    read_all_kept(*grants, above, top.report(), block);
  } else {
    top.report().error(Code::field_missing, {"grant", 0}, "no [[grant]]: nothing would be kept",
                       "add [[grant]] with parent = \"…\" for each grant to keep");
  }
  top.finish();
  return block;
}

}  // namespace

Status may_narrow(const UntrustedCapsule& chain) {
  const std::size_t most = std::min<std::size_t>(chain.root.max_depth, limits::kBlocksMax);
  if (chain.blocks.size() < most) return success();
  return Error(Code::block_broken,
               {"delegation.max_depth", "more than " + std::to_string(chain.blocks.size()),
                std::to_string(most),
                most == 0 ? "this capsule may not be narrowed; its issuer allows it with [capsule] "
                            "delegation = { max_depth = 1 } or more"
                          : "the chain is as long as its issuer allows"});
}

Narrowing parse_narrowing(std::string_view toml, const UntrustedCapsule& chain,
                          const KnownTools& tools, std::int64_t now_s) {
  Report report;
  const auto failed = [&report] { return Narrowing{std::nullopt, report.take()}; };
  if (toml.size() > limits::kSourceBytesMax) {
    report.error(Code::too_large, {}, "the source is too large",
                 "at most " + std::to_string(limits::kSourceBytesMax) + " bytes");
    return failed();
  }
  if (const auto line = toml_too_deep(toml)) {
    report.error(Code::source_syntax, {"", static_cast<std::uint32_t>(*line)},
                 "a key of too many parts, or too many brackets within each other",
                 "write shorter keys and flatter tables at this line");
    return failed();
  }
  const Above above{chain, tools, lineage_of(chain.root, chain.blocks),
                    with_shortened_times(chain.root, chain.blocks)};
  try {
    const toml::table table = toml::parse(toml);
    Section top(table, {}, report);
    Block block = read_block(top, above, now_s);
    if (report.has_errors()) return failed();
    return {std::move(block), report.take()};
  } catch (const toml::parse_error& error) {
    report.error(Code::source_syntax, {"", error.source().begin.line},
                 std::string(error.description()), "mend the TOML at this line");
  } catch (const std::exception& error) {
    report.error(Code::source_syntax, {}, error.what(), "mend the TOML");
  }
  return failed();
}

}  // namespace taper::capsules
