#include "runtime/authority/profile.h"

#include <algorithm>

#include "capsules/granted_paths.h"

namespace taper::authority {
namespace {

using capsules::ArgRule;
using capsules::is_under;

Error refused(std::string field, std::string expected, std::string got) {
  return Error(Code::tree_refused, {std::move(field), std::move(expected), std::move(got), ""});
}

capsules::InputType input_type(const Tool& tool, const std::string& name) {
  const auto input = std::ranges::find(tool.inputs, name, &capsules::InputSpec::name);
  return input == tool.inputs.end() ? capsules::InputType::unset : input->type;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status check_tree(const GrantedTree& tree, const std::vector<std::string>& forbidden) {
  static const std::vector<std::string> kNever = {"/proc", "/sys", "/dev", "/run/secrets",
                                                  "/run/entry"};
  for (const auto* list : {&kNever, &forbidden}) {
    for (const std::string& bad : *list) {
      if (is_under(tree.path, bad) || is_under(bad, tree.path))
        return refused(tree.path, "a path apart from " + bad, tree.path);
    }
  }
  return success();
}

// A command sees these of the host besides its trees. Whoever started it may own what lies there.
Status check_shown(const std::vector<std::string>& forbidden) {
  for (const char* shown :
       {"/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin", "/etc/alternatives"}) {
    for (const std::string& bad : forbidden) {
      if (is_under(bad, shown)) return refused(bad, std::string("a path apart from ") + shown, bad);
    }
  }
  return success();
}

void add_tree(std::vector<GrantedTree>& trees, GrantedTree tree) {
  const bool held = std::any_of(trees.begin(), trees.end(), [&tree](const GrantedTree& have) {
    if (have.writable != tree.writable || (tree.program && !have.program)) return false;
    return have.directory ? is_under(tree.path, have.path)
                          : !tree.directory && have.path == tree.path;
  });
  if (!held) trees.push_back(std::move(tree));
}

// What is executed must not be what the same cell may write.
Status check_programs(const std::vector<GrantedTree>& trees, const std::vector<EntryFile>& entry) {
  for (const EntryFile& script : entry) {
    for (const GrantedTree& tree : trees) {
      if (tree.writable && is_under(script.path, tree.path))
        return refused(script.path, "a path apart from what the tool may write", tree.path);
    }
  }
  for (const GrantedTree& program : trees) {
    for (const GrantedTree& tree : trees) {
      const bool touch = is_under(tree.path, program.path) || is_under(program.path, tree.path);
      if (program.program && tree.writable && touch)
        return refused(program.path, "a path apart from what the tool may write", tree.path);
    }
  }
  return success();
}

}  // namespace

Result<std::vector<GrantedTree>> compile_trees(const std::vector<ArgRule>& args, const Tool& tool,
                                               const std::vector<std::string>& forbidden) {
  const bool writable = tool.effect != capsules::Effect::read;
  const bool builtin = tool.kind == ToolKind::builtin;
  const bool whole_directory = builtin && (writable || tool.name == "file.list");
  std::vector<GrantedTree> trees;
  for (const GrantedTree& file : tool.files)
    add_tree(trees, {file.path, file.directory, false, true});
  for (const ArgRule& rule : args) {
    const auto paths = capsules::granted_paths(rule, input_type(tool, rule.name));
    if (!paths)
      return refused(rule.name, "under, equals or one_of, in every alternative",
                     "no constraint that names a path");
    for (const auto& [path, tree] : *paths) {
      if (tree) {
        add_tree(trees, {path, true, writable});
      } else {
        add_tree(trees, {builtin && writable ? parent_of(path) : path, whole_directory, writable});
      }
    }
  }
  for (const GrantedTree& tree : trees) TAPER_CHECK(check_tree(tree, forbidden));
  TAPER_CHECK(check_programs(trees, tool.entry));
  if (!builtin) TAPER_CHECK(check_shown(forbidden));
  if (trees.size() > limits::kTreesMax)
    return refused("trees", "at most " + std::to_string(limits::kTreesMax),
                   std::to_string(trees.size()));
  return trees;
}

Status check_mounts(const std::vector<GrantedTree>& trees,
                    const std::vector<std::string>& mount_points) {
  for (const GrantedTree& tree : trees) {
    for (const std::string& point : mount_points) {
      if (tree.directory && point != tree.path && is_under(point, tree.path))
        return refused(tree.path, "a directory with no file system mounted below it",
                       "one at " + point);
    }
  }
  return success();
}

Status check_within(const std::vector<GrantedTree>& trees,
                    const std::vector<GrantedTree>& granted) {
  for (const GrantedTree& tree : trees) {
    const bool within = std::ranges::any_of(granted, [&tree](const GrantedTree& whole) {
      const bool below = whole.directory && is_under(tree.path, whole.path);
      return (below || whole.path == tree.path) && (whole.writable || !tree.writable) &&
             (whole.program || !tree.program);
    });
    if (!within) return refused(tree.path, "a path inside the root block's grant", tree.path);
  }
  return success();
}

Result<std::vector<GrantedTree>> agent_trees(const capsules::AgentEntry& agent, const Tools& tools,
                                             const GrantedTrees& granted,
                                             const std::vector<std::string>& forbidden,
                                             const std::vector<std::string>& mount_points) {
  const auto tool = tools.find(agent.program);
  if (tool == tools.end() || tool->second.kind != ToolKind::agent)
    return Error(Code::tool_missing, {"agent", agent.program, "no agent of this name", ""});
  if (tool->second.digest != agent.digest)
    return Error(Code::tool_digest, {"agent", agent.digest.hex(), tool->second.digest.hex(), ""});
  TAPER_TRY(auto trees, compile_trees({}, tool->second, forbidden));
  TAPER_CHECK(check_mounts(trees, mount_points));
  for (const auto& grant : granted) {
    std::vector<GrantedTree> both = trees;
    if (grant) both.insert(both.end(), grant->begin(), grant->end());
    TAPER_CHECK(check_programs(both, tool->second.entry));
  }
  return trees;
}

CellCaps cell_caps(const capsules::CellLimits& limits) {
  CellCaps caps;
  const auto lower = [](auto& cap, const std::optional<std::int64_t>& limit) {
    using Cap = std::remove_reference_t<decltype(cap)>;
    if (limit) cap = static_cast<Cap>(std::clamp<std::int64_t>(*limit, 0, std::int64_t(cap)));
  };
  lower(caps.output_bytes, limits.output_bytes);
  lower(caps.memory_bytes, limits.memory_bytes);
  lower(caps.processes, limits.processes);
  lower(caps.cpu_s, limits.cpu_s);
  return caps;
}

PublicKey branch_holder(const capsules::Capsule& root, const std::vector<capsules::Block>& blocks) {
  const auto handed = std::ranges::find_if(
      blocks, [&root](const capsules::Block& block) { return block.holder != root.holder; });
  return handed == blocks.end() ? root.holder : handed->holder;
}

}  // namespace taper::authority
