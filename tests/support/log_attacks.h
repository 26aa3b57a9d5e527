// What whoever has taken over a host can do to its log: he holds every file and the log key in use,
// and with it all later ones. Made from a real node's log by the real library, signed anew wherever
// his keys reach, each with the place that must be named.
#pragma once

#include <string>
#include <vector>

#include "store/audit_verify.h"
#include "store/log_file.h"

namespace taper::testing {

std::vector<store::SignedHead> heads_of(const store::LogFile& log);

struct LogAttack {
  std::string name;
  std::vector<Bytes> files;  // the export; after it, in order, what continues it
  store::LogTrust trust;     // with the nonce that was asked for
  std::string record;        // the node's, node.pub
  Code code = Code::ok;      // of `audit verify`
  std::string place = {};
  std::vector<Bytes> seen = {};  // by a witness, before: what the node exported then
  Code witnessed = Code::unset;  // of `audit witness` after these; unset: the same as `code`
  std::string witnessed_place = {};
};

// Every kind once or more, and honest exports among them.
std::vector<LogAttack> make_log_attacks();

struct MadeReceipt {
  std::string name;
  Bytes file;
  store::LogTrust trust;
  std::string record;
  Code code = Code::ok;
  std::string place = {};
};
std::vector<MadeReceipt> make_receipts();

}  // namespace taper::testing
