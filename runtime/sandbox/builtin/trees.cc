#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>

#include "runtime/sandbox/builtin/builtins.h"

namespace taper::sandbox {
namespace {

constexpr std::uint64_t kNoLinks = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

Fd open_beneath(int directory, const char* path, int flags, unsigned mode, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  // O_PATH takes no other flags than those of resolution.
  if ((flags & O_PATH) == 0) how.flags |= O_NOCTTY | O_NONBLOCK;
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = resolve;
  return Fd(static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how)));
}

bool holds(const authority::GrantedTree& tree, std::string_view path) {
  if (path == tree.path) return true;
  return tree.directory && path.size() > tree.path.size() && path.starts_with(tree.path) &&
         (path[tree.path.size()] == '/' || tree.path == "/");
}

}  // namespace

Error tool_failure(const std::string& path, std::string_view why) {
  return Error(Code::tool_failed,
               {.field = path, .expected = "", .got = std::string(why), .fix = ""});
}

Error tool_failure(const std::string& path, int error_number) {
  return tool_failure(path, ::strerror(error_number));
}

GrantedTrees::GrantedTrees(const std::vector<authority::GrantedTree>& trees) {
  for (const authority::GrantedTree& tree : trees) {
    Fd fd;
    if (tree.directory) {
      fd = open_beneath(AT_FDCWD, tree.path.c_str(), O_PATH | O_DIRECTORY, 0, kNoLinks);
    }
    trees_.push_back({tree, std::move(fd)});
  }
}

const GrantedTrees::Tree* GrantedTrees::find(std::string_view path, bool directories_only) const {
  const Tree* deepest = nullptr;
  for (const Tree& tree : trees_) {
    if (directories_only && !tree.grant.directory) continue;
    if (!holds(tree.grant, path)) continue;
    if (deepest == nullptr || tree.grant.path.size() > deepest->grant.path.size()) deepest = &tree;
  }
  return deepest;
}

Result<Fd> GrantedTrees::open_in(const Tree& tree, const std::string& path, int flags,
                                 unsigned mode) const {
  Fd fd;
  if (!tree.grant.directory) {
    fd = open_beneath(AT_FDCWD, path.c_str(), flags, mode, kNoLinks);
  } else if (!tree.fd) {
    return tool_failure(path, "its granted tree could not be opened");
  } else {
    std::size_t skip = tree.grant.path.size();
    if (path.size() > skip && path[skip] == '/') ++skip;
    const std::string rest = path.size() <= skip ? std::string(".") : path.substr(skip);
    fd = open_beneath(tree.fd.get(), rest.c_str(), flags, mode, RESOLVE_BENEATH | kNoLinks);
  }
  if (!fd) return tool_failure(path, errno);
  return fd;
}

Result<Fd> GrantedTrees::open(const std::string& path, int flags, unsigned mode) const {
  const Tree* tree = find(path, false);
  if (tree == nullptr) return tool_failure(path, "not in a granted tree");
  return open_in(*tree, path, flags, mode);
}

bool GrantedTrees::has_parent(const std::string& path) const {
  const std::size_t slash = path.rfind('/');
  return slash != std::string::npos &&
         find(slash == 0 ? "/" : std::string_view(path).substr(0, slash), true) != nullptr;
}

Result<Fd> GrantedTrees::open_parent(const std::string& path) const {
  if (!has_parent(path)) return tool_failure(path, "its directory is not granted");
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  return open_in(*find(parent, true), parent, O_RDONLY | O_DIRECTORY, 0);
}

}  // namespace taper::sandbox
