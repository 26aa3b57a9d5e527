#include "store/results.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::store {
namespace {

namespace fs = std::filesystem;

Status make_directory(const std::string& path, const std::string& parent) {
  if (::mkdir(path.c_str(), S_IRWXU) == 0) return sync_directory(parent);
  return errno == EEXIST ? success() : os_error("make " + path, errno);
}

// Nobody named the file on a command line: that it cannot be had is the host's failure.
Status of_host(Status status) {
  if (status.code() != Code::file_unreadable && status.code() != Code::file_missing) return status;
  return Error(Code::store_failure, status.error().detail());
}

}  // namespace

ResultFiles::ResultFiles(std::string state_directory) : directory_(std::move(state_directory)) {}

Status ResultFiles::write(const TaskId& task, const CallId& call, ByteSpan bytes) {
  if (bytes.size() > limits::kResultBytesMax) {
    return Error(Code::too_large, {"result", std::to_string(limits::kResultBytesMax),
                                   std::to_string(bytes.size()), ""});
  }
  const std::string results = directory_ + "/results";
  const std::string folder = results + "/" + task.hex();
  TAPER_CHECK(make_directory(results, directory_));
  TAPER_CHECK(make_directory(folder, results));
  return of_host(replace_file(folder + "/" + call.hex(), bytes, S_IRUSR | S_IWUSR));
}

Result<Bytes> ResultFiles::read(const TaskId& task, const CallId& call, const Hash& known) const {
  const std::string path = directory_ + "/results/" + task.hex() + "/" + call.hex();
  const Error changed(Code::store_corrupt, {path, "the result that was committed", "another", ""});
  const Fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file && errno == ENOENT) return Error(Code::result_missing, {path, "", "", ""});
  if (!file && errno != ELOOP) return os_error("open " + path, errno);
  struct stat facts{};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return changed;
  Result<Bytes> bytes = read_fd(file.get(), path, limits::kResultBytesMax);
  if (bytes.ok() ? crypto::hash(*bytes) == known : bytes.code() != Code::too_large) return bytes;
  return changed;
}

Status ResultFiles::erase(const TaskId& task, const CallId& call) {
  const std::string folder = directory_ + "/results/" + task.hex();
  std::error_code error;
  if (!fs::remove(folder + "/" + call.hex(), error)) {
    return error ? os_error("erase a result of " + task.hex(), error.value()) : success();
  }
  return sync_directory(folder);
}

Status ResultFiles::erase_task(const TaskId& task) {
  const std::string results = directory_ + "/results";
  std::error_code error;
  if (fs::remove_all(results + "/" + task.hex(), error) == 0) return success();
  if (error) return os_error("erase results of " + task.hex(), error.value());
  return sync_directory(results);
}

Status ResultFiles::erase_all_but(const std::vector<TaskId>& kept) {
  std::error_code error;
  fs::directory_iterator entry(directory_ + "/results", error);
  if (error == std::errc::no_such_file_or_directory) return success();
  std::vector<TaskId> gone;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const auto task = TaskId::from_hex(entry->path().filename().string());
    if (task && std::find(kept.begin(), kept.end(), *task) == kept.end()) gone.push_back(*task);
  }
  if (error) return os_error("list results", error.value());
  for (const TaskId& task : gone) TAPER_CHECK(erase_task(task));
  return success();
}

}  // namespace taper::store
