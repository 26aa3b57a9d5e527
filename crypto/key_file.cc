#include "crypto/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crypto/crypto.h"
#include "crypto/key_text.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::crypto {
namespace {

Error exposed(const std::string& path, std::string got) {
  return Error(Code::key_file_exposed, {path, "", std::move(got), ""});
}

Error with_path(const Error& error, const std::string& path) {
  ErrorDetail detail = error.detail();
  if (detail.field.empty()) detail.field = path;
  return Error(error.code(), std::move(detail));
}

Status check_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  struct stat info{};
  if (::stat(parent.c_str(), &info) != 0) return os_error("stat " + parent, errno);
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0) {
    return exposed(path, "a directory that everyone may write");
  }
  return success();
}

// A public key file lies open by design; the caller meant its other half.
bool is_public_key_file(int fd) {
  std::array<char, kPublicTitle.size()> front{};
  return ::pread(fd, front.data(), front.size(), 0) == static_cast<ssize_t>(front.size()) &&
         std::string_view(front.data(), front.size()) == kPublicTitle;
}

Status check_owner(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return os_error("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return exposed(path, "not a regular file");
  if (info.st_uid != ::geteuid()) return exposed(path, "a file of another user");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return exposed(path, "a file open to its group or to others");
  }
  if (info.st_nlink != 1) return exposed(path, "a file with more than one link");
  return success();
}

Result<SecretKeyText> parse_at(const Secret& text, const std::string& path) {
  Result<SecretKeyText> fields = parse_secret_key_text(as_text(text.bytes()));
  if (!fields.ok()) return with_path(fields.error(), path);
  return fields;
}

Error role_differs(const std::string& path, Role expected, Role got) {
  return Error(Code::key_role,
               {path, std::string(role_name(expected)), std::string(role_name(got)), ""});
}

}  // namespace

Result<Secret> read_secret_file(const std::string& path, std::size_t bytes_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) {
    if (errno == ELOOP) return exposed(path, "a symbolic link");
    return Error(errno == ENOENT ? Code::file_missing : Code::file_unreadable,
                 {path, "", std::strerror(errno), ""});
  }
  if (is_public_key_file(file.get()))
    return with_path(malformed_key_file("a public key, F.pub, where the secret F.key is needed"),
                     path);
  TAPER_CHECK(check_owner(file.get(), path));
  TAPER_CHECK(check_directory_of(path));
  Secret text(bytes_max + 1);
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.bytes().data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error(Code::file_unreadable, {path, "", std::strerror(errno), ""});
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  return Secret::copy_of(text.bytes().first(size));
}

Status write_key_pair(const std::string& secret_path, const std::string& public_path, Role role,
                      const SigningKey& key, const Passphrase& passphrase,
                      std::uint64_t kdf_mem_bytes) {
  for (const std::string& path : {secret_path, public_path}) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0) return Error(Code::file_exists, {path, "", "", ""});
  }
  SecretKeyText fields{.role = role, .key = key.public_key(), .kdf = std::nullopt, .seed_line = ""};
  if (passphrase.text) {
    if (passphrase.text->empty()) {
      return Error(Code::passphrase_needed, {secret_path, "", "an empty passphrase", ""});
    }
    fields.kdf =
        Kdf{.ops = crypto_pwhash_OPSLIMIT_MODERATE,
            .mem_bytes = kdf_mem_bytes == 0 ? crypto_pwhash_MEMLIMIT_MODERATE : kdf_mem_bytes,
            .salt = {}};
    random_bytes(fields.kdf->salt);
  }
  TAPER_TRY(Bytes box, close_seed(fields, key, passphrase.text.value_or("")));
  std::string hex = to_hex(box);
  std::string text = header_text(fields) + "seed: " + hex + "\n";
  const Status written = create_file(secret_path, as_bytes(text), S_IRUSR | S_IWUSR);
  wipe(box);
  wipe({reinterpret_cast<std::uint8_t*>(hex.data()), hex.size()});
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!written.ok()) return Error(written.error());
  const std::string public_text = public_key_file_text({role, key.public_key()});
  Status published = create_file(public_path, as_bytes(public_text), 0644);
  if (!published.ok()) ::unlink(secret_path.c_str());
  return published;
}

Result<KeyFileInfo> inspect_key_file(const std::string& path) {
  TAPER_TRY(const Secret text, read_secret_file(path, limits::kKeyFileBytesMax));
  TAPER_TRY(const SecretKeyText fields, parse_at(text, path));
  return KeyFileInfo{fields.role, fields.key, fields.kdf.has_value()};
}

Result<SigningKey> read_key_file(const std::string& path, Role role, const Passphrase& passphrase) {
  TAPER_TRY(const Secret text, read_secret_file(path, limits::kKeyFileBytesMax));
  TAPER_TRY(const SecretKeyText fields, parse_at(text, path));
  if (fields.role != role) return role_differs(path, role, fields.role);
  if (fields.kdf && !passphrase.text) return Error(Code::passphrase_needed, {path, "", "", ""});
  const std::string_view words = passphrase.text.value_or("");
  if (words.size() > limits::kPassphraseBytesMax) {
    return Error(Code::passphrase_wrong, {path, "", "a passphrase that is too long", ""});
  }
  Result<SigningKey> key = open_seed(fields, words);
  if (!key.ok()) return with_path(key.error(), path);
  return key;
}

Result<PublicKeyFile> read_public_key_file(const std::string& path, std::optional<Role> role) {
  TAPER_TRY(const Bytes text, read_file(path, limits::kKeyFileBytesMax));
  const Result<PublicKeyFile> file = parse_public_key_file(as_text(text));
  if (!file.ok()) return with_path(file.error(), path);
  if (role && file->role != *role) return role_differs(path, *role, file->role);
  return *file;
}

}  // namespace taper::crypto
