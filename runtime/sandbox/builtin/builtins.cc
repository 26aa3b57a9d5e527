#include "runtime/sandbox/builtin/builtins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::sandbox {
namespace {

Error input_error(std::string_view name, std::string expected) {
  return Error(Code::tool_input,
               {.field = std::string(name), .expected = std::move(expected), .got = "", .fix = ""});
}

template <class T>
const T* find_input(const BuiltinRequest& request, std::string_view name) {
  for (const authority::InputValue& input : request.inputs) {
    if (input.name == name) return std::get_if<T>(&input.value);
  }
  return nullptr;
}

// Absolute, no NUL, no empty, "." or ".." part, no slash at the end.
bool is_plain_path(std::string_view path) {
  if (path.size() < 2 || path.front() != '/' || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

Result<std::string> path_of(const BuiltinRequest& request) {
  const std::string* path = find_input<std::string>(request, "path");
  if (path == nullptr || !is_plain_path(*path)) return input_error("path", "a plain absolute path");
  return *path;
}

Result<std::int64_t> number_of(const BuiltinRequest& request, std::string_view name,
                               std::int64_t least, std::int64_t fallback, std::int64_t most) {
  const bool given =
      std::any_of(request.inputs.begin(), request.inputs.end(),
                  [name](const authority::InputValue& input) { return input.name == name; });
  if (!given) return fallback;
  const std::int64_t* value = find_input<std::int64_t>(request, name);
  if (value == nullptr || *value < least || *value > most) {
    return input_error(name, std::to_string(least) + " to " + std::to_string(most));
  }
  return *value;
}

std::string type_name(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISLNK(mode)) return "symlink";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  return S_ISBLK(mode) || S_ISCHR(mode) ? "device" : "unknown";
}

Result<BuiltinResult> read_file_range(const GrantedTrees& trees, const BuiltinRequest& request) {
  TAPER_TRY(const std::string path, path_of(request));
  TAPER_TRY(const std::int64_t offset, number_of(request, "offset", 0, 0, INT64_MAX));
  TAPER_TRY(const std::int64_t most,
            number_of(request, "max_bytes", 1, limits::kReadBytesDefault, limits::kReadBytesMax));
  TAPER_TRY(const Fd file, trees.open(path, O_RDONLY | O_NOFOLLOW));
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return tool_failure(path, errno);
  if (!S_ISREG(facts.st_mode)) return tool_failure(path, "not a regular file");
  std::string content(
      static_cast<std::size_t>(std::clamp<std::int64_t>(facts.st_size - offset, 0, most)), '\0');
  std::size_t have = 0;
  while (have < content.size()) {
    const ssize_t count = ::pread(file.get(), content.data() + have, content.size() - have,
                                  offset + static_cast<std::int64_t>(have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tool_failure(path, errno);
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  content.resize(have);
  const auto bytes = static_cast<std::int64_t>(have);
  BuiltinResult result;
  result.fields = {{"content", std::move(content)},
                   {"size", std::int64_t{facts.st_size}},
                   {"offset", offset},
                   {"bytes", bytes},
                   {"eof", offset >= facts.st_size - bytes}};
  return result;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// The first `most` names in byte order, however many there are; `truncated` when there were more.
Status read_names(DIR* directory, std::size_t most, std::set<std::string>& names, bool& truncated) {
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    names.emplace(name);
    if (names.size() > most) {
      names.erase(std::prev(names.end()));
      truncated = true;
    }
  }
  return errno == 0 ? success() : Status(tool_failure("", errno));
}

Result<BuiltinResult> list_directory(const GrantedTrees& trees, const BuiltinRequest& request) {
  TAPER_TRY(const std::string path, path_of(request));
  TAPER_TRY(
      const std::int64_t most,
      number_of(request, "max_entries", 1, limits::kListEntriesDefault, limits::kListEntriesMax));
  TAPER_TRY(Fd opened, trees.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const Directory directory(::fdopendir(opened.get()));
  if (!directory) return tool_failure(path, errno);
  const int fd = opened.release();
  std::set<std::string> names;
  bool truncated = false;
  if (const Status read =
          read_names(directory.get(), static_cast<std::size_t>(most), names, truncated);
      !read.ok()) {
    return tool_failure(path, read.error().detail().got);
  }
  BuiltinResult result;
  result.rows_name = "entries";
  for (const std::string& name : names) {
    struct stat facts{};
    if (::fstatat(fd, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since it was listed
      return tool_failure(path + "/" + name, errno);
    }
    result.rows.push_back({{"name", name},
                           {"path", path + "/" + name},
                           {"type", type_name(facts.st_mode)},
                           {"size", std::int64_t{facts.st_size}}});
  }
  result.fields = {{"truncated", truncated}};
  return result;
}

Result<BuiltinResult> stat_path(const GrantedTrees& trees, const BuiltinRequest& request) {
  TAPER_TRY(const std::string path, path_of(request));
  TAPER_TRY(const Fd file, trees.open(path, O_PATH | O_NOFOLLOW));
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return tool_failure(path, errno);
  BuiltinResult result;
  result.fields = {{"type", type_name(facts.st_mode)},
                   {"size", std::int64_t{facts.st_size}},
                   {"mode", static_cast<std::int64_t>(facts.st_mode & 07777)},
                   {"modified_s", std::int64_t{facts.st_mtim.tv_sec}}};
  return result;
}

Result<Bytes> content_of(const BuiltinRequest& request) {
  const std::string* content = find_input<std::string>(request, "content");
  if (content == nullptr) return input_error("content", "text");
  const std::string* encoding = find_input<std::string>(request, "encoding");
  if (encoding == nullptr || *encoding == "text") return to_bytes(as_bytes(*content));
  if (*encoding != "base64") return input_error("encoding", "text or base64");
  std::optional<Bytes> decoded = from_base64(*content);
  if (!decoded) return input_error("content", "base64 (RFC 4648, padded)");
  return *std::move(decoded);
}

Result<BuiltinResult> write_tool(const GrantedTrees& trees, const BuiltinRequest& request) {
  TAPER_TRY(const std::string path, path_of(request));
  if (!request.writes) return tool_failure(path, "the permit does not allow writing");
  TAPER_TRY(const Bytes content, content_of(request));
  return request.tool == "file.write" ? write_file_atomically(trees, path, content)
                                      : append_to_file(trees, path, content);
}

Result<BuiltinResult> tell_time() {
  const std::int64_t now_s = wall_clock_s();
  BuiltinResult result;
  result.fields = {{"unix_s", now_s}, {"utc", format_utc_s(now_s)}};
  return result;
}

}  // namespace

Result<BuiltinResult> run_builtin(const GrantedTrees& trees, const BuiltinRequest& request) {
  if (request.tool == "file.read") return read_file_range(trees, request);
  if (request.tool == "file.list") return list_directory(trees, request);
  if (request.tool == "file.stat") return stat_path(trees, request);
  if (request.tool == "file.write" || request.tool == "file.append") {
    return write_tool(trees, request);
  }
  if (request.tool == "time.now") return tell_time();
  return input_error("tool", "a builtin tool");
}

}  // namespace taper::sandbox
