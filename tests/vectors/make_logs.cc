// Logs and receipts, honest and attacked, for a reader in another language: files, and `expected`
// with a line for each. New keys each time: nothing of it is kept.
#include <fstream>
#include <iostream>

#include "crypto/crypto.h"
#include "tests/support/log_attacks.h"
#include "tests/vectors/make_vectors.h"

namespace taper::testing {
namespace {

void write_file(const std::string& path, ByteSpan bytes) {
  std::ofstream(path, std::ios::binary) << as_text(bytes);
}

std::string trust_words(const store::LogTrust& trust) {
  return trust.node.hex() + "\t" + trust.incarnation.hex() + "\t" + trust.log_key_0.hex() + "\t" +
         (trust.nonce ? trust.nonce->hex() : "-");
}

std::string verdict(Code code, const std::string& place) {
  const unsigned number = code == Code::ok ? 0U : describe(code).number;
  return "\t" + std::to_string(number) + "\t" + place;
}

// Writes the files, and answers their names.
std::string write_all_of(const std::vector<Bytes>& files, const std::string& folder,
                         const std::string& name) {
  std::string names;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string each = name + "." + std::to_string(i) + ".tpa";
    write_file(folder + "/" + each, files[i]);
    names += (i == 0 ? "" : " ") + each;
  }
  return names;
}

}  // namespace

bool write_logs(const std::string& folder) {
  if (!crypto::initialise().ok()) return false;
  std::ofstream expected(folder + "/expected");
  for (const LogAttack& attack : make_log_attacks()) {
    const bool alone = attack.witnessed != Code::unset;
    write_file(folder + "/" + attack.name + ".pub", as_bytes(attack.record));
    expected << "log\t" << attack.name << "\t" << write_all_of(attack.files, folder, attack.name)
             << "\t" << trust_words(attack.trust) << verdict(attack.code, attack.place) << "\t"
             << write_all_of(attack.seen, folder, attack.name + ".seen")
             << verdict(alone ? attack.witnessed : attack.code,
                        alone ? attack.witnessed_place : attack.place)
             << "\n";
  }
  for (const MadeReceipt& made : make_receipts()) {
    write_file(folder + "/" + made.name + ".tpx", made.file);
    write_file(folder + "/" + made.name + ".pub", as_bytes(made.record));
    expected << "receipt\t" << made.name << "\t" << made.name << ".tpx\t" << trust_words(made.trust)
             << verdict(made.code, made.place) << "\t" << verdict(made.code, made.place) << "\n";
  }
  return expected.good();
}

}  // namespace taper::testing
