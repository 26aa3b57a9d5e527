#include "author_test.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

using testing::completed;
using testing::parsed;
using testing::source_with;

KnownTools tools_of_the_page() {
  KnownTools tools = builtin_known_tools();
  tools.emplace("act", KnownTool{"act",
                                 false,
                                 Effect::read,
                                 std::nullopt,
                                 {{"text", InputType::string, true},
                                  {"path", InputType::path, true},
                                  {"count", InputType::integer, true},
                                  {"flag", InputType::boolean, true},
                                  {"data", InputType::json, true}}});
  return tools;
}

std::string page() {
  const Result<Bytes> bytes =
      read_file(std::string(TAPER_SOURCE_DIR) + "/docs/CAPSULES.md", limits::kSourceBytesMax);
  REQUIRE(bytes.ok());
  return std::string(as_text(*bytes));
}

// The code spans of one line, without their back quotes.
std::vector<std::string> code_spans(std::string_view line) {
  std::vector<std::string> out;
  while (true) {
    const std::size_t begin = line.find('`');
    const std::size_t end = begin == line.npos ? begin : line.find('`', begin + 1);
    if (end == line.npos) return out;
    out.emplace_back(line.substr(begin + 1, end - begin - 1));
    line.remove_prefix(end + 1);
  }
}

TEST_CASE("Each example of the page's constraint table does what it says", "[author]") {
  const std::string text = page();
  const KnownTools tools = tools_of_the_page();
  std::size_t at = text.find("| constraint | argument |");
  REQUIRE(at != text.npos);
  std::size_t rows = 0;
  while (text[at] == '|') {
    const std::size_t end = text.find('\n', at);
    std::vector<std::string> cells = code_spans(text.substr(at, end - at));
    at = end + 1;
    if (cells.size() < 5) continue;
    cells.erase(cells.begin(), cells.end() - 4);
    ++rows;
    INFO(cells[1]);
    const Capsule capsule = completed(parsed(
        source_with("[[grant]]\ntool=\"act\"\neffect=\"read\"\ndigest=\"unpinned\"\nargs = { " +
                    cells[0] + " = " + cells[1] + " }"),
        tools));
    const auto code = [&](const std::string& value) {
      const std::string arguments = "{\"" + cells[0] + "\":" + value + "}";
      return explain(capsule, "act", as_bytes(arguments), tools, std::nullopt).code;
    };
    CHECK(code(cells[2]) == Code::ok);
    CHECK(code(cells[3]) != Code::ok);
  }
  CHECK(rows == 26);
}

TEST_CASE("Each time of the page's table is allowed or refused as it says", "[author]") {
  const std::string text = page();
  const KnownTools tools = tools_of_the_page();
  std::size_t at = text.find("| rule | allowed at |");
  REQUIRE(at != text.npos);
  std::size_t rows = 0;
  while (text[at] == '|') {
    const std::size_t end = text.find('\n', at);
    const std::vector<std::string> cells = code_spans(text.substr(at, end - at));
    at = end + 1;
    if (cells.size() != 3) continue;
    ++rows;
    INFO(cells[0]);
    const Capsule capsule = completed(parsed(
        source_with(
            "[[grant]]\ntool=\"act\"\neffect=\"read\"\ndigest=\"unpinned\"\nargs = { text = " +
            cells[0] + " }"),
        tools));
    const auto code = [&](const std::string& time) {
      const auto at_s = parse_utc_s(time);
      REQUIRE(at_s.has_value());
      return explain(capsule, "act", as_bytes(R"({"text":"a"})"), tools, at_s).code;
    };
    CHECK(code(cells[1]) == Code::ok);
    CHECK(code(cells[2]) == Code::argument_refused);
  }
  CHECK(rows == 2);
}

TEST_CASE("The page's example parses and lints clean", "[author]") {
  const std::string text = page();
  const std::string open = "```toml\n";
  const std::size_t begin = text.find(open) + open.size();
  const std::string source = text.substr(begin, text.find("```", begin) - begin);
  const auto findings = testing::findings_of(source);
  INFO(testing::all_of(findings));
  CHECK(findings.empty());
}

}  // namespace
}  // namespace taper::capsules
