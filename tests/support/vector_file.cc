#include "tests/support/vector_file.h"

#include <string_view>

#include "runtime/base/file.h"

namespace taper::testing {

std::vector<Row> vector_rows(const std::string& source_dir, const std::string& name) {
  constexpr std::size_t kMax = 1024 * 1024;
  const auto file = read_file(source_dir + "/tests/vectors/" + name, kMax);
  TAPER_ASSERT(file.ok());
  std::vector<Row> rows;
  std::map<std::string, std::string> given;
  std::string_view left = as_text(*file);
  for (std::size_t number = 1; !left.empty(); ++number) {
    const std::size_t end = left.find('\n');
    TAPER_ASSERT(end != left.npos);
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end + 1);
    if (line.starts_with('#')) continue;
    if (line.empty()) {
      given.clear();
      continue;
    }
    const std::size_t colon = line.find(": ");
    TAPER_ASSERT(colon != line.npos);
    const std::string key(line.substr(0, colon));
    const std::string_view value = line.substr(colon + 2);
    if (key != "expect") {
      given[key] = value;
      continue;
    }
    const std::size_t space = value.find(' ');
    TAPER_ASSERT(space != value.npos);
    rows.push_back({name + ":" + std::to_string(number), given, std::string(value.substr(0, space)),
                    std::string(value.substr(space + 1))});
  }
  TAPER_ASSERT(!rows.empty());
  return rows;
}

}  // namespace taper::testing
