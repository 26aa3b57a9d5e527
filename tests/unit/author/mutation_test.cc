#include <random>

#include "author_test.h"

namespace taper::capsules {
namespace {

using testing::completed;
using testing::source_with;

constexpr int kRounds = 4000;

// One edit: a byte changed, a piece removed, repeated or moved, or a word of the language put in.
std::string mutated(std::string source, std::mt19937& random) {
  const auto below = [&random](std::size_t most) {
    return most == 0 ? 0 : static_cast<std::size_t>(random() % most);
  };
  constexpr std::string_view kWords[] = {"\"any\"",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         "=",
                                         "\n",
                                         "1e999",
                                         "-1",
                                         "\"\"",
                                         "under",
                                         "'''",
                                         "\"\\u0000\"",
                                         "[[grant]]",
                                         "[plan]",
                                         "1979-05-27",
                                         "9223372036854775808",
                                         "{ \"$step\" = \"now\" }",
                                         "."};
  const std::size_t at = below(source.size());
  const std::size_t length = below(std::min<std::size_t>(40, source.size() - at) + 1);
  switch (random() % 5) {
    case 0:
      if (!source.empty()) source[at] = static_cast<char>(random() % 256);
      break;
    case 1: source.erase(at, length); break;
    case 2: source.insert(below(source.size()), source.substr(at, length)); break;
    case 3: source.insert(at, kWords[below(std::size(kWords))]); break;
    default: source.resize(at); break;
  }
  return source;
}

TEST_CASE("No edit of a source crashes, and each ends in findings or a capsule", "[author]") {
  const std::string good = source_template();
  const KnownTools tools = builtin_known_tools();
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same edits every time
  int parsed = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string source = good;
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) source = mutated(source, random);
    const Parsed result = parse_source(source, tools);
    if (!result.draft) {
      CHECK_FALSE(testing::errors_of(result.findings).empty());
      continue;
    }
    ++parsed;
    lint(*result.draft, tools, nullptr, nullptr);
    const Capsule capsule = completed(*result.draft);
    const Result<Bytes> payload = encode_capsule(capsule);
    if (!payload) continue;
    const Result<Capsule> decoded = decode_capsule(*payload);
    INFO(source << (decoded.ok() ? "" : to_line(decoded.error())));
    CHECK(decoded.ok());
    UntrustedCapsule shown;
    shown.root = capsule;
    CHECK_FALSE(show_text(shown, 0).empty());
    CHECK_FALSE(show_json(shown).empty());
  }
  CHECK(parsed > kRounds / 50);
}

}  // namespace
}  // namespace taper::capsules
