// A cell's root file system: an empty, capped tmpfs, onto which only what is named here is bound,
// each thing by descriptor and never by following a symbolic link.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "runtime/sandbox/cell.h"
#include "runtime/sandbox/landlock.h"
#include "runtime/sandbox/system.h"

namespace taper::sandbox {
namespace {

constexpr std::uint64_t kInert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr mode_t kDirectoryMode = 0755;
constexpr const char* kEntryFolder = "/run/entry";

// Where the programs that come with the host load their libraries from. Absent ones stay absent.
constexpr std::array<const char*, 5> kProgramDirectories = {"/bin", "/lib", "/lib32", "/lib64",
                                                            "/sbin"};
constexpr std::array<const char*, 3> kHarmlessFiles = {"/etc/ld.so.cache", "/etc/alternatives",
                                                       "/etc/nsswitch.conf"};
constexpr std::array<const char*, 5> kDevices = {"/dev/null", "/dev/zero", "/dev/full",
                                                 "/dev/random", "/dev/urandom"};
#if defined(__x86_64__)
constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";
#elif defined(__aarch64__)
constexpr const char* kLoader = "/lib/ld-linux-aarch64.so.1";
#endif

struct HostMount {
  Fd mount;
  std::string path;
  bool directory = false;
};

Result<HostMount> host_mount(const std::string& path, Depth depth, std::uint64_t attributes) {
  const Fd source(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!source) return os_error("open " + path, errno);
  struct stat found{};
  if (::fstat(source.get(), &found) != 0) return os_error("fstat " + path, errno);
  TAPER_TRY(Fd mount, clone_mount(source.get(), path, depth, attributes));
  return HostMount{std::move(mount), path, S_ISDIR(found.st_mode)};
}

struct HostView {
  std::vector<HostMount> mounts;
  std::vector<std::pair<std::string, std::string>> links;  // path, what it points to
};

// What a command sees of the host besides its granted trees.
Result<HostView> open_host() {
  constexpr std::uint64_t kPrograms = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  HostView view;
  TAPER_TRY(HostMount usr, host_mount("/usr", Depth::with_submounts, kPrograms));
  view.mounts.push_back(std::move(usr));
  for (const char* path : kProgramDirectories) {
    std::array<char, 256> target{};
    const ssize_t length = ::readlink(path, target.data(), target.size());
    if (length >= 0) {
      view.links.emplace_back(path, std::string(target.data(), static_cast<std::size_t>(length)));
    } else if (errno == EINVAL) {
      TAPER_TRY(HostMount mount, host_mount(path, Depth::with_submounts, kPrograms));
      view.mounts.push_back(std::move(mount));
    } else if (errno != ENOENT) {
      return os_error(std::string("readlink ") + path, errno);
    }
  }
  for (const char* path : kHarmlessFiles) {
    if (::access(path, F_OK) != 0) continue;
    TAPER_TRY(HostMount mount, host_mount(path, Depth::this_mount, MOUNT_ATTR_RDONLY | kInert));
    view.mounts.push_back(std::move(mount));
  }
  for (const char* path : kDevices) {
    TAPER_TRY(HostMount mount,
              host_mount(path, Depth::this_mount,
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
    view.mounts.push_back(std::move(mount));
  }
  return view;
}

enum class Target : std::uint8_t { directory, file };

// The place for `path` below `root`, made where it is absent. Symbolic links are not followed: a
// granted tree may hold hostile ones.
Result<Fd> make_place(int root, std::string_view path, Target kind) {
  Fd at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  while (!path.empty()) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    const std::size_t end = path.find('/');
    const std::string name(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view() : path.substr(end);
    const int made =
        path.empty() && kind == Target::file
            ? ::mknodat(at.get(), name.c_str(), S_IFREG | S_IRUSR | S_IRGRP | S_IROTH, 0)
            : ::mkdirat(at.get(), name.c_str(), kDirectoryMode);
    if (made != 0 && errno != EEXIST && errno != EROFS) return os_error("make " + name, errno);
    TAPER_TRY(at, open_plainly(at.get(), name, O_PATH));
  }
  return at;
}

Status attach(int root, const Fd& mount, const std::string& path, Target kind) {
  TAPER_TRY(const Fd place, make_place(root, path, kind));
  return attach_mount(mount.get(), place.get(), path);
}

Status write_file(int root, const char* path, std::string_view text) {
  const Fd file(::openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!file) return os_error(path, errno);
  return write_all(file.get(), path, as_bytes(text));
}

Status add_host(int root, const HostView& view) {
  for (const auto& [path, target] : view.links) {
    if (::symlinkat(target.c_str(), root, path.c_str() + 1) != 0) {
      return os_error("symlink " + path, errno);
    }
  }
  for (const HostMount& mount : view.mounts) {
    TAPER_CHECK(
        attach(root, mount.mount, mount.path, mount.directory ? Target::directory : Target::file));
  }
  for (const auto& [name, target] : {std::pair{"dev/fd", "/proc/self/fd"},
                                     {"dev/stdin", "/proc/self/fd/0"},
                                     {"dev/stdout", "/proc/self/fd/1"},
                                     {"dev/stderr", "/proc/self/fd/2"}}) {
    if (::symlinkat(target, root, name) != 0) return os_error("symlink", errno);
  }
  const std::string id = std::to_string(limits::kCellInnerId);
  TAPER_CHECK(
      write_file(root, "etc/passwd", "cell:x:" + id + ":" + id + "::/tmp:/usr/sbin/nologin\n"));
  return write_file(root, "etc/group", "cell:x:" + id + ":\n");
}

Result<Fd> private_tmpfs(std::uint64_t bytes, std::uint64_t inodes, const char* mode) {
  return new_filesystem(
      "tmpfs",
      {{"size", std::to_string(bytes)}, {"nr_inodes", std::to_string(inodes)}, {"mode", mode}},
      static_cast<unsigned>(kInert));
}

Status add_scratch(int root) {
  for (const char* path : {"/tmp", "/dev/shm"}) {
    TAPER_TRY(const Fd mount, private_tmpfs(limits::kCellTmpBytes, limits::kCellTmpInodes, "1777"));
    TAPER_CHECK(attach(root, mount, path, Target::directory));
  }
  return success();
}

// The values go from the sealed memory file into files of a file system that only this cell has,
// and that dies with it; they never lie in the memory of a process of ours here.
Status add_secrets(int root, const CellPlan& plan) {
  if (plan.order.secrets.empty()) return success();
  TAPER_TRY(const Fd mount,
            private_tmpfs(limits::kCellSecretBytes, limits::kSecretsMax + 1, "0500"));
  TAPER_CHECK(attach(root, mount, kSecretsFolder, Target::directory));
  off_t from = 0;
  for (const SecretFile& secret : plan.order.secrets) {
    const Fd file(::openat(mount.get(), secret.name.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR));
    if (!file) return os_error("secret " + secret.name, errno);
    if (::sendfile(file.get(), plan.fds.secrets, &from, secret.bytes) != secret.bytes)
      return os_error("secret " + secret.name, errno);
  }
  return set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY);
}

// The kernel refuses a fresh /proc where the host's own is covered in places, as in containers.
// Then the cell has none, which is stricter.
Status add_proc(int root) {
  const int mount = try_new_filesystem("proc", {{"hidepid", "invisible"}, {"subset", "pid"}},
                                       static_cast<unsigned>(MOUNT_ATTR_RDONLY | kInert));
  if (mount == -EPERM) return success();
  if (mount < 0) return os_error("mount proc", -mount);
  return attach(root, Fd(mount), "/proc", Target::directory);
}

Status add_trees(int root, CellPlan& plan) {
  for (std::size_t i = 0; i < plan.trees.size(); ++i) {
    const authority::GrantedTree& tree = plan.order.trees[i];
    TAPER_CHECK(
        attach(root, plan.trees[i], tree.path, tree.directory ? Target::directory : Target::file));
  }
  plan.trees.clear();
  return success();
}

Status copy_whole(int from, int to, std::uint64_t size) {
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < size)
    if (::sendfile(to, from, &at, size - static_cast<std::uint64_t>(at)) <= 0)
      return os_error("sendfile", errno);
  return success();
}

bool lies_in(const std::string& path, const std::string& folder) {
  return path.starts_with(folder + "/");
}

struct Folder {
  std::string path;
  Fd host;
};

// One name of a folder of the host, into `names`, which lies over the folder.
Status add_name(int names, const Folder& folder, const std::string& name, const CellPlan& plan,
                std::vector<Folder>& below) {
  const std::string path = folder.path + "/" + name;
  const Fd host(::openat(folder.host.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat found{};
  if (!host || ::fstat(host.get(), &found) != 0) return os_error("open " + path, errno);
  if (S_ISLNK(found.st_mode)) {
    std::string target(limits::kTextBytesMax, '\0');
    const ssize_t length = ::readlinkat(host.get(), "", target.data(), target.size() - 1);
    const bool made = length >= 0 && ::symlinkat(target.c_str(), names, name.c_str()) == 0;
    return made ? success() : Status(os_error("symlink " + path, errno));
  }
  const bool directory = S_ISDIR(found.st_mode);
  if (!directory && !S_ISREG(found.st_mode)) return success();
  TAPER_TRY(const Fd place, make_place(names, name, directory ? Target::directory : Target::file));
  for (const authority::GrantedTree& entry : plan.order.entry) {
    if (entry.path == path) return success();  // its copy comes here
    if (!directory || !lies_in(entry.path, path)) continue;
    TAPER_TRY(Fd inner, open_plainly(folder.host.get(), name, O_RDONLY | O_DIRECTORY));
    below.push_back({path, std::move(inner)});
    return success();
  }
  TAPER_TRY(const Fd mount, clone_mount(host.get(), path, Depth::with_submounts, 0));
  return attach_mount(mount.get(), place.get(), path);
}

// What is mounted on a name of the host's goes when that name does, so that another file could come
// to its place. The way down to an entry is therefore made of names of the cell's own, behind which
// lies what the folders held.
Status shadow_folders(int root, const CellPlan& plan) {
  std::vector<Folder> folders;
  for (const authority::GrantedTree& tree : plan.order.trees) {
    const bool leads = tree.directory && std::ranges::any_of(plan.order.entry, [&](const auto& e) {
                         return lies_in(e.path, tree.path);
                       });
    if (!leads || std::ranges::any_of(folders, [&](const Folder& folder) {
          return lies_in(tree.path, folder.path);
        }))
      continue;
    TAPER_TRY(Fd host, open_plainly(root, tree.path.substr(1), O_RDONLY | O_DIRECTORY));
    folders.push_back({tree.path, std::move(host)});
  }
  while (!folders.empty()) {
    const Folder folder = std::move(folders.back());
    folders.pop_back();
    TAPER_TRY(const Fd names,
              private_tmpfs(limits::kCellRootBytes, limits::kCellRootInodes, "0555"));
    TAPER_CHECK(attach(root, names, folder.path, Target::directory));
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(
        ::fdopendir(::fcntl(folder.host.get(), F_DUPFD_CLOEXEC, 0)), ::closedir);
    if (!listing) return os_error("list " + folder.path, errno);
    while (const dirent* one = ::readdir(listing.get())) {
      const std::string name = one->d_name;
      if (name == "." || name == "..") continue;
      TAPER_CHECK(add_name(names.get(), folder, name, plan, folders));
    }
    TAPER_CHECK(set_mount_attributes(names.get(), MOUNT_ATTR_RDONLY));
  }
  return success();
}

// At an entry's path stands a copy, in a file system that only this cell has, of the sealed bytes
// that were hashed: what is done to the host's file from then on does not reach it.
Status add_entry(int root, const CellPlan& plan) {
  if (plan.fds.entry.empty()) return success();
  TAPER_CHECK(shadow_folders(root, plan));
  constexpr std::uint64_t kPage = 4096;
  std::vector<std::uint64_t> sizes;
  std::uint64_t room = kPage;
  for (const int copy : plan.fds.entry) {
    struct stat found{};
    if (::fstat(copy, &found) != 0) return os_error("fstat entry", errno);
    sizes.push_back(static_cast<std::uint64_t>(found.st_size));
    room += (sizes.back() / kPage + 1) * kPage;
  }
  TAPER_TRY(const Fd all, new_filesystem("tmpfs",
                                         {{"size", std::to_string(room)},
                                          {"nr_inodes", std::to_string(sizes.size() + 1)},
                                          {"mode", "0555"}},
                                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  TAPER_CHECK(attach(root, all, kEntryFolder, Target::directory));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const authority::GrantedTree& entry = plan.order.entry[i];
    const std::string name = std::to_string(i);
    const Fd file(::openat(all.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555));
    if (!file) return os_error("entry " + entry.path, errno);
    TAPER_CHECK(copy_whole(plan.fds.entry[i], file.get(), sizes[i]));
    const std::uint64_t may_run = entry.program ? 0U : MOUNT_ATTR_NOEXEC;
    TAPER_TRY(const Fd copy,
              clone_mount(file.get(), entry.path, Depth::this_mount,
                          MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | may_run));
    TAPER_CHECK(attach(root, copy, entry.path, Target::file));
  }
  return set_mount_attributes(all.get(), MOUNT_ATTR_RDONLY);
}

struct OpenRules {
  std::vector<Fd> fds;
  std::vector<LandlockRule> rules;
};

enum class Absent : std::uint8_t { error, no_rule };

Status add_rule(OpenRules& out, const std::string& path, LandlockAccess access, Absent absent) {
  Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd && absent == Absent::no_rule && errno == ENOENT) return success();
  if (!fd) return os_error("open " + path, errno);
  out.rules.push_back({fd.get(), access});
  out.fds.push_back(std::move(fd));
  return success();
}

Status add_command_rules(OpenRules& out) {
  for (const char* path : {"/usr", "/etc"}) {
    TAPER_CHECK(add_rule(out, path, LandlockAccess::read_tree, Absent::error));
  }
  for (const char* path : kProgramDirectories) {
    TAPER_CHECK(add_rule(out, path, LandlockAccess::read_tree, Absent::no_rule));
  }
  TAPER_CHECK(add_rule(out, "/proc", LandlockAccess::read_tree, Absent::no_rule));
  // The program itself is a memory file, so the loader is all that may be executed by path.
  TAPER_CHECK(add_rule(out, kLoader, LandlockAccess::execute_file, Absent::no_rule));
  for (const char* path : kDevices) {
    TAPER_CHECK(add_rule(out, path, LandlockAccess::device, Absent::error));
  }
  TAPER_CHECK(add_rule(out, "/tmp", LandlockAccess::write_tree, Absent::error));
  return add_rule(out, "/dev/shm", LandlockAccess::write_tree, Absent::error);
}

LandlockAccess access_of(const authority::GrantedTree& tree) {
  using enum LandlockAccess;
  if (tree.program) return tree.directory ? program_tree : execute_file;
  if (tree.writable) return tree.directory ? write_tree : write_file;
  return tree.directory ? read_tree : read_file;
}

}  // namespace

Status open_trees(CellPlan& plan) {
  if (plan.starter == Starter::root) return success();
  for (const authority::GrantedTree& tree : plan.order.trees) {
    TAPER_TRY(Fd mount, open_tree_source(tree, nullptr));
    plan.trees.push_back(std::move(mount));
  }
  return success();
}

Status build_root(CellPlan& plan) {
  const bool command = plan.order.kind != authority::ToolKind::builtin;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return os_error("mount private", errno);
  }
  HostView host;
  if (command) {
    TAPER_TRY(host, open_host());
  }
  TAPER_TRY(Fd root, private_tmpfs(limits::kCellRootBytes, limits::kCellRootInodes, "0755"));
  const Fd over(::open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!over) return os_error("open /tmp", errno);
  TAPER_CHECK(attach_mount(root.get(), over.get(), "root"));
  if (command) {
    TAPER_CHECK(add_host(root.get(), host));
    TAPER_CHECK(add_scratch(root.get()));
    TAPER_CHECK(add_secrets(root.get(), plan));
    TAPER_CHECK(add_proc(root.get()));
  }
  TAPER_CHECK(add_trees(root.get(), plan));
  TAPER_CHECK(add_entry(root.get(), plan));
  TAPER_CHECK(set_mount_attributes(root.get(), MOUNT_ATTR_RDONLY));
  plan.root = std::move(root);
  return success();
}

Status enter_root(CellPlan& plan) {
  if (::fchdir(plan.root.get()) != 0) return os_error("fchdir", errno);
  plan.root.reset();
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return os_error("pivot_root", errno);
  if (::umount2(".", MNT_DETACH) != 0) return os_error("umount", errno);
  if (::chdir("/") != 0) return os_error("chdir", errno);
  return success();
}

Status bind_landlock(CellPlan& plan) {
  OpenRules open;
  if (plan.order.kind != authority::ToolKind::builtin) TAPER_CHECK(add_command_rules(open));
  if (!plan.order.secrets.empty())
    TAPER_CHECK(add_rule(open, kSecretsFolder, LandlockAccess::read_tree, Absent::error));
  for (const auto* trees : {&plan.order.trees, &plan.order.entry})
    for (const authority::GrantedTree& tree : *trees)
      TAPER_CHECK(add_rule(open, tree.path, access_of(tree), Absent::error));
  return restrict_landlock(open.rules);
}

}  // namespace taper::sandbox
