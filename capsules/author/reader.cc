#include "capsules/author/reader.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

std::string range_text(std::int64_t least, std::int64_t most) {
  return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

std::string joined(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::size_t typing_errors(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t k = 1; k <= b.size(); ++k) {
      const std::size_t changed = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);
      diagonal = row[k];
      row[k] = std::min({changed, row[k] + 1, row[k - 1] + 1});
    }
  }
  return row.back();
}

std::optional<Value> read_nested(const toml::node& node, const Place& place, Report& report,
                                 std::size_t depth);

std::optional<Value> read_array(const toml::array& array, const Place& place, Report& report,
                                std::size_t depth) {
  Array out;
  bool good = true;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const Place item{place.path + "[" + std::to_string(i) + "]", line_of(array[i])};
    std::optional<Value> value = read_nested(array[i], item, report, depth);
    good = good && value.has_value();
    if (value) out.push_back(std::move(*value));
  }
  if (!good) return std::nullopt;
  return Value(std::move(out));
}

std::optional<Value> read_table(const toml::table& table, const Place& place, Report& report,
                                std::size_t depth) {
  Object out;
  bool good = true;
  for (const auto& [key, node] : table) {
    const Place member{joined(place.path, key.str()), line_of(node)};
    std::optional<Value> value = read_nested(node, member, report, depth);
    good = good && value.has_value();
    if (value) out.emplace_back(std::string(key.str()), std::move(*value));
  }
  if (!good) return std::nullopt;
  return Value(std::move(out));
}

std::optional<Value> read_nested(const toml::node& node, const Place& place, Report& report,
                                 std::size_t depth) {
  if (depth == 0) {
    report.error(Code::source_invalid, place, "this value is nested too deeply",
                 "nest at most " + std::to_string(limits::kJsonDepthMax) + " deep");
    return std::nullopt;
  }
  if (const auto* text = node.as_string()) return Value(text->get());
  if (const auto* number = node.as_integer()) return Value(number->get());
  if (const auto* truth = node.as_boolean()) return Value(truth->get());
  if (const auto* array = node.as_array()) return read_array(*array, place, report, depth - 1);
  if (const auto* table = node.as_table()) return read_table(*table, place, report, depth - 1);
  const bool is_float = node.is_floating_point();
  report.error(Code::source_invalid, place,
               is_float ? "numbers with a fraction are not exact, so they cannot be signed here"
                        : "a TOML date or time is not an argument value",
               is_float ? "use a whole number, or a text" : "write it as a text, in quotes");
  return std::nullopt;
}

}  // namespace

std::string to_where(const Place& place) {
  if (place.line == 0) return place.path;
  const std::string line = "line " + std::to_string(place.line);
  return place.path.empty() ? line : line + ": " + place.path;
}

std::size_t line_of(const toml::node& node) { return node.source().begin.line; }

void Report::error(Code code, const Place& place, std::string what, std::string fix) {
  errors_ = true;
  findings_.emplace_back(
      place.line, Finding{Severity::error, code, to_where(place), std::move(what), std::move(fix)});
}

void Report::note(const Place& place, std::string what, std::string fix) {
  findings_.emplace_back(place.line, Finding{Severity::note, Code::ok, to_where(place),
                                             std::move(what), std::move(fix)});
}

