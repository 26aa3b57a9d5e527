#include "runtime/authority/profile.h"

#include <algorithm>

#include "capsules/constraints.h"

namespace taper::authority {
namespace {

using capsules::ArgRule;
using capsules::Constraint;
using capsules::is_under;

Error refused(std::string field, std::string expected, std::string got) {
  return Error(Code::tree_refused, {std::move(field), std::move(expected), std::move(got), ""});
}

bool is_path_input(const Tool& tool, const std::string& name) {
  return std::any_of(tool.inputs.begin(), tool.inputs.end(), [&name](const auto& input) {
    return input.name == name && input.type == capsules::InputType::path;
  });
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The exact values a rule names, those that all its constraints bear; nothing when it names none.
std::optional<std::vector<std::string>> exact_paths(const ArgRule& rule) {
  std::vector<capsules::Value> named;
  for (const Constraint& constraint : rule.all) {
    if (const auto* equals = std::get_if<capsules::Equals>(&constraint)) named = {equals->value};
    if (const auto* one_of = std::get_if<capsules::OneOf>(&constraint)) named = one_of->values;
    if (!named.empty()) break;
  }
  if (named.empty()) return std::nullopt;
  std::vector<std::string> paths;
  for (const capsules::Value& value : named) {
    const bool fits = std::all_of(rule.all.begin(), rule.all.end(), [&value](const Constraint& c) {
      return capsules::holds(c, value);
    });
    if (fits && value.text() != nullptr && capsules::is_plain_path(*value.text()))
      paths.push_back(*value.text());
  }
  return paths;
}

// The deepest of a rule's `under` trees; empty when it has none, or they share no path.
std::string common_tree(const ArgRule& rule) {
  std::string deepest;
  for (const Constraint& constraint : rule.all) {
    const auto* under = std::get_if<capsules::Under>(&constraint);
    if (under == nullptr) continue;
    if (deepest.empty() || is_under(under->tree, deepest)) {
      deepest = under->tree;
    } else if (!is_under(deepest, under->tree)) {
      return {};
    }
  }
  return deepest;
}

bool has_under(const ArgRule& rule) {
  return std::any_of(rule.all.begin(), rule.all.end(), [](const Constraint& constraint) {
    return std::holds_alternative<capsules::Under>(constraint);
  });
}

Status check_tree(const GrantedTree& tree, const std::vector<std::string>& forbidden) {
  static const std::vector<std::string> kNever = {"/proc", "/sys", "/dev"};
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
    return have == tree ||
           (have.directory && have.writable == tree.writable && is_under(tree.path, have.path));
  });
  if (!held) trees.push_back(std::move(tree));
}

}  // namespace

Result<std::vector<GrantedTree>> compile_trees(const std::vector<ArgRule>& args, const Tool& tool,
                                               const std::vector<std::string>& forbidden) {
  const bool writable = tool.effect != capsules::Effect::read;
  const bool builtin = tool.kind == ToolKind::builtin;
  const bool whole_directory = builtin && (writable || tool.name == "file.list");
  std::vector<GrantedTree> trees;
  for (const ArgRule& rule : args) {
    const bool path_input = is_path_input(tool, rule.name);
    if (!path_input && !has_under(rule)) continue;
    const auto exact = path_input ? exact_paths(rule) : std::nullopt;
    if (!exact && !has_under(rule))
      return refused(rule.name, "under, equals or one_of", "no constraint that names a path");
    if (exact) {
      for (const std::string& path : *exact) {
        add_tree(trees, {builtin && writable ? parent_of(path) : path, whole_directory, writable});
      }
    } else if (const std::string tree = common_tree(rule); !tree.empty()) {
      add_tree(trees, {tree, true, writable});
    }
  }
  for (const GrantedTree& tree : trees) TAPER_CHECK(check_tree(tree, forbidden));
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
      return (below || whole.path == tree.path) && (whole.writable || !tree.writable);
    });
    if (!within) return refused(tree.path, "a path inside the root block's grant", tree.path);
  }
  return success();
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

}  // namespace taper::authority
