// What make_vectors writes, each to stdout. Every key has a known seed and every signature is
// deterministic, so that the same program gives the same files. What is expected is stated by hand
// in the sources; the tests ask the libraries and the reader in Python whether they agree.
#pragma once

#include <string>

namespace taper::testing {

void write_chains();
void write_payloads();
void write_openings();
void write_roots();
void write_secrets();

// Into this folder; false where that failed.
bool write_logs(const std::string& folder);

}  // namespace taper::testing