std::vector<Finding> Report::take() {
  std::stable_sort(findings_.begin(), findings_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Finding> out;
  for (auto& [line, finding] : findings_) out.push_back(std::move(finding));
  findings_.clear();
  return out;
}

std::string nearest(std::string_view word, const std::set<std::string, std::less<>>& known) {
  constexpr std::size_t kErrors = 2;
  std::string best;
  std::size_t least = kErrors + 1;
  if (word.size() > limits::kNameBytesMax) return best;
  for (const std::string& candidate : known) {
    const std::size_t errors = typing_errors(word, candidate);
    if (errors >= least || errors >= candidate.size()) continue;
    least = errors;
    best = candidate;
  }
  return best;
}

void not_enforced_yet(Report& report, const Place& place, std::string_view name) {
  report.error(Code::not_enforced_yet, place, "'" + std::string(name) + "' is not enforced yet",
               "leave it out: this version refuses what it cannot enforce");
}

Section::Section(const toml::table& table, Place place, Report& report)
    : table_(table), place_(std::move(place)), report_(report) {
  report_.remember(place_);
  for (const auto& [key, node] : table_) {
    report_.remember({joined(place_.path, key.str()), key.source().begin.line});
  }
}

Place Section::place(std::string_view key) const {
  const auto found = table_.find(key);
  const std::size_t line = found == table_.end() ? place_.line : found->first.source().begin.line;
  return {joined(place_.path, key), line};
}

const toml::node* Section::take(std::string_view key) {
  known_.emplace(key);
  return table_.get(key);
}

void Section::wrong_type(std::string_view key, std::string_view expected, std::string_view fix) {
  report_.error(Code::source_invalid, place(key),
                "'" + std::string(key) + "' must be " + std::string(expected), std::string(fix));
}

void Section::missing(std::string_view key, std::string_view example) {
  report_.error(Code::field_missing, place(key), "'" + std::string(key) + "' is required",
                "add " + std::string(key) + " = " + std::string(example));
}

std::optional<std::string> Section::text(std::string_view key, std::size_t max_bytes) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  const auto* text = node->as_string();
  if (text == nullptr) {
    wrong_type(key, "a text", "put it in quotes");
    return std::nullopt;
  }
  const std::string& value = text->get();
  if (value.empty() || value.size() > max_bytes || value.find('\0') != value.npos) {
    wrong_type(key, "a text of 1 to " + std::to_string(max_bytes) + " bytes without NUL",
               "shorten it, or leave the key out");
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> Section::required_text(std::string_view key, std::size_t max_bytes,
                                                  std::string_view example) {
  if (take(key) == nullptr) missing(key, example);
  return text(key, max_bytes);
}

std::optional<std::int64_t> Section::integer(std::string_view key, std::int64_t least,
                                             std::int64_t most) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  const auto* number = node->as_integer();
  if (number == nullptr || number->get() < least || number->get() > most) {
    wrong_type(key, range_text(least, most), "write " + range_text(least, most) + ", unquoted");
    return std::nullopt;
  }
  return number->get();
}

std::optional<bool> Section::boolean(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* truth = node->as_boolean()) return truth->get();
  wrong_type(key, "true or false", "write true or false, unquoted");
  return std::nullopt;
}

std::optional<std::int64_t> Section::duration_ms(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  const auto* text = node->as_string();
  const auto ms = text == nullptr ? std::nullopt : parse_duration_ms(text->get());
  if (!ms) {
    wrong_type(key, "a duration above zero",
               "write a whole number and one unit in quotes: \"90s\", \"15m\", \"72h\", \"7d\"");
  }
  return ms;
}

std::optional<std::vector<std::string>> Section::words(std::string_view key,
                                                       std::size_t max_items) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  const auto* array = node->as_array();
  std::vector<std::string> out;
  bool good = array != nullptr && array->size() <= max_items;
  for (std::size_t i = 0; good && i < array->size(); ++i) {
    const auto* text = array->get(i)->as_string();
    good = text != nullptr && !text->get().empty() && text->get().size() <= limits::kNameBytesMax;
    if (good) out.push_back(text->get());
  }
  if (!good) {
    wrong_type(key, "a list of at most " + std::to_string(max_items) + " short texts",
               "write " + std::string(key) + " = [\"one\", \"two\"]");
    return std::nullopt;
  }
  if (std::set<std::string>(out.begin(), out.end()).size() != out.size()) {
    wrong_type(key, "a list in which no word stands twice", "remove the repeated word");
    return std::nullopt;
  }
  return out;
}

std::optional<Section> Section::section(std::string_view key) {
  const toml::node* node = take(key);
  if (node == nullptr) return std::nullopt;
  const auto* table = node->as_table();
  if (table == nullptr) {
    wrong_type(key, "a table", "write " + std::string(key) + " = { … }");
    return std::nullopt;
  }
  return Section(*table, place(key), report_);
}

void Section::not_yet(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (table_.contains(key)) not_enforced_yet(report_, place(key), key);
    refused_.emplace(key);
  }
}

void Section::finish() {
  for (const auto& [key, node] : table_) {
    const std::string name(key.str());
    if (known_.contains(name) || refused_.contains(name)) continue;
    const std::string near = nearest(name, known_);
    std::string fix = near.empty() ? "leave it out; known here:" : "did you mean '" + near + "'?";
    if (near.empty()) {
      for (const std::string& word : known_) fix += " " + word;
    }
    report_.error(Code::source_invalid, place(name), "'" + name + "' is not known here",
                  std::move(fix));
  }
}

std::optional<Value> read_value(const toml::node& node, const Place& place, Report& report) {
  return read_nested(node, place, report, limits::kJsonDepthMax - 1);
}

}  // namespace taper::capsules
