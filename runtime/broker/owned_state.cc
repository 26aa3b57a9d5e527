#include "runtime/broker/owned_state.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include "runtime/authority/live_task.h"
#include "runtime/authority/profile.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/beside.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/node_policy_file.h"
#include "runtime/broker/tool_files.h"
#include "runtime/broker/twins.h"
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

// What renewals put there, and where the twins of its marker lie: by either a tool could undo what
// shows an old state.
void add_beside(const std::string& state, std::vector<std::string>& trees) {
  trees.push_back(state + std::string(kRenewing));
  trees.push_back(state + std::string(kRenewLock));
  for (const std::string& place : twin_places(state)) {
    trees.push_back(place);
    const Result<std::string> real = real_path(place);
    if (real.ok() && *real != place) trees.push_back(*real);
  }
  const std::size_t name = state.rfind('/') + 1;
  const std::string folder = state.substr(0, name);
  const std::string ended = state.substr(name) + std::string(kEnded);
  // Who may not list it has no renewal there.
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr)
    if (std::string_view(entry->d_name).starts_with(ended)) trees.push_back(folder + entry->d_name);
}

struct MountPoint {
  std::string device;
  std::string root;  // the directory of its file system that it shows
  std::string point;
};

// The kernel writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || text.size() - i < 4) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                    (text[i + 3] - '0')));
    i += 3;
  }
  return out;
}

// Line format: proc_pid_mountinfo(5).
Result<std::vector<MountPoint>> read_mounts() {
  TAPER_TRY(const Bytes bytes, read_file("/proc/self/mountinfo", limits::kMountListBytesMax));
  std::istringstream lines{std::string(as_text(bytes))};
  std::vector<MountPoint> mounts;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::array<std::string, 5> word;
    for (std::string& each : word) words >> each;
    mounts.push_back({word[2], unescape(word[3]), unescape(word[4])});
  }
  return mounts;
}

bool lies_under(const std::string& path, const std::string& tree) {
  return tree == "/" || path == tree || path.starts_with(tree + "/");
}

// `path` without its beginning `tree`: empty, or with a slash at its front.
std::string rest_of(const std::string& path, const std::string& tree) {
  return tree == "/" ? (path == "/" ? "" : path) : path.substr(tree.size());
}

// Where else the same directories stand: a bind mount gives them a second path.
void add_aliases(const std::vector<MountPoint>& mounts, std::vector<std::string>& trees) {
  const std::size_t named = trees.size();
  for (std::size_t i = 0; i < named; ++i) {
    const std::string tree = trees[i];
    const MountPoint* on = nullptr;
    for (const MountPoint& mount : mounts) {
      const bool holds = lies_under(tree, mount.point);
      if (holds && (on == nullptr || mount.point.size() >= on->point.size())) on = &mount;
    }
    if (on == nullptr) continue;
    const std::string rest = rest_of(tree, on->point);
    const std::string inner = on->root == "/" && !rest.empty() ? rest : on->root + rest;
    for (const MountPoint& mount : mounts) {
      if (mount.device != on->device) continue;
      std::string alias;
      if (lies_under(mount.root, inner)) alias = mount.point;
      if (lies_under(inner, mount.root))
        alias = (mount.point == "/" ? "" : mount.point) + rest_of(inner, mount.root);
      if (!alias.empty() && std::find(trees.begin(), trees.end(), alias) == trees.end())
        trees.push_back(alias);
    }
  }
}

// As if the argument were a path of a command.
Status check_paths_apart(const capsules::ArgRule& rule, const std::vector<std::string>& keys) {
  authority::Tool any;
  any.kind = authority::ToolKind::command;
  any.inputs = {{.name = rule.name, .type = capsules::InputType::path}};
  const auto trees = authority::compile_trees({rule}, any, {});
  if (!trees.ok()) return success();  // it names none, or what the node refuses by itself
  for (const authority::GrantedTree& tree : *trees) {
    for (const std::string& key : keys) {
      if (tree.directory ? lies_under(key, tree.path) : key == tree.path)
        return Error(Code::tree_refused, {.field = tree.path,
                                          .expected = "a path apart from " + key,
                                          .got = tree.path,
                                          .fix = "keep keys where no tool is given anything"});
    }
  }
  return success();
}

}  // namespace

Status check_in_place(const std::string& state) {
  const Result<std::string> real = real_path(state);
  if (!real.ok() || !real->ends_with(kRenewing)) return success();
  const std::string place = real->substr(0, real->size() - kRenewing.size());
  struct stat found{};
  if (::lstat(place.c_str(), &found) != 0) return success();
  return Error(Code::not_a_state,
               {*real, "a state in its place", "what a renewal of " + place + " left beside it",
                "'taper node renew --state " + place + "' finishes it; it can be read meanwhile"});
}

