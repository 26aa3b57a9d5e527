#include "tools/taper/written_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "crypto/key_text.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFrontBytes = 64;

struct KindOfFile {
  FileKind kind;
  std::string_view words;                  // empty: none is replaced
  std::array<std::string_view, 3> fronts;  // an empty one is none
};
constexpr KindOfFile kKinds[] = {
    {FileKind::capsule, "an earlier capsule", {"TPC1", "-----BEGIN TAPER CAPSULE-----"}},
    {FileKind::request,
     "an earlier signing request",
     {"TPQ1", "-----BEGIN TAPER SIGNING REQUEST-----"}},
    {FileKind::signature, "an earlier signature", {"TPS1", "-----BEGIN TAPER SIGNATURE-----"}},
    {FileKind::to_be_signed, "earlier bytes to be signed", {"DSSEv1 ", "DSSEv1 "}},
    {FileKind::root, "an earlier trust root", {"TPR1", "-----BEGIN TAPER TRUST ROOT-----"}},
    {FileKind::next_root, "", {}},
    {FileKind::log, "an earlier exported log", {"TPA1", "TPA2", "TPA3"}},
    {FileKind::note, "an earlier note of a witness", {"taper/", "taper/"}},
    {FileKind::receipt, "an earlier receipt", {"TPX1", "TPX1"}},
    {FileKind::time, "an earlier signed time", {"TPT1", "-----BEGIN TAPER TIME-----"}},
    {FileKind::order, "an earlier order", {"TPO1", "-----BEGIN TAPER ORDER-----"}},
    {FileKind::time_challenge,
     "an earlier challenge",
     {"TPH1", "-----BEGIN TAPER TIME CHALLENGE-----"}},
    {FileKind::release, "an earlier release", {"TPL1", "-----BEGIN TAPER RELEASE-----"}},
};

// What somebody would miss, for the message; the kinds above decide.
constexpr std::pair<std::string_view, std::string_view> kMissed[] = {
    {"taper-secret-key ", "a secret key"},
    {"taper-public-key ", "a public key"},
    {"taper-node ", "a node's record"},
    {"-----BEGIN OPENSSH PRIVATE KEY", "a secret key of OpenSSH"},
};

bool begins(std::string_view bytes, std::string_view front) {
  return !front.empty() && bytes.starts_with(front);
}

const KindOfFile& kind_of(FileKind kind) {
  return *std::ranges::find(kKinds, kind, &KindOfFile::kind);
}

std::string named_kind(std::string_view front) {
  for (const auto& [begin, words] : kMissed) {
    if (front.starts_with(begin)) return std::string(words);
  }
  constexpr std::string_view kLmdbMagic = "\xDE\xC0\xEF\xBE";  // behind the page's header
  constexpr std::size_t kLmdbHeader = 16;
  if (front.size() > kLmdbHeader && front.substr(kLmdbHeader).starts_with(kLmdbMagic))
    return "a database of LMDB";
  for (const KindOfFile& known : kKinds) {
    const bool is = std::ranges::any_of(
        known.fronts, [front](std::string_view begin) { return begins(front, begin); });
    if (is) return std::string(known.words);
  }
  return "a file of another kind";
}

// The node's state that the path lies in; empty: none.
std::string state_around(const fs::path& path) {
  std::error_code ignored;
  for (fs::path at = path.parent_path(); !at.empty(); at = at.parent_path()) {
    if (fs::exists(at / "data.mdb", ignored) && fs::exists(at / "node.pub", ignored))
      return at.string();
    if (at == at.parent_path()) break;
  }
  return "";
}

bool same_file(const std::string& one, const struct stat& other) {
  struct stat found{};
  return ::stat(one.c_str(), &found) == 0 && found.st_dev == other.st_dev &&
         found.st_ino == other.st_ino;
}

// What stands there and may not go; empty: nothing that matters.
std::string in_the_way(const WrittenFile& file, const struct stat& found,
                       const std::vector<std::string>& inputs) {
  if (S_ISLNK(found.st_mode)) return "a symbolic link";
  if (S_ISDIR(found.st_mode)) return "a directory";
  if (!S_ISREG(found.st_mode)) return "a device, pipe or socket";
  for (const std::string& input : inputs) {
    if (same_file(input, found)) return "the file that the command reads as " + input;
  }
  if (found.st_size == 0) return "";
  Result<Fd> open = open_input(file.path);
  std::array<char, kFrontBytes> bytes{};
  const ssize_t size = open.ok() ? ::pread(open->get(), bytes.data(), bytes.size(), 0) : -1;
  if (size < 0) return "a file that cannot be looked at";
  const std::string_view front(bytes.data(), static_cast<std::size_t>(size));
  const bool replaces = std::ranges::any_of(
      kind_of(file.kind).fronts, [front](std::string_view begin) { return begins(front, begin); });
  return replaces ? "" : named_kind(front);
}

Status check_one(const WrittenFile& file, const fs::path& real,
                 const std::vector<std::string>& inputs) {
  struct stat found{};
  const bool exists = ::lstat(file.path.c_str(), &found) == 0;
  if (!exists && errno != ENOENT) return os_error("stat " + file.path, errno);
  std::string got = exists ? in_the_way(file, found, inputs) : "";
  if (const std::string state = state_around(real); !state.empty())
    got = (got.empty() ? "a place" : got) + " in the node's state " + state;
  if (got.empty()) return success();
  const std::string_view replaced = kind_of(file.kind).words;
  return Error(
      exists ? Code::file_exists : Code::usage,
      {.field = file.option,
       .expected = replaced.empty() ? "a new file or an empty one"
                                    : "a new file, an empty one, or " + std::string(replaced),
       .got = file.path + ", " + got,
       .fix = "name another file; nothing was changed"});
}

}  // namespace

Status check_written(const std::vector<WrittenFile>& files,
                     const std::vector<std::string>& inputs) {
  std::vector<fs::path> seen;
  for (const WrittenFile& file : files) {
    std::error_code ignored;
    const fs::path given(file.path);
    const fs::path folder = given.has_parent_path() ? given.parent_path() : fs::path(".");
    const fs::path real = fs::weakly_canonical(folder, ignored) / given.filename();
    TAPER_CHECK(check_one(file, real, inputs));
    if (std::ranges::find(seen, real) != seen.end())
      return Error(Code::usage, {.field = file.option,
                                 .expected = "a file of its own",
                                 .got = file.path + ", which another option names",
                                 .fix = ""});
    seen.push_back(real);
  }
  return success();
}

}  // namespace taper::tools
