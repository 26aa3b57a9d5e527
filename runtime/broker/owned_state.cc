#include "runtime/broker/owned_state.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/broker/tool_files.h"
#include "store/results.h"

namespace taper::broker {
namespace {

Result<std::string> real_path(const std::string& path) {
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real) == nullptr) return os_error("realpath " + path, errno);
  return std::string(real);
}

// Secret key files in the folder of `key`: whoever keeps one there usually keeps others beside it.
Status add_keys_beside(const std::string& key, std::vector<std::string>& trees) {
  const std::string folder = key.substr(0, key.rfind('/') + 1);
  DIR* listing = ::opendir(folder.c_str());
  if (listing == nullptr) return os_error("open " + folder, errno);
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(".key")) trees.push_back(folder + std::string(name));
  }
  ::closedir(listing);
  return success();
}

}  // namespace

Result<authority::NodeFacts> node_facts(const std::string& state,
                                        const authority::NodeRecord& record,
                                        const std::string& holder_key) {
  authority::NodeFacts facts;
  facts.node = record.sign;
  facts.incarnation = record.incarnation;
  facts.name = record.name;
  facts.tier = capsules::Tier::t2;
  TAPER_TRY(std::string real_state, real_path(state));
  facts.forbidden_trees.push_back(std::move(real_state));
  for (const std::string& directory : tool_directories(state)) {
    TAPER_TRY(std::string real, real_path(directory));
    facts.forbidden_trees.push_back(std::move(real));
  }
  if (!holder_key.empty()) {
    TAPER_TRY(const std::string real, real_path(holder_key));
    facts.forbidden_trees.push_back(real);
    TAPER_CHECK(add_keys_beside(real, facts.forbidden_trees));
  }
  return facts;
}

Result<OwnedState> own_state(const std::string& state, const std::string& holder_key,
                             const Now& now) {
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(state));
  OwnedState owned;
  TAPER_TRY(owned.facts, node_facts(state, record, holder_key));
  TAPER_TRY(owned.store, store::open_state({.directory = state, .read_only = false}));
  TAPER_TRY(owned.authority, authority::Authority::start(*owned.store, owned.facts, now));
  TAPER_TRY(const std::vector<authority::TaskView> tasks, authority::list_tasks(*owned.store, now));
  std::vector<TaskId> live;
  for (const authority::TaskView& view : tasks)
    if (!authority::is_terminal(view.state)) live.push_back(view.task);
  // A crash between the two halves of an end leaves results behind.
  TAPER_CHECK(store::ResultFiles(state).erase_all_but(live));
  return owned;
}

}  // namespace taper::broker
