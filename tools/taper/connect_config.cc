#include "tools/taper/connect_config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kPrivateMode = 0600;
constexpr mode_t kPrivateFolderMode = 0700;
constexpr int kBackupsMax = 100;

Error unfit(const std::string& file, std::string expected, std::string got) {
  return Error(Code::usage, {.field = file,
                             .expected = std::move(expected),
                             .got = std::move(got),
                             .fix = "name another file with --config, or paste the entry into it "
                                    "by hand; nothing was changed"});
}

Result<std::string> own_file(const Client& client) {
  if (client.place == Client::Place::project) return std::string(client.file);
  const char* home = std::getenv("HOME");
  const char* codex = std::getenv("CODEX_HOME");
  if (client.format == Client::Format::toml && codex != nullptr && *codex != '\0')
    return std::string(codex) + "/config.toml";
  if (home == nullptr || *home == '\0')
    return unfit("HOME", "a home directory", "none; name the file with --config");
  return std::string(home) + "/" + std::string(client.file);
}

// What is there, and how it may be replaced.
struct Present {
  std::string path;  // of the file itself, behind links
  std::string text;
  unsigned mode = kPrivateMode;
  bool exists = false;
};

Result<Present> look(const std::string& given) {
  Present present{.path = given, .text = ""};
  struct stat found{};
  if (::stat(given.c_str(), &found) != 0) {
    if (errno != ENOENT) return os_error("stat " + given, errno);
    if (::lstat(given.c_str(), &found) == 0)
      return unfit(given, "a regular file, or none", "a link that leads nowhere");
    return present;
  }
  if (!S_ISREG(found.st_mode)) return unfit(given, "a regular file, or none", "something else");
  if (found.st_uid != ::geteuid()) return unfit(given, "a file of this user", "another's");
  std::error_code error;
  present.path = fs::canonical(given, error).string();
  if (error) return os_error(given, error.value());
  TAPER_TRY(const Bytes bytes, read_file(present.path, limits::kClientConfigBytesMax));
  present.text = as_text(bytes);
  present.mode = found.st_mode & 0777U;
  present.exists = true;
  return present;
}

Result<std::string> back_up(const Present& present) {
  for (int i = 0; i < kBackupsMax; ++i) {
    const std::string path =
        present.path + ".before-taper" + (i == 0 ? "" : "-" + std::to_string(i));
    const Status made = create_file(path, as_bytes(present.text), present.mode);
    if (made.ok()) return path;
    if (made.code() != Code::file_exists) return Error(made.error());
  }
  return unfit(present.path, "room for one more copy beside it", "a hundred copies");
}

Status make_folder(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  if (folder.empty() || ::mkdir(folder.c_str(), kPrivateFolderMode) == 0 || errno == EEXIST)
    return success();
  return os_error("mkdir " + folder.string(), errno);
}

}  // namespace

Status print_config(const Client& client, const Entry& entry, Output& out) {
  const std::string text = snippet(client, entry);
  out.set("client", client.name);
  out.set("config", text_value(client.file));
  out.set("entry", text_value(text));
  out.line(text.substr(0, text.size() - 1));
  const std::string where = client.place == Client::Place::home ? "~/" : "";
  out.note("for " + where + std::string(client.file) +
           " (--write puts it there); then: " + std::string(client.hint));
  return success();
}

Status write_config(const Client& client, const Entry& entry, const std::string& file,
                    Output& out) {
  std::string path = file;
  if (path.empty()) {
    TAPER_TRY(path, own_file(client));
  }
  TAPER_TRY(const Present present, look(path));
  Result<std::optional<std::string>> text = merged(client, entry, present.text);
  if (!text.ok()) {
    out.note(snippet(client, entry));
    ErrorDetail detail = text.error().detail();
    detail.field = path;
    return Error(text.code(), std::move(detail));
  }
  out.set("client", client.name);
  out.set("config", text_value(present.path));
  out.set("changed", text->has_value());
  if (!*text) {
    out.line(escape_text(present.path) + " has it already");
    return success();
  }
  std::string backup;
  if (present.exists) {
    TAPER_TRY(backup, back_up(present));
    out.set("backup", text_value(backup));
  } else {
    TAPER_CHECK(make_folder(present.path));
  }
  TAPER_CHECK(replace_file(present.path, as_bytes(**text), present.mode));
  out.line("wrote " + escape_text(present.path) +
           (backup.empty() ? "" : "; as it was before: " + escape_text(backup)));
  out.line("then: " + std::string(client.hint));
  return success();
}

}  // namespace taper::tools