Result<std::vector<std::string>> keys_of_holder(const std::string& holder_key) {
  std::vector<std::string> keys;
  if (holder_key.empty()) return keys;
  TAPER_TRY(const std::string real, real_path(holder_key));
  keys.push_back(real);
  TAPER_CHECK(add_keys_beside(real, keys));
  return keys;
}

Status look_at_host(const std::string& state, const std::vector<std::string>& keys,
                    authority::NodeFacts& facts) {
  TAPER_TRY(std::string real_state, real_path(state));
  facts.forbidden_trees = {real_state};
  add_beside(real_state, facts.forbidden_trees);
  for (const std::string& directory : tool_directories(state)) {
    TAPER_TRY(std::string real, real_path(directory));
    facts.forbidden_trees.push_back(std::move(real));
  }
  facts.forbidden_trees.insert(facts.forbidden_trees.end(), keys.begin(), keys.end());
  TAPER_TRY(const std::vector<MountPoint> mounts, read_mounts());
  add_aliases(mounts, facts.forbidden_trees);
  facts.mount_points.clear();
  for (const MountPoint& mount : mounts) facts.mount_points.push_back(mount.point);
  return success();
}

Result<authority::NodeFacts> node_facts(const std::string& state,
                                        const authority::NodeRecord& record,
                                        const std::string& holder_key, const OwnPolicy& own) {
  authority::NodeFacts facts;
  facts.node = record.sign;
  facts.incarnation = record.incarnation;
  facts.name = record.name;
  facts.tier = capsules::Tier::t2;
  // Without it nothing runs; ending, showing and importing never need it.
  facts.policy = own.policy;
  if (own.unread) warn(to_line(*own.unread));
  TAPER_TRY(const std::vector<std::string> keys, keys_of_holder(holder_key));
  TAPER_CHECK(look_at_host(state, keys, facts));
  return facts;
}

Result<OwnedState> own_state(const std::string& state, const std::string& holder_key,
                             const Now& now) {
  TAPER_CHECK(check_in_place(state));
  return own_state_at(state, holder_key, now, twins_of(state));
}

Result<OwnedState> own_state_at(const std::string& state, const std::string& holder_key,
                                const Now& now, const std::string& twins) {
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(state));
  OwnedState owned;
  owned.own = read_policy(state);
  TAPER_TRY(owned.facts, node_facts(state, record, holder_key, owned.own));
  // Without it, only capsules with sealed secrets are refused; ending a task never needs it.
  Result<crypto::UnsealingKey> unseal = authority::read_unsealing_key(state, record);
  if (unseal.ok())
    owned.facts.unseal = std::make_shared<const crypto::UnsealingKey>(std::move(*unseal));
  TAPER_TRY(owned.store, store::open_state({.directory = state,
                                            .origin = authority::log_origin(record),
                                            .read_only = false,
                                            .twins = twins}));
  TAPER_TRY(owned.authority, authority::Authority::start(*owned.store, owned.facts, now));
  TAPER_TRY(std::vector<TaskId> kept, owned.authority->kept_results(now));
  for (const TaskId& task : owned.authority->live_tasks()) kept.push_back(task);
  // A crash between the two halves of an end leaves results behind; others were kept long enough.
  store::ResultFiles results(state);
  TAPER_CHECK(results.erase_all_but(kept));
  // What a call asked that waits no more, or what no outcome came to name.
  for (const TaskId& task : kept) {
    TAPER_TRY(const authority::TaskView view, authority::show_task(*owned.store, task, now));
    for (const authority::PastCall& call : view.calls)
      if (call.result.is_zero()) TAPER_CHECK(results.erase(task, call.call));
  }
  return owned;
}

Status check_keys_apart(const capsules::UntrustedCapsule& capsule, const std::string& holder_key) {
  TAPER_TRY(std::vector<std::string> keys, keys_of_holder(holder_key));
  TAPER_TRY(const std::vector<MountPoint> mounts, read_mounts());
  add_aliases(mounts, keys);
  const authority::Tools builtins = authority::builtin_tools();
  const auto levels = authority::make_levels(capsule.id, capsule.root, capsule.blocks);
  const std::size_t last = levels.size() - 1;
  for (std::size_t i = 0; i < levels[last].size(); ++i) {
    const std::vector<capsules::ArgRule>& rules = levels[last][i].args;
    const auto tool = builtins.find(capsule.root.grants[authority::root_of(levels, last, i)].tool);
    if (tool != builtins.end()) {
      TAPER_CHECK(authority::compile_trees(rules, tool->second, keys));
      continue;
    }
    authority::Tool any;  // its cell sees more of the host than its rules name
    any.kind = authority::ToolKind::command;
    TAPER_CHECK(authority::compile_trees({}, any, keys));
    for (const capsules::ArgRule& rule : rules) TAPER_CHECK(check_paths_apart(rule, keys));
  }
  return success();
}

