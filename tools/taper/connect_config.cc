#include "tools/taper/connect_config.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
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
constexpr int kLockTries = 250;
constexpr int kLockPauseMs = 20;

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

// Two that edit one file at a time would each take the other's entry out again: whoever changes a
// configuration holds its folder. A lock on the file itself would go with the file.
Result<Fd> hold_folder(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  Fd held(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!held) return os_error("open " + folder, errno);
  for (int tries = 0; ::flock(held.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno != EWOULDBLOCK && errno != EINTR) return os_error("flock " + folder, errno);
    if (tries == kLockTries) return unfit(path, "a folder that nobody holds", "one that is held");
    ::poll(nullptr, 0, kLockPauseMs);
  }
  return held;
}

// Whoever holds nothing, such as the client itself, may have written meanwhile.
Status put(const Present& present, const std::string& text, std::string& backup) {
  if (!present.exists) return create_file(present.path, as_bytes(text), present.mode);
  TAPER_TRY(backup, back_up(present));
  TAPER_TRY(const Present now, look(present.path));
  if (now.text != present.text)
    return unfit(present.path, "a file that nobody else changes", "another's change just now");
  return replace_file(present.path, as_bytes(text), present.mode);
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
  TAPER_TRY(Present present, look(path));
  if (!present.exists) TAPER_CHECK(make_folder(path));
  TAPER_TRY(const Fd held, hold_folder(present.path));
  TAPER_TRY(present, look(path));
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
  TAPER_CHECK(put(present, **text, backup));
  if (!backup.empty()) out.set("backup", text_value(backup));
  out.line("wrote " + escape_text(present.path) +
           (backup.empty() ? "" : "; as it was before: " + escape_text(backup)));
  out.line("then: " + std::string(client.hint));
  return success();
}

}  // namespace taper::tools
