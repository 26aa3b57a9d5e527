// usage: make_vectors chains|payloads|openings|roots|secrets > tests/vectors/NAME.vec
#include "tests/vectors/make_vectors.h"

#include <cstdio>
#include <map>
#include <string>

int main(int count, char** words) {
  using namespace taper::testing;
  const std::map<std::string, void (*)()> all = {{"chains", write_chains},
                                                 {"payloads", write_payloads},
                                                 {"openings", write_openings},
                                                 {"roots", write_roots},
                                                 {"secrets", write_secrets}};
  const auto found = count == 2 ? all.find(words[1]) : all.end();
  if (found == all.end()) {
    std::fputs("usage: make_vectors chains|payloads|openings|roots|secrets\n", stderr);
    return 2;
  }
  found->second();
  return 0;
}
