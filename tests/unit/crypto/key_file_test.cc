// Key files and what an attacker, or a careless copy, makes of them.
#include "crypto/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "crypto/key_text.h"
#include "runtime/base/file.h"
#include "tests/support/scratch_directory.h"

namespace taper::crypto {
namespace {

using taper::testing::ScratchDirectory;

constexpr std::uint64_t kCheapKdf = 8192;
constexpr Passphrase kNone{};
constexpr Passphrase kWords{"correct horse"};

struct Made {
  ScratchDirectory directory;
  std::string secret = directory / "a.key";
  std::string open = directory / "a.pub";
  SigningKey key = SigningKey::generate();

  explicit Made(const Passphrase& passphrase, Role role = Role::issuer) {
    REQUIRE(write_key_pair(secret, open, role, key, passphrase, kCheapKdf).ok());
  }
  std::string text() const { return std::string(as_text(read_file(secret, 4096).value())); }
  void replace(const std::string& text) const {
    REQUIRE(replace_file(secret, as_bytes(text), 0600).ok());
  }
};

std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("role names and key texts have one form", "[crypto]") {
  for (int role = 1; role <= static_cast<int>(Role::node); ++role) {
    CHECK(parse_role(role_name(static_cast<Role>(role))) == static_cast<Role>(role));
  }
  CHECK_FALSE(parse_role(""));
  CHECK_FALSE(parse_role("Issuer"));
  const PublicKey key = SigningKey::generate().public_key();
  const std::string text = public_key_text(key);
  CHECK(parse_public_key_text(text) == key);
  CHECK_FALSE(parse_public_key_text(text + "0"));
  CHECK_FALSE(parse_public_key_text(text.substr(1)));
  CHECK_FALSE(parse_public_key_text("tpk:" + std::string(64, 'A')));
}

TEST_CASE("a key written is the key read", "[crypto]") {
  const Passphrase passphrase = GENERATE(as<Passphrase>{}, kNone, kWords);
  const Made made(passphrase);
  const Result<KeyFileInfo> info = inspect_key_file(made.secret);
  REQUIRE(info.ok());
  CHECK(info->role == Role::issuer);
  CHECK(info->key == made.key.public_key());
  CHECK(info->locked == passphrase.text.has_value());
  const Result<SigningKey> read = read_key_file(made.secret, Role::issuer, passphrase);
  REQUIRE(read.ok());
  CHECK(to_hex(read->seed()) == to_hex(made.key.seed()));
  const Result<PublicKeyFile> open = read_public_key_file(made.open, Role::issuer);
  REQUIRE(open.ok());
  CHECK(open->key == made.key.public_key());
  struct stat mode{};
  REQUIRE(::stat(made.secret.c_str(), &mode) == 0);
  CHECK((mode.st_mode & 07777) == 0600);
  CHECK(mode.st_nlink == 1);
}

TEST_CASE("an unprotected file says so, a protected one hides its seed", "[crypto]") {
  const Made open(kNone);
  CHECK(open.text().find("not protected by a passphrase") != std::string::npos);
  const Made locked(kWords);
  CHECK(locked.text().find(to_hex(locked.key.seed())) == std::string::npos);
  CHECK(read_key_file(locked.secret, Role::issuer, kNone).code() == Code::passphrase_needed);
  CHECK(read_key_file(locked.secret, Role::issuer, {"wrong"}).code() == Code::passphrase_wrong);
  CHECK(read_key_file(locked.secret, Role::issuer, {""}).code() == Code::passphrase_wrong);
}

TEST_CASE("key files are never replaced and come in pairs", "[crypto]") {
  const Made made(kNone);
  const SigningKey other = SigningKey::generate();
  CHECK(write_key_pair(made.secret, made.directory / "b.pub", Role::issuer, other, kNone).code() ==
        Code::file_exists);
  CHECK(write_key_pair(made.directory / "b.key", made.open, Role::issuer, other, kNone).code() ==
        Code::file_exists);
  CHECK(::access((made.directory / "b.key").c_str(), F_OK) != 0);
  CHECK(write_key_pair(made.directory / "c.key", made.directory / "c.pub", Role::issuer, other,
                       Passphrase{""})
            .code() == Code::passphrase_needed);
  CHECK(inspect_key_file(made.directory / "missing").code() == Code::file_missing);
}

TEST_CASE("a key is used in its own role only", "[crypto]") {
  const Made made(kNone, Role::approver);
  CHECK(read_key_file(made.secret, Role::issuer, kNone).code() == Code::key_role);
  CHECK(read_public_key_file(made.open, Role::issuer).code() == Code::key_role);
  CHECK(read_public_key_file(made.open, std::nullopt).ok());
  made.replace(with(made.text(), "role: approver", "role: issuer"));
  CHECK(read_key_file(made.secret, Role::issuer, kNone).code() == Code::key_file_malformed);
}

TEST_CASE("the role of a protected key is bound to it", "[crypto]") {
  const Made made(kWords, Role::approver);
  made.replace(with(made.text(), "role: approver", "role: issuer"));
  CHECK(read_key_file(made.secret, Role::issuer, kWords).code() == Code::passphrase_wrong);
}

TEST_CASE("a key file that others can reach is refused", "[crypto]") {
  const Made made(kNone);
  const auto code = [](const std::string& path) {
    CHECK(read_key_file(path, Role::issuer, kNone).code() == inspect_key_file(path).code());
    return inspect_key_file(path).code();
  };
  SECTION("mode") {
    const mode_t mode = static_cast<mode_t>(GENERATE(0644, 0640, 0604, 0660, 0610));
    REQUIRE(::chmod(made.secret.c_str(), mode) == 0);
    CHECK(code(made.secret) == Code::key_file_exposed);
  }
  SECTION("symbolic link") {
    REQUIRE(::symlink(made.secret.c_str(), (made.directory / "link").c_str()) == 0);
    CHECK(code(made.directory / "link") == Code::key_file_exposed);
  }
  SECTION("hard link") {
    REQUIRE(::link(made.secret.c_str(), (made.directory / "second").c_str()) == 0);
    CHECK(code(made.secret) == Code::key_file_exposed);
  }
  SECTION("the public half") {
    CHECK(code(made.open) == Code::key_file_malformed);
    CHECK(to_line(inspect_key_file(made.open).error()).find("F.key is needed") !=
          std::string::npos);
  }
  SECTION("directory") { CHECK(code(made.directory.path()) == Code::key_file_exposed); }
  SECTION("fifo") {
    REQUIRE(::mkfifo((made.directory / "fifo").c_str(), 0600) == 0);
    CHECK(code(made.directory / "fifo") == Code::key_file_exposed);
  }
  SECTION("world-writable directory") {
    REQUIRE(::chmod(made.directory.path().c_str(), 0777) == 0);
    CHECK(code(made.secret) == Code::key_file_exposed);
    REQUIRE(::chmod(made.directory.path().c_str(), 01777) == 0);
    CHECK(code(made.secret) == Code::ok);
  }
  SECTION("another owner") {
    if (::geteuid() != 0) return;
    REQUIRE(::chown(made.secret.c_str(), 65534, 65534) == 0);
    CHECK(code(made.secret) == Code::key_file_exposed);
  }
}

TEST_CASE("a demand for endless work is refused before any is done", "[crypto]") {
  const Made made(kWords);
  const std::string bomb =
      GENERATE("ops=3 mem=1099511627776", "ops=4294967295 mem=8192", "ops=0 mem=8192",
               "ops=3 mem=0", "ops=3 mem=18446744073709551616", "ops=-1 mem=8192");
  made.replace(with(made.text(), "ops=3 mem=8192", bomb));
  CHECK(read_key_file(made.secret, Role::issuer, kWords).code() == Code::key_file_malformed);
  CHECK(inspect_key_file(made.secret).code() == Code::key_file_malformed);
}

TEST_CASE("every changed byte of a key file is noticed", "[crypto]") {
  const Passphrase passphrase = GENERATE(as<Passphrase>{}, kNone, kWords);
  const Made made(passphrase);
  const std::string text = made.text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const unsigned bit : {0x01U, 0x20U, 0x80U}) {
      std::string changed = text;
      changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ bit);
      const Result<SecretKeyText> fields = parse_secret_key_text(changed);
      if (!fields.ok() || fields->role != Role::issuer) continue;
      CHECK_FALSE(open_seed(*fields, passphrase.text.value_or("")).ok());
    }
  }
}

