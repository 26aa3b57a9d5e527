#include <algorithm>

#include "capsules/author/reader.h"
#include "capsules/secret.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

std::string read_name(Section& secret) {
  const auto name = secret.required_text("name", limits::kNameBytesMax, "\"db\"");
  if (!name) return "";
  if (is_secret_name(*name)) return *name;
  secret.wrong_type("name", "a letter, then letters, digits, '.', '_' and '-'",
                    "use at most " + std::to_string(limits::kSecretNameBytesMax) +
                        " of them: the tool finds the secret in a file of this name");
  return "";
}

std::vector<std::string> referring(const Capsule& capsule, const std::string& name) {
  std::vector<std::string> ids;
  for (const Grant& grant : capsule.grants) {
    if (std::ranges::find(grant.secrets, name) != grant.secrets.end()) ids.push_back(grant.id);
  }
  return ids;
}

// A list of grants declares who shares the secret. Without it, exactly one grant may name it.
void read_sharing(Section& secret, const std::string& name, Capsule& capsule) {
  const auto listed = secret.words("grants", limits::kGrantsMax);
  if (!listed) {
    const std::vector<std::string> ids = referring(capsule, name);
    if (ids.size() == 1) return;
    std::string all;
    for (const std::string& id : ids) all += (all.empty() ? "'" : ", '") + id + "'";
    secret.report().error(
        Code::source_invalid, secret.place(),
        ids.empty() ? "no grant gets the secret '" + name + "'"
                    : "the secret '" + name + "' is shared by the grants " + all,
        ids.empty() ? "list them: grants = [\"…\"]"
                    : "give each tool a secret of its own, or declare it: grants = [" + all + "]");
    return;
  }
  std::set<std::string, std::less<>> ids;
  for (const Grant& grant : capsule.grants) ids.insert(grant.id);
  for (const std::string& id : *listed) {
    if (ids.contains(id)) continue;
    const std::string near = nearest(id, ids);
    secret.wrong_type("grants", "ids of grants: '" + id + "' is none",
                      near.empty() ? "a grant without an id is called after its tool"
                                   : "did you mean '" + near + "'?");
  }
  for (Grant& grant : capsule.grants) {
    const bool meant = std::ranges::find(*listed, grant.id) != listed->end();
    const bool names = std::ranges::find(grant.secrets, name) != grant.secrets.end();
    if (meant && !names) grant.secrets.push_back(name);
    if (meant || !names) continue;
    secret.wrong_type("grants", "every grant that names the secret: '" + grant.id + "' does",
                      "add it, or take the secret out of that grant");
  }
}

void read_secret(Section secret, Capsule& capsule) {
  for (const char* key : {"value", "file"}) {
    if (secret.take(key) == nullptr) continue;
    secret.report().error(Code::source_invalid, secret.place(key),
                          "the value of a secret never stands in a source",
                          "take it out, and give it when signing: --secret NAME=FILE");
  }
  const std::string name = read_name(secret);
  const auto destinations = secret.words("destinations", limits::kListItemsMax);
  if (destinations && !destinations->empty())
    not_enforced_yet(secret.report(), secret.place("destinations"), "destinations");
  if (!name.empty()) {
    if (std::ranges::find(capsule.secrets, name, &SealedSecret::name) != capsule.secrets.end())
      secret.wrong_type("name", "each name once", "give every secret a name of its own");
    capsule.secrets.push_back({name, {}});
  }
  read_sharing(secret, name, capsule);
  secret.finish();
}

}  // namespace

void read_secrets(const toml::node* node, Draft& draft, Report& report) {
  Capsule& capsule = draft.capsule;
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (node != nullptr && (array == nullptr || array->size() > limits::kSecretsMax)) {
    report.error(Code::source_invalid, {"secret", line_of(*node)},
                 "secrets are a list of at most " + std::to_string(limits::kSecretsMax) + " tables",
                 "start each with [[secret]], in double brackets");
    return;
  }
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    const toml::node& item = (*array)[i];
    const Place place{"secret[" + std::to_string(i) + "]", line_of(item)};
    if (const auto* table = item.as_table()) {
      read_secret(Section(*table, place, report), capsule);
    } else {
      report.error(Code::source_invalid, place, "a secret is a table", "start it with [[secret]]");
    }
  }
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    for (const std::string& name : capsule.grants[i].secrets) {
      if (std::ranges::find(capsule.secrets, name, &SealedSecret::name) != capsule.secrets.end())
        continue;
      report.error(Code::source_invalid, {"grant[" + std::to_string(i) + "].secrets", 0},
                   "no [[secret]] is called '" + name + "'", "add one, or correct the name");
    }
  }
}

}  // namespace taper::capsules
