#include "runtime/sandbox/tree_source.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/sandbox/system.h"

namespace taper::sandbox {
namespace {

Error tree_error(Code code, const std::string& path, std::string expected, std::string got) {
  return Error(code,
               {.field = path, .expected = std::move(expected), .got = std::move(got), .fix = ""});
}

Result<Fd> open_source(const authority::GrantedTree& tree) {
  const int fd = try_open_plainly(AT_FDCWD, tree.path, O_PATH);
  if (fd >= 0) return Fd(fd);
  if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR) {
    return tree_error(Code::tree_missing, tree.path, "", std::strerror(-fd));
  }
  return os_error("openat2 " + tree.path, -fd);
}

Status check_kind(int fd, const authority::GrantedTree& tree, struct stat& found) {
  if (::fstat(fd, &found) != 0) return os_error("fstat " + tree.path, errno);
  const mode_t wanted = tree.directory ? S_IFDIR : S_IFREG;
  if ((found.st_mode & S_IFMT) == wanted) return success();
  return tree_error(Code::tree_unsafe, tree.path, tree.directory ? "a directory" : "a regular file",
                    "another kind of file");
}

Result<Fd> make_namespace(uid_t uid, gid_t gid) {
  const pid_t parent = ::getpid();
  TAPER_TRY(const Clone child, clone_process(CLONE_NEWUSER));
  if (child.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The signal does not come for a parent that died before it was asked for.
    if (::getppid() != parent) ::_exit(1);
    // It must not keep a dead spawnd's lifeline open.
    if (!close_all_but({}).ok()) ::_exit(1);
    for (;;) ::pause();
  }
  const std::string proc = "/proc/" + std::to_string(child.pid);
  const auto line = [](std::uint32_t disk) {
    return std::to_string(disk) + " " + std::to_string(limits::kCellUid) + " 1";
  };
  Status mapped = write_text(proc + "/uid_map", line(uid));
  if (mapped.ok()) mapped = write_text(proc + "/gid_map", line(gid));
  Fd space(::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const int error_number = errno;
  ::kill(child.pid, SIGKILL);
  ::waitpid(child.pid, nullptr, 0);
  if (!mapped.ok()) return Error(mapped.error());
  if (!space) return os_error("open " + proc + "/ns/user", error_number);
  return space;
}

}  // namespace

Starter starter() { return ::geteuid() == 0 ? Starter::root : Starter::user; }

Result<int> Idmaps::get(uid_t uid, gid_t gid) {
  const auto found = kept_.find({uid, gid});
  if (found != kept_.end()) return found->second.get();
  TAPER_TRY(Fd space, make_namespace(uid, gid));
  if (kept_.size() >= limits::kIdmapNamespacesMax) kept_.clear();
  return kept_.insert_or_assign({uid, gid}, std::move(space)).first->second.get();
}

Result<Fd> open_tree_source(const authority::GrantedTree& tree, Idmaps* idmaps) {
  TAPER_TRY(const Fd source, open_source(tree));
  struct stat found{};
  TAPER_CHECK(check_kind(source.get(), tree, found));
  const std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                   (tree.program ? 0U : MOUNT_ATTR_NOEXEC) |
                                   (tree.writable ? 0U : MOUNT_ATTR_RDONLY);
  TAPER_TRY(Fd mount, clone_mount(source.get(), tree.path, Depth::this_mount, attributes));
  if (idmaps == nullptr) return mount;
  TAPER_TRY(const int space, idmaps->get(found.st_uid, found.st_gid));
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<std::uint64_t>(space);
  if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) != 0) {
    return Error(
        Code::sandbox_layer,
        {.field = "idmapped mount", .expected = tree.path, .got = std::strerror(errno), .fix = ""});
  }
  return mount;
}

}  // namespace taper::sandbox
