#include "runtime/base/toml_shape.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "runtime/base/limits.h"

namespace taper {
namespace {

std::string repeated(std::string_view part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

std::string key_of(std::size_t parts) { return repeated("a.", parts - 1) + "b"; }

TEST_CASE("a TOML text's depth is known before it is parsed", "[base]") {
  constexpr std::size_t kParts = limits::kTomlKeyPartsMax;
  constexpr std::size_t kDepth = limits::kTomlDepthMax;
  CHECK_FALSE(toml_too_deep(""));
  CHECK_FALSE(toml_too_deep(key_of(kParts) + " = 1\n[" + key_of(kParts) + "]\n"));
  CHECK(toml_too_deep("a=1\n" + key_of(kParts + 1) + " = 1") == 2U);
  CHECK(toml_too_deep("[" + key_of(kParts + 1) + "]") == 1U);
  CHECK(toml_too_deep("[[" + key_of(60'000) + "]]") == 1U);
  CHECK(toml_too_deep("x = {" + key_of(kParts + 1) + "=1}") == 1U);
  CHECK(toml_too_deep("\"q\" . 'r' ." + key_of(kParts)) == 1U);
  CHECK_FALSE(toml_too_deep("x = " + repeated("[", kDepth) + repeated("]", kDepth)));
  CHECK(toml_too_deep("x = " + repeated("[", kDepth + 1)) == 1U);
  CHECK(toml_too_deep("x = " + repeated("{a=[", kDepth)) == 1U);
  // Beside each other is not within each other.
  CHECK_FALSE(toml_too_deep("x = [" + repeated("[1.5],\n", 1000) + "]"));
  CHECK_FALSE(toml_too_deep(repeated("a.b = {c.d = [1]}\n", 1000)));
}

TEST_CASE("a TOML string is looked over, but not past its end", "[base]") {
  const std::string dots = repeated(".", 100) + repeated("[", 100);
  const std::string deep = "\n" + key_of(100) + "=1";
  for (const std::string& text : std::vector<std::string>{
           "\"" + dots + "\"", "'" + dots + "'", "\"\"\"" + dots + "\n\"\" " + dots + "\"\"\"",
           "'''" + dots + "'''", "\"\\\"" + dots + "\"", "'\\'", "\"\"", "''", "\"\"\"\"\"\"",
           "\"\"\"a\"\"\"\"\"", "'''a''''", "1 # \"\"\" '" + dots,
           "\"\"\"\\\"\"\"" + dots + "\"\"\""}) {
    INFO(text);
    CHECK_FALSE(toml_too_deep("x = " + text));
    CHECK(toml_too_deep("x = " + text + deep));
  }
  // An unclosed string ends with its line; the parser stops there too.
  CHECK(toml_too_deep("x = \"a" + deep));
  CHECK_FALSE(toml_too_deep("x = \"\"\"a" + deep));
}

}  // namespace
}  // namespace taper
