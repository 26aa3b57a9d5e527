#include "runtime/authority/node.h"

#include <sys/stat.h>

#include <cerrno>

#include "crypto/crypto.h"
#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/log_key.h"

namespace taper::authority {
namespace {

constexpr std::string_view kFirstLine = "taper-node v1";
constexpr std::string_view kSignatureWord = "\nsignature ";

Error malformed(std::string field, std::string expected) {
  return Error(Code::node_record_malformed, {std::move(field), std::move(expected), "", ""});
}

// Everything the signature covers, up to and without the newline before "signature".
std::string signed_part(const NodeRecord& record) {
  return std::string(kFirstLine) + "\nname " + record.name + "\nsign " +
         crypto::public_key_text(record.sign) + "\nseal " + record.seal.hex() + "\nincarnation " +
         record.incarnation.hex() + "\nlog-key-0 " + crypto::public_key_text(record.log_key_0);
}

// One line of printable text: what stands in a record must not look like another line of it.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax && escape_text(name) == name &&
         name.find('\\') == std::string_view::npos;
}

// The rest of the line that begins with `word` and a space; empty when the next line is another.
std::string_view next_line(std::string_view& rest, std::string_view word) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  if (!line.starts_with(word) || line.substr(word.size(), 1) != " ") return {};
  return line.substr(word.size() + 1);
}

Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return success();
  if (errno == EEXIST) return Error(Code::file_exists, {path, "", "", ""});
  return os_error("mkdir " + path, errno);
}

}  // namespace

std::string write_node_record(const NodeRecord& record, const crypto::SigningKey& key) {
  std::string text = signed_part(record);
  const crypto::Signature signature = key.sign(crypto::statement::kNode, as_bytes(text));
  return text + std::string(kSignatureWord) + to_hex(signature) + "\n";
}

Result<NodeRecord> parse_node_record(std::string_view text) {
  NodeRecord record;
  std::string_view rest = text;
  if (next_line(rest, "taper-node") != "v1") return malformed("line 1", std::string(kFirstLine));
  record.name = next_line(rest, "name");
  const auto sign = crypto::parse_public_key_text(next_line(rest, "sign"));
  const auto seal = SealKey::from_hex(next_line(rest, "seal"));
  const auto incarnation = Incarnation::from_hex(next_line(rest, "incarnation"));
  const auto log_key = crypto::parse_public_key_text(next_line(rest, "log-key-0"));
  const auto signature = from_hex(next_line(rest, "signature"));
  if (!is_name(record.name)) return malformed("name", "one line of printable text");
  if (!sign) return malformed("sign", "tpk: and 64 hex digits");
  if (!seal) return malformed("seal", "64 hex digits");
  if (!incarnation) return malformed("incarnation", "32 hex digits");
  if (!log_key) return malformed("log-key-0", "tpk: and 64 hex digits");
  if (!signature) return malformed("signature", "128 hex digits");
  record.sign = *sign;
  record.seal = *seal;
  record.incarnation = *incarnation;
  record.log_key_0 = *log_key;
  // Writing it again must give the same text, so no byte can be changed without being seen.
  const std::string body = signed_part(record);
  if (text != body + std::string(kSignatureWord) + to_hex(*signature) + "\n")
    return malformed("text", "lower case, single spaces, nothing after the signature");
  if (!crypto::verify(record.sign, crypto::statement::kNode, as_bytes(body), *signature))
    return malformed("signature", "the node's own signature over all before it");
  return record;
}

Result<NodeRecord> create_node(const std::string& state, const std::string& name) {
  if (!is_name(name))
    return Error(Code::usage, {"name", "one line of printable text", escape_text(name), ""});
  const crypto::SigningKey sign = crypto::SigningKey::generate();
  const crypto::UnsealingKey seal = crypto::UnsealingKey::generate();
  store::LogSeed log_seed = store::LogSeed::generate();
  NodeRecord record{name, sign.public_key(), seal.public_key(), crypto::random_id<Incarnation>(),
                    log_seed.key().public_key()};
  TAPER_CHECK(
      store::create_state(state, {record.incarnation, log_origin(record)}, std::move(log_seed)));
  TAPER_CHECK(make_directory(state + "/keys"));
  TAPER_CHECK(make_directory(state + "/tools.d"));
  TAPER_CHECK(crypto::write_key_pair(state + "/keys/node.key", state + "/keys/node.pub",
                                     crypto::Role::node, sign, crypto::Passphrase{}));
  std::string seal_text = to_hex(seal.bytes()) + "\n";
  const Status sealed = create_file(state + "/keys/seal.key", as_bytes(seal_text), 0600);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(seal_text.data()), seal_text.size()});
  if (!sealed) return sealed.error();
  // Last: a state without its record is not a node's, so a crash before this leaves none.
  TAPER_CHECK(create_file(state + "/node.pub", as_bytes(write_node_record(record, sign)), 0644));
  return record;
}

Result<NodeRecord> renew_node(const std::string& state, const NodeRecord& old) {
  TAPER_TRY(const crypto::SigningKey sign, read_signing_key(state, old.sign));
  TAPER_CHECK(read_unsealing_key(state, old));
  store::LogSeed log_seed = store::LogSeed::generate();
  NodeRecord record = old;
  record.incarnation = crypto::random_id<Incarnation>();
  record.log_key_0 = log_seed.key().public_key();
  TAPER_CHECK(
      store::create_state(state, {record.incarnation, log_origin(record)}, std::move(log_seed)));
  TAPER_CHECK(create_file(state + "/node.pub", as_bytes(write_node_record(record, sign)), 0644));
  return record;
}

Result<NodeRecord> read_node(const std::string& state) {
  const Result<Bytes> file = read_file(state + "/node.pub", limits::kKeyFileBytesMax);
  if (!file) return Error(Code::not_a_state, {state, "a directory with node.pub", "", ""});
  return parse_node_record(as_text(*file));
}

Result<crypto::UnsealingKey> read_unsealing_key(const std::string& state,
                                                const NodeRecord& record) {
  crypto::forbid_dumps();
  const std::string path = state + "/keys/seal.key";
  const Error wrong(Code::key_file_malformed, {path, "the key that node.pub names", "another", ""});
  TAPER_TRY(const crypto::Secret text, crypto::read_secret_file(path, limits::kKeyFileBytesMax));
  std::string_view hex = as_text(text.bytes());
  if (!hex.ends_with('\n')) return wrong;
  hex.remove_suffix(1);
  std::optional<Bytes> bytes = from_hex(hex);
  if (!bytes || bytes->size() != SealKey::kSize) return wrong;
  crypto::UnsealingKey key = crypto::UnsealingKey::from_bytes(*bytes);
  crypto::wipe(*bytes);
  if (key.public_key() != record.seal) return wrong;
  return key;
}

Result<crypto::SigningKey> read_signing_key(const std::string& state, const PublicKey& node) {
  crypto::forbid_dumps();
  const std::string path = state + "/keys/node.key";
  TAPER_TRY(crypto::SigningKey key, crypto::read_key_file(path, crypto::Role::node, {}));
  if (key.public_key() == node) return key;
  return Error(Code::key_file_malformed, {path, "the key that node.pub names", "another", ""});
}

std::string log_origin(const NodeRecord& record) {
  return "taper/" + record.sign.hex() + "/" + record.incarnation.hex();
}

}  // namespace taper::authority
