#include "tools/taper/secrets.h"

#include <algorithm>

#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"

namespace taper::tools {

void SecretOptions::add_to(CLI::App* verb) {
  verb->add_option("--secret", given, "NAME=FILE: the value to seal for the node; once for each")
      ->allow_extra_args(false);
}

Result<SecretValues> read_secret_values(const SecretOptions& options,
                                        const capsules::Capsule& capsule) {
  crypto::forbid_dumps();
  SecretValues values;
  for (const std::string& text : options.given) {
    const std::size_t sign = text.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size())
      return usage_error("--secret", "NAME=FILE", "something else");
    const std::string name = text.substr(0, sign);
    const std::string path = text.substr(sign + 1);
    if (std::ranges::find(capsule.secrets, name, &capsules::SealedSecret::name) ==
        capsule.secrets.end())
      return usage_error("--secret", "a [[secret]] of the source", name);
    TAPER_TRY(crypto::Secret value, crypto::read_secret_file(path, limits::kSecretBytesMax));
    if (value.empty() || value.size() > limits::kSecretBytesMax)
      return Error(Code::too_large,
                   {.field = path,
                    .expected = "1 to " + std::to_string(limits::kSecretBytesMax) + " bytes",
                    .got = value.empty() ? "none" : "more",
                    .fix = ""});
    if (!values.emplace(name, std::move(value)).second)
      return usage_error("--secret", "each name once", name);
  }
  for (const capsules::SealedSecret& secret : capsule.secrets) {
    if (!values.contains(secret.name))
      return Error(Code::field_missing, {.field = "secret " + secret.name,
                                         .expected = "--secret " + secret.name + "=FILE",
                                         .got = "",
                                         .fix = ""});
  }
  return values;
}

std::vector<capsules::Finding> short_secrets(const SecretValues& values) {
  constexpr std::string_view kSpace = " \t\r\n";  // at its ends is not masked
  std::vector<capsules::Finding> notes;
  for (const auto& [name, value] : values) {
    const std::string_view text = as_text(value.bytes());
    const std::size_t first = text.find_first_not_of(kSpace);
    const std::size_t size = first == text.npos ? 0 : text.find_last_not_of(kSpace) - first + 1;
    if (size >= limits::kMaskedBytesMin) continue;
    notes.push_back({.severity = capsules::Severity::note,
                     .code = Code::ok,
                     .where = "secret " + name,
                     .what = "a value shorter than " + std::to_string(limits::kMaskedBytesMin) +
                             " bytes is not masked in results and logs",
                     .fix = "take a longer one"});
  }
  return notes;
}

Status seal_secrets(const SecretValues& values, const std::string& node_record,
                    capsules::Capsule& capsule) {
  if (values.empty()) return success();
  if (node_record.empty())
    return Error(Code::field_missing, {.field = "node",
                                       .expected = "--node node.pub: secrets are sealed to its key",
                                       .got = "",
                                       .fix = ""});
  TAPER_TRY(const Bytes text, read_file(node_record, limits::kKeyFileBytesMax));
  TAPER_TRY(const authority::NodeRecord record, authority::parse_node_record(as_text(text)));
  if (record.sign != capsule.audience.node)
    return Error(Code::audience_other, {.field = node_record,
                                        .expected = capsule.audience.node.hex(),
                                        .got = record.sign.hex(),
                                        .fix = ""});
  for (capsules::SealedSecret& secret : capsule.secrets) {
    TAPER_TRY(secret.box,
              capsules::seal_secret(capsule, secret.name, values.find(secret.name)->second.bytes(),
                                    record.seal));
  }
  return success();
}

}  // namespace taper::tools
