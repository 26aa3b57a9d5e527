// usage: make_vectors chains|payloads|openings|roots|secrets > tests/vectors/NAME.vec
//        make_vectors logs FOLDER
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
  if (count == 3 && std::string(words[1]) == "logs") return write_logs(words[2]) ? 0 : 1;
  const auto found = count == 2 ? all.find(words[1]) : all.end();
  if (found == all.end()) {
    std::fputs("usage: make_vectors chains|payloads|openings|roots|secrets|logs FOLDER\n", stderr);
    return 2;
  }
  found->second();
  return 0;
}
