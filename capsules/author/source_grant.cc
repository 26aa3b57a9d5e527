#include <algorithm>
#include <array>

#include "capsules/author/reader.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

struct VerbName {
  std::string_view name;
  Verb verb;
};
constexpr std::array kVerbs = {
    VerbName{"discover", Verb::discover}, VerbName{"call", Verb::call},
    VerbName{"poll", Verb::poll},         VerbName{"result", Verb::result},
    VerbName{"update", Verb::update},     VerbName{"cancel", Verb::cancel},
    VerbName{"retry", Verb::retry},       VerbName{"resume", Verb::resume}};
constexpr std::size_t kDefaultVerbs = 6;  // the first of them

std::vector<Verb> default_verbs() {
  std::vector<Verb> out;
  for (std::size_t i = 0; i < kDefaultVerbs; ++i) out.push_back(kVerbs[i].verb);
  return out;
}

}  // namespace

std::vector<Verb> read_verbs(Section& grant) {
  const auto names = grant.words("verbs", kVerbs.size());
  std::vector<Verb> out;
  if (!names) return out;
  for (const std::string& name : *names) {
    const auto found = std::find_if(kVerbs.begin(), kVerbs.end(),
                                    [&name](const VerbName& verb) { return verb.name == name; });
    if (found != kVerbs.end()) {
      out.push_back(found->verb);
    } else {
      const bool of_task = name == "activate" || name == "approve" || name == "delegate";
      grant.wrong_type("verbs",
                       of_task ? "verbs of calls: '" + name + "' belongs to the whole task"
                               : "verbs that exist: '" + name + "' does not",
                       "choose from discover, call, poll, result, update, cancel, retry, resume");
    }
  }
  if (names->empty()) grant.wrong_type("verbs", "a list with a verb", "leave it out");
  return out;
}

namespace {

Effect read_effect(Section& grant, const KnownTool* tool) {
  const std::optional<std::string> name = grant.text("effect", limits::kNameBytesMax);
  const bool builtin = tool != nullptr && tool->builtin;
  if (!name) {
    if (builtin) return tool->effect;
    if (!grant.table().contains("effect")) {
      grant.missing("effect", "\"read\", \"write\" or \"irreversible\", as the tool's own");
    }
    return Effect::unset;
  }
  const Effect effect = effect_of(*name);
  if (effect != Effect::unset) return effect;
  grant.wrong_type("effect", "\"read\", \"write\" or \"irreversible\"", "state the tool's effect");
  return Effect::unset;
}

void read_digest(Section& grant, const KnownTool* tool, Grant& out) {
  const std::optional<std::string> text = grant.text("digest", limits::kNameBytesMax);
  if (tool != nullptr && tool->builtin) {
    out.digest_kind = DigestKind::builtin;
    if (grant.table().contains("digest")) {
      grant.wrong_type("digest", "absent: a builtin is pinned by its version", "leave it out");
    }
    return;
  }
  if (!text) {
    const std::string known = tool != nullptr && tool->digest
                                  ? "\"" + tool->digest->hex() + "\""
                                  : "\"64 hex digits from 'taper tools list --json' on the node\"";
    if (!grant.table().contains("digest")) {
      grant.missing("digest", known + ", or \"unpinned\" in so many words");
    }
    return;
  }
  if (*text == "unpinned") {
    out.digest_kind = DigestKind::unpinned;
    return;
  }
  const std::optional<Hash> digest = Hash::from_hex(*text);
  if (!digest) {
    grant.wrong_type("digest", "64 hex digits or \"unpinned\"",
                     "copy it from 'taper tools list --json' on the node");
    return;
  }
  out.digest_kind = DigestKind::pinned;
  out.digest = *digest;
}

// The tool, when its name is one that is known.
const KnownTool* read_tool(Section& grant, const KnownTools& tools, Grant& out) {
  out.tool = grant.required_text("tool", limits::kNameBytesMax, "\"the tool's name\"").value_or("");
  if (out.tool.empty()) return nullptr;
  const auto found = tools.find(out.tool);
  if (found != tools.end()) return &found->second;
  std::set<std::string, std::less<>> names;
  for (const auto& [name, tool] : tools) names.insert(name);
  const std::string near = nearest(out.tool, names);
  const bool wildcard = out.tool.find('*') != std::string::npos;
  grant.report().error(
      wildcard ? Code::source_invalid : Code::tool_missing, grant.place("tool"),
      wildcard ? "a grant names exactly one tool; there is no wildcard"
               : "the tool '" + out.tool + "' is not known",
      !near.empty() ? "did you mean '" + near + "'?"
                    : "builtins are known; give other tools with --tools FILE, made on the node by "
                      "'taper tools list --json'");
  return nullptr;
}

Grant read_grant(Section grant, const KnownTools& tools) {
  Grant out;
  out.id = grant.text("id", limits::kNameBytesMax).value_or("");
  const KnownTool* tool = read_tool(grant, tools, out);
  out.effect = read_effect(grant, tool);
  read_digest(grant, tool, out);
  out.verbs = read_verbs(grant);
  if (out.verbs.empty()) out.verbs = default_verbs();
  if (auto args = grant.section("args")) out.args = read_rules(*args);
  out.budget = read_budget(grant);
  out.cell = read_cell(grant);
  out.secrets = grant.words("secrets", limits::kSecretsMax).value_or(std::vector<std::string>());
  out.labels = grant.words("labels", limits::kLabelsMax).value_or(std::vector<std::string>());
  out.refuse_after =
      grant.words("refuse_after", limits::kLabelsMax).value_or(std::vector<std::string>());
  out.after = grant.words("after", limits::kNeedsMax).value_or(std::vector<std::string>());
  out.idempotency = grant.text("idempotency", limits::kNameBytesMax).value_or("");
  grant.not_yet({"parent", "action", "approval"});
  grant.finish();
  return out;
}

// Grants without an id are called after their tool, numbered when that name is taken.
void name_grants(std::vector<Grant>& grants, const std::vector<Place>& places, Report& report) {
  std::set<std::string> taken;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    if (grants[i].id.empty() || taken.insert(grants[i].id).second) continue;
    report.error(Code::source_invalid, places[i], "the id '" + grants[i].id + "' stands twice",
                 "give each grant an id of its own");
  }
  for (Grant& grant : grants) {
    if (!grant.id.empty()) continue;
    std::string id = grant.tool;
    for (std::size_t number = 2; !taken.insert(id).second; ++number) {
      id = grant.tool + "-" + std::to_string(number);
    }
    grant.id = id;
  }
}

}  // namespace

void read_grants(const toml::node& node, const KnownTools& tools, Draft& draft, Report& report) {
  const auto* array = node.as_array();
  const Place all{"grant", line_of(node)};
  if (array == nullptr || array->empty() || array->size() > limits::kGrantsMax) {
    report.error(Code::source_invalid, all,
                 "grants are a list of 1 to " + std::to_string(limits::kGrantsMax) + " tables",
                 "start each with [[grant]], in double brackets");
    return;
  }
  std::vector<Place> places;
  for (std::size_t i = 0; i < array->size(); ++i) {
    const toml::node& item = (*array)[i];
    const Place place{"grant[" + std::to_string(i) + "]", line_of(item)};
    const auto* table = item.as_table();
    if (table == nullptr) {
      report.error(Code::source_invalid, place, "a grant is a table", "start it with [[grant]]");
      continue;
    }
    places.push_back(place);
    draft.capsule.grants.push_back(read_grant(Section(*table, place, report), tools));
  }
  name_grants(draft.capsule.grants, places, report);
}

}  // namespace taper::capsules
