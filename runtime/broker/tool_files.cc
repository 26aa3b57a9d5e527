#include "runtime/broker/tool_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

constexpr std::string_view kSuffix = ".toml";
constexpr const char* kHostDirectory = "/etc/taper/tools.d";

Error wrong(const std::string& file, std::string_view expected, std::string_view got = "") {
  return Error(
      Code::tool_file_malformed,
      {.field = file, .expected = std::string(expected), .got = std::string(got), .fix = {}});
}

// The same error, naming the file it is about.
Error in_file(const std::string& file, const Error& error) {
  ErrorDetail detail = error.detail();
  detail.field = detail.field.empty() ? file : file + ": " + detail.field;
  return Error(error.code(), std::move(detail));
}

// A host that is short of descriptors says nothing about the file.
Error not_opened(const std::string& path, std::string_view expected, int error_number) {
  constexpr std::array kAboutTheFile{ENOENT, ENOTDIR, ELOOP, EACCES, EPERM, ENXIO};
  if (std::ranges::find(kAboutTheFile, error_number) != kAboutTheFile.end())
    return wrong(path, expected);
  return os_error("open " + path, error_number);
}

Status check_owner(const std::string& path, int fd, mode_t kind) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return os_error("stat " + path, errno);
  if ((facts.st_mode & S_IFMT) != kind)
    return wrong(path, kind == S_IFDIR ? "a directory" : "a regular file");
  if (facts.st_uid != 0 && facts.st_uid != ::geteuid())
    return wrong(path, "owned by root or by the node's user",
                 "uid " + std::to_string(facts.st_uid));
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) return wrong(path, "writable by its owner alone");
  return success();
}

// Empty when there is no such file.
Result<std::optional<std::string>> read_tool_file(const std::string& directory,
                                                  const std::string& name) {
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return not_opened(directory, "a directory that can be read", errno);
  TAPER_CHECK(check_owner(directory, folder.get(), S_IFDIR));
  const std::string path = directory + "/" + name + std::string(kSuffix);
  const Fd file(::openat(folder.get(), (name + std::string(kSuffix)).c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::optional<std::string>();
  if (!file) return not_opened(path, "a regular file that can be read", errno);
  TAPER_CHECK(check_owner(path, file.get(), S_IFREG));
  const Result<Bytes> bytes = read_fd(file.get(), path, limits::kToolFileBytesMax);
  if (bytes.code() == Code::too_large)
    return wrong(path, bytes.error().detail().expected, bytes.error().detail().got);
  if (!bytes.ok()) return Error(Code::os_failure, bytes.error().detail());
  return std::optional<std::string>(as_text(*bytes));
}

Status add_names(const std::string& directory, std::set<std::string>& names) {
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return not_opened(directory, "a directory that can be read", errno);
  Status status = success();
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view file = entry->d_name;
    if (file.front() == '.' || !file.ends_with(kSuffix)) continue;
    const std::string_view name = file.substr(0, file.size() - kSuffix.size());
    if (!is_tool_name(name)) {
      status = wrong(directory + "/" + std::string(file), "a file name that is a tool name");
      break;
    }
    names.emplace(name);
    if (names.size() > limits::kToolFilesMax) {
      status = wrong(directory, "at most " + std::to_string(limits::kToolFilesMax) + " tools");
      break;
    }
  }
  ::closedir(listing);
  return status;
}

Result<LoadedTool> load_file(const std::string& path, const std::string& name,
                             std::string_view text) {
  if (authority::builtin_tools().contains(name))
    return wrong(path, "a name that is not a builtin's", name);
  Result<authority::Tool> parsed = parse_tool(name, text);
  if (!parsed.ok()) return in_file(path, parsed.error());
  Result<sandbox::Program> program = sandbox::Program::load(parsed->argv.front().literal);
  if (!program.ok()) return in_file(path, program.error());
  LoadedTool loaded{.tool = std::move(parsed).value(), .program = std::move(program).value()};
  loaded.tool.program = loaded.program.hash();
  authority::define_tool(loaded.tool);
  return loaded;
}

}  // namespace

bool is_tool_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.empty() || name.size() > limits::kNameBytesMax || !letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

std::vector<std::string> tool_directories(const std::string& state) {
  std::vector<std::string> directories;
  for (const std::string& candidate : {state + "/tools.d", std::string(kHostDirectory)})
    if (::access(candidate.c_str(), F_OK) == 0) directories.push_back(candidate);
  return directories;
}

Result<std::optional<LoadedTool>> load_tool(const std::vector<std::string>& directories,
                                            const std::string& name) {
  if (!is_tool_name(name)) return std::optional<LoadedTool>();
  for (const std::string& directory : directories) {
    TAPER_TRY(const std::optional<std::string> text, read_tool_file(directory, name));
    if (!text) continue;
    const std::string path = directory + "/" + name + std::string(kSuffix);
    TAPER_TRY(LoadedTool loaded, load_file(path, name, *text));
    return std::optional<LoadedTool>(std::move(loaded));
  }
  return std::optional<LoadedTool>();
}

Result<std::vector<std::string>> tool_names(const std::vector<std::string>& directories) {
  std::set<std::string> names;
  for (const std::string& directory : directories) TAPER_CHECK(add_names(directory, names));
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace taper::broker