Result<std::variant<OwnedState, ControlTalk>> own_or_reach(const std::string& state,
                                                           const std::string& holder_key) {
  using Either = std::variant<OwnedState, ControlTalk>;
  constexpr int kAttempts = 100;  // 5 s: an owner that goes has its socket closed before its store
  constexpr int kPauseMs = 50;
  for (int left = kAttempts;; --left) {
    Result<OwnedState> owned = own_state(state, holder_key, SystemClock().now());
    if (owned.ok()) return Either(std::move(*owned));
    if (owned.code() != Code::state_locked || left == 0) return owned.error();
    Result<ControlTalk> talk = ControlTalk::with_owner(state);
    if (talk.ok()) return Either(std::move(*talk));
    if (talk.code() != Code::control_unreachable) return talk.error();
    ::poll(nullptr, 0, kPauseMs);
  }
}

Result<Imported> take_in_root(const OwnedState& owned, ByteSpan file,
                              const std::optional<Hash>& fleet, const Now& now) {
  authority::Authority& authority = *owned.authority;
  const bool first = authority.root() == nullptr;
  TAPER_CHECK(authority.import_root(file, fleet, now));
  TAPER_CHECK(owned.store->sync_marker());
  const capsules::TrustRoot* root = authority.root();
  TAPER_ASSERT(root != nullptr);
  return Imported{.version = root->data().version, .fleet = root->fleet(), .first = first};
}

Result<Bytes> ask_for_time(const OwnedState& owned, const Now& now) {
  TAPER_CHECK(check_boot_clock());
  TAPER_TRY(Bytes challenge, owned.authority->time_challenge(now));
  TAPER_CHECK(owned.store->sync_marker());
  return challenge;
}

Status take_in_time(const OwnedState& owned, ByteSpan file, const Now& now) {
  TAPER_CHECK(check_boot_clock());
  TAPER_CHECK(owned.authority->import_time(file, now));
  return owned.store->sync_marker();
}

Status end_task(const OwnedState& owned, const std::string& state, const TaskId& task,
                authority::EndReason reason, const authority::EndedBy& by, const Now& now) {
  TAPER_CHECK(owned.authority->begin_ending(task, reason, now, by));
  store::ResultFiles results(state);
  TAPER_CHECK(end_results(*owned.authority, results, task));
  TAPER_TRY(const authority::TaskState ended, owned.authority->finish(task, now));
  TAPER_ASSERT(authority::is_terminal(ended));
  return owned.store->sync_marker();
}

Status take_in_release(const OwnedState& owned, ByteSpan file, const Now& now) {
  TAPER_CHECK(owned.authority->import_release(file, now));
  return owned.store->sync_marker();
}

Status take_signer(OwnedState& owned, const std::string& state) {
  TAPER_TRY(crypto::SigningKey key, authority::read_signing_key(state, owned.facts.node));
  owned.signer = std::make_shared<const crypto::SigningKey>(std::move(key));
  return success();
}

Status check_key_links(const std::string& state) {
  const std::string folder = state + "/keys";
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) return os_error("open " + folder, errno);
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string path = folder + "/" + entry->d_name;
    struct stat found{};
    if (::lstat(path.c_str(), &found) != 0) return os_error("stat " + path, errno);
    if (!S_ISREG(found.st_mode) || found.st_nlink == 1) continue;
    return Error(Code::key_file_exposed,
                 {path, "one link", std::to_string(found.st_nlink) + " links",
                  "find the others ('find / -xdev -samefile " + path + "') and remove them"});
  }
  return success();
}

Status end_results(const authority::Authority& authority, store::ResultFiles& results,
                   const TaskId& task) {
  const capsules::VerifiedCapsule* capsule = authority.capsule(task);
  if (capsule == nullptr || !capsule->root().result) return results.erase_task(task);
  // What a call asked for is no result.
  for (const authority::PastCall& call : authority.past_calls(task))
    if (call.state == authority::CallState::waiting || call.result.is_zero())
      TAPER_CHECK(results.erase(task, call.call));
  return success();
}

}  // namespace taper::broker
