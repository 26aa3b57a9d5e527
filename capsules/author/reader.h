// Reading TOML section by section: every key is taken by name, what was not taken is an error, and
// reading goes on after a finding, so that one run tells everything that is wrong.
#pragma once

#include <toml++/toml.h>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "capsules/author/author.h"

namespace taper::capsules {

struct Place {
  std::string path;      // "grant[0].args.path"
  std::size_t line = 0;  // 0: not known
};
std::string to_where(const Place& place);

class Report {
 public:
  void error(Code code, const Place& place, std::string what, std::string fix);
  void note(const Place& place, std::string what, std::string fix);
  bool has_errors() const { return errors_; }
  void remember(const Place& place) { lines_.emplace(place.path, place.line); }
  std::map<std::string, std::size_t, std::less<>> lines() const { return lines_; }
  std::vector<Finding> take();  // in the order of the source

 private:
  std::vector<std::pair<std::size_t, Finding>> findings_;
  std::map<std::string, std::size_t, std::less<>> lines_;
  bool errors_ = false;
};

class Section {
 public:
  // Both must outlive the section.
  Section(const toml::table& table, Place place, Report& report);

  Place place() const { return place_; }
  Place place(std::string_view key) const;
  Report& report() { return report_; }
  const toml::table& table() const { return table_; }

  const toml::node* take(std::string_view key);  // null pointer: absent
  // Each below is empty when the key is absent, or has a finding when it is of another type.
  std::optional<std::string> text(std::string_view key, std::size_t max_bytes);
  std::optional<std::string> required_text(std::string_view key, std::size_t max_bytes,
                                           std::string_view example);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> duration_ms(std::string_view key);
  std::optional<std::vector<std::string>> words(std::string_view key, std::size_t max_items);
  std::optional<Section> section(std::string_view key);

  // Parts of the language that this version cannot enforce: refused by name where present.
  void not_yet(std::initializer_list<std::string_view> keys);
  // What is left was never asked for: unknown keys. Call last.
  void finish();

  void wrong_type(std::string_view key, std::string_view expected, std::string_view fix);
  void missing(std::string_view key, std::string_view example);

 private:
  const toml::table& table_;
  Place place_;
  Report& report_;
  std::set<std::string, std::less<>> known_;
  std::set<std::string, std::less<>> refused_;  // known, but not enforced yet
};

void not_enforced_yet(Report& report, const Place& place, std::string_view name);
std::size_t line_of(const toml::node& node);
// The nearest of `known` within two typing errors; empty: none.
std::string nearest(std::string_view word, const std::set<std::string, std::less<>>& known);

// Texts, whole numbers, true and false, arrays, tables. Floats and dates are findings.
std::optional<Value> read_value(const toml::node& node, const Place& place, Report& report);

// The parts of a source.
std::vector<ArgRule> read_rules(Section& args);
std::vector<Verb> read_verbs(Section& grant);  // its "verbs"; absent: empty
Budget read_budget(Section& grant);            // its "budget"
CellLimits read_cell(Section& owner);          // its "cell"
void read_capsule(Section& section, Draft& draft);
void read_grants(const toml::node& node, const KnownTools& tools, Draft& draft, Report& report);
// After the grants, which may name them. A null pointer: the source has none.
void read_secrets(const toml::node* node, Draft& draft, Report& report);
void read_plan(Section& section, Draft& draft);
// The start of a window, where it names one.
std::optional<std::int64_t> read_window_start(Section& window);
void read_result(Section& section, Capsule& capsule);

}  // namespace taper::capsules