TEST_CASE("every truncation of a key file, and anything after it, is refused", "[crypto]") {
  const Passphrase passphrase = GENERATE(as<Passphrase>{}, kNone, kWords);
  const Made made(passphrase);
  const std::string text = made.text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    CHECK(parse_secret_key_text(std::string_view(text).substr(0, i)).code() ==
          Code::key_file_malformed);
  }
  CHECK_FALSE(parse_secret_key_text(text + "\n").ok());
  CHECK_FALSE(parse_secret_key_text(text + text).ok());
  made.replace(text + std::string(5000, 'x'));
  CHECK(inspect_key_file(made.secret).code() == Code::key_file_malformed);
}

TEST_CASE("public halves are strict text", "[crypto]") {
  const Made made(kNone);
  const std::string text(as_text(read_file(made.open, 4096).value()));
  CHECK(parse_public_key_file(text).ok());
  for (std::size_t i = 0; i < text.size(); ++i) {
    CHECK_FALSE(parse_public_key_file(text.substr(0, i)).ok());
  }
  CHECK_FALSE(parse_public_key_file(text + "\n").ok());
  CHECK_FALSE(parse_public_key_file(with(text, "role: issuer", "role:  issuer")).ok());
  CHECK_FALSE(parse_public_key_file(with(text, "v1", "v2")).ok());
  CHECK(parse_public_key_file(made.text()).code() == Code::key_file_malformed);
}

}  // namespace taper::crypto
