// The log in the hands of whoever has taken over its host: what the verifier catches, what only a
// witness can, and the place that each names.
#include "tests/support/log_attacks.h"

#include <catch2/catch.hpp>

#include "store/auditor/receipt.h"
#include "store/auditor/witness.h"
#include "tests/support/state_for_tests.h"

namespace taper::store {
namespace {

using taper::testing::LogAttack;

const std::vector<LogAttack>& attacks() {
  static const std::vector<LogAttack> made = testing::make_log_attacks();
  return made;
}
const std::vector<testing::MadeReceipt>& receipts() {
  static const std::vector<testing::MadeReceipt> made = testing::make_receipts();
  return made;
}

Result<VerifiedLog> verify_all(const std::vector<Bytes>& files, const LogTrust& trust) {
  LogTrust asked = trust;
  asked.nonce.reset();
  VerifiedLog log;
  for (const Bytes& file : files) {
    if (&file == &files.back()) asked.nonce = trust.nonce;
    TAPER_TRY(log, verify_log(file, asked));
    asked.after = log.end;
  }
  return log;
}

template <class T>
void check_refusal(const Result<T>& got, Code code, const std::string& place) {
  INFO((got.ok() ? std::string("accepted") : to_line(got.error())));
  CHECK(got.code() == code);
  if (!got.ok()) CHECK(got.error().detail().field == place);
}

}  // namespace

TEST_CASE("each attack on a log is caught, with its place", "[store][R59][R61][R63]") {
  REQUIRE(attacks().size() >= 25);
  for (const LogAttack& attack : attacks()) {
    DYNAMIC_SECTION(attack.name) {
      check_refusal(verify_all(attack.files, attack.trust), attack.code, attack.place);
    }
  }
}

TEST_CASE("a witness catches each attack on a log, and what it alone can", "[store][R63]") {
  for (const LogAttack& attack : attacks()) {
    DYNAMIC_SECTION(attack.name) {
      const LogTrust& trust = attack.trust;
      WitnessMemory memory(trust.node, trust.incarnation, trust.log_key_0);
      std::string evidence;
      for (const Bytes& file : attack.seen)
        REQUIRE(memory.look(file, std::nullopt, 1, {}, evidence).ok());
      const std::string before = memory.text().value();
      const auto look = memory.look(attack.files.back(), trust.nonce, 2, {}, evidence);
      const bool alone = attack.witnessed != Code::unset;
      check_refusal(look, alone ? attack.witnessed : attack.code,
                    alone ? attack.witnessed_place : attack.place);
      if (!look.ok()) CHECK(memory.text().value() == before);
      // Both sides are kept where both are signed and no old export explains it.
      CHECK(evidence.empty() == !(alone && trust.nonce));
      if (!evidence.empty()) {
        CHECK(evidence.find("\nseen ") != std::string::npos);
        CHECK(evidence.find("\noffered ") != std::string::npos);
      }
    }
  }
}

TEST_CASE("a receipt proves its record, and none that was changed does", "[store][R63]") {
  for (const testing::MadeReceipt& made : receipts()) {
    DYNAMIC_SECTION(made.name) {
      check_refusal(check_receipt(made.file, made.trust), made.code, made.place);
    }
  }
}

TEST_CASE("every changed or missing byte of a receipt is refused", "[store][R63]") {
  for (testing::MadeReceipt made : receipts()) {
    if (made.name != "receipt-300") continue;
    for (std::size_t i = 0; i < made.file.size(); ++i) {
      made.file[i] ^= 4U;
      if (check_receipt(made.file, made.trust).ok()) FAIL("byte " << i << " may be changed");
      made.file[i] ^= 4U;
      CHECK(check_receipt(ByteSpan(made.file).first(i), made.trust).code() ==
            Code::receipt_malformed);
    }
    made.file.push_back(0);
    CHECK(check_receipt(made.file, made.trust).code() == Code::receipt_malformed);
  }
}

}  // namespace taper::store
