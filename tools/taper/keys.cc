#include "tools/taper/keys.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::tools {
namespace {

class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd) {
    changed_ = ::tcgetattr(fd_, &before_) == 0;
    if (!changed_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }
  ~EchoOff() {
    if (changed_) static_cast<void>(::tcsetattr(fd_, TCSAFLUSH, &before_));
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;
  bool changed() const { return changed_; }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

Error needed(const std::string& path) {
  return Error(Code::passphrase_needed,
               {.field = path, .expected = "a passphrase", .got = "no terminal", .fix = ""});
}

Result<crypto::Secret> first_line(crypto::Secret text, std::size_t size, const std::string& name) {
  std::size_t length = 0;
  while (length < size && text.bytes()[length] != '\n') ++length;
  if (length == 0) return usage_error(name, "a passphrase on the first line", "nothing");
  return crypto::Secret::copy_of(ByteSpan(text.bytes()).first(length));
}

Result<crypto::Secret> read_passphrase(int fd, const std::string& name) {
  crypto::Secret buffer(limits::kPassphraseBytesMax);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = ::read(fd, buffer.bytes().data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read " + name, errno);
    size += static_cast<std::size_t>(got);
    const bool line = got > 0 && buffer.bytes()[size - 1] == '\n';
    if (got == 0 || line) return first_line(std::move(buffer), size, name);
  }
  return Error(Code::too_large, {.field = name,
                                 .expected = std::to_string(limits::kPassphraseBytesMax) + " bytes",
                                 .got = "more",
                                 .fix = ""});
}

Result<crypto::Secret> ask(const std::string& path, const std::string& prompt) {
  const Fd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) return needed(path);
  const EchoOff quiet(terminal.get());  // before the prompt: whoever types fast is not shown
  if (!quiet.changed()) return needed(path);
  TAPER_CHECK(write_all(terminal.get(), "/dev/tty", as_bytes(prompt)));
  Result<crypto::Secret> answer = read_passphrase(terminal.get(), "passphrase");
  TAPER_CHECK(write_all(terminal.get(), "/dev/tty", as_bytes("\n")));
  return answer;
}

// From the options alone; empty when neither is given.
Result<crypto::Secret> from_options(const PassphraseOptions& options) {
  if (options.fd >= 0) return read_passphrase(options.fd, "--passphrase-fd");
  if (options.file.empty()) return crypto::Secret();
  TAPER_TRY(const Fd file, open_input(options.file));
  return read_passphrase(file.get(), options.file);
}

}  // namespace

void PassphraseOptions::add_to(CLI::App* verb) {
  verb->add_option("--passphrase-file", file, "Read the key's passphrase from this file");
  verb->add_option("--passphrase-fd", fd, "Read the key's passphrase from this descriptor");
}

Result<crypto::SigningKey> open_key(const std::string& path, crypto::Role role,
                                    const PassphraseOptions& options) {
  TAPER_TRY(const crypto::KeyFileInfo info, crypto::inspect_key_file(path));
  crypto::forbid_dumps();
  if (!info.locked || info.role != role)
    return crypto::read_key_file(path, role, {.text = std::nullopt});
  TAPER_TRY(crypto::Secret passphrase, from_options(options));
  if (passphrase.empty()) {
    TAPER_TRY(passphrase, ask(path, "Passphrase for " + path + ": "));
  }
  return crypto::read_key_file(path, role, {.text = as_text(passphrase.bytes())});
}

Result<crypto::Secret> new_passphrase(const std::string& path, const PassphraseOptions& options) {
  crypto::forbid_dumps();
  TAPER_TRY(crypto::Secret given, from_options(options));
  if (!given.empty()) return given;
  TAPER_TRY(crypto::Secret first, ask(path, "New passphrase for " + path + ": "));
  TAPER_TRY(const crypto::Secret second, ask(path, "Once more: "));
  const bool same = crypto::constant_time_equal(first.bytes(), second.bytes());
  if (!same) return usage_error("passphrase", "the same passphrase twice", "two different ones");
  return first;
}

Result<crypto::PublicKeyFile> public_key_file_option(const std::string& given, crypto::Role role) {
  if (const std::optional<PublicKey> key = crypto::parse_public_key_text(given))
    return crypto::PublicKeyFile{.role = role, .key = *key};
  return crypto::read_public_key_file(given, role);
}

Result<PublicKey> public_key_option(const std::string& given, crypto::Role role) {
  TAPER_TRY(const crypto::PublicKeyFile file, public_key_file_option(given, role));
  return file.key;
}

}  // namespace taper::tools
