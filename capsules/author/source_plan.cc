#include <algorithm>

#include "capsules/author/reader.h"
#include "crypto/crypto.h"
#include "crypto/key_file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

struct ReadStep {
  Step step;
  Place place;
};

bool is_pointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '~') continue;
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (next != '0' && next != '1') return false;
  }
  return true;
}

// Finds every reference in a step's arguments and checks its form and what it names.
class References {
 public:
  enum class Item : std::uint8_t { none, known };
  References(const Plan& plan, const ReadStep& step, std::string key, Item item, Report& report)
      : plan_(plan), step_(step), key_(std::move(key)), item_(item), report_(report) {}

  void check(const Value& value) {
    if (const Array* array = value.array()) {
      for (const Value& item : *array) check(item);
    }
    const Object* object = value.object();
    if (object == nullptr) return;
    const bool reference = std::any_of(object->begin(), object->end(), [](const auto& member) {
      return member.first.starts_with('$');
    });
    if (reference) {
      check_reference(value, object->size());
      return;
    }
    for (const auto& [name, member] : *object) check(member);
  }

 private:
  void error(Code code, std::string what, std::string fix) {
    report_.error(code, {step_.place.path + "." + key_, step_.place.line}, std::move(what),
                  std::move(fix));
  }

  void check_reference(const Value& value, std::size_t keys) {
    const Value* input = value.find("$input");
    const Value* step = value.find("$step");
    const Value* at = value.find("at");
    const Value* item = value.find("$item");
    const bool points = keys == 2 && at != nullptr && at->text() != nullptr;
    if (item != nullptr && item->boolean() != nullptr && *item->boolean() &&
        (keys == 1 || points)) {
      check_item(points ? *at->text() : "");
    } else if (keys == 1 && input != nullptr && input->text() != nullptr) {
      check_input(*input->text());
    } else if (points && step != nullptr && step->text() != nullptr) {
      check_step(*step->text(), *at->text());
    } else {
      error(Code::source_invalid,
            "a reference is a table with exactly \"$input\", or \"$step\" and \"at\", or "
            "\"$item\"; no "
            "other key may begin with '$'",
            "write { \"$input\" = \"name\" }, { \"$step\" = \"id\", at = \"/text\" } or "
            "{ \"$item\" = true }");
    }
  }

  void check_input(const std::string& name) {
    if (std::ranges::find(plan_.inputs, name) != plan_.inputs.end()) return;
    error(Code::input_unknown, "the plan has no input '" + name + "'",
          "add inputs = [\"" + name + "\"] to [plan]");
  }

  void check_pointer(const std::string& at) {
    if (is_pointer(at)) return;
    error(Code::source_invalid, "'at' is not a JSON pointer",
          "it is empty for the whole value, or begins with '/': \"/text\"");
  }

  void check_item(const std::string& at) {
    check_pointer(at);
    if (item_ == Item::known) return;
    error(Code::step_reference, "\"$item\" stands for nothing: the step goes through no items",
          "add for_each to this step");
  }

  void check_step(const std::string& id, const std::string& at) {
    check_pointer(at);
    if (std::ranges::find(step_.step.needs, id) != step_.step.needs.end()) return;
    error(Code::step_reference, "'" + id + "' is referred to but not among the step's needs",
          "add needs = [\"" + id + "\"] to this step");
  }

  const Plan& plan_;
  const ReadStep& step_;
  std::string key_;
  Item item_;
  Report& report_;
};

// on_error = { retry = 3, backoff = "2s" }
void read_retry(Section section, Step& step) {
  step.on_error = OnError::retry;
  step.retries =
      static_cast<std::uint32_t>(section.integer("retry", 1, limits::kRetriesMax).value_or(0));
  if (!section.table().contains("retry")) section.missing("retry", "3");
  step.backoff_ms = section.duration_ms("backoff").value_or(0);
  if (!section.table().contains("backoff")) section.missing("backoff", "\"2s\"");
  if (step.backoff_ms > limits::kLeaseTtlMaxMs)
    section.wrong_type("backoff", "at most " + format_duration_ms(limits::kLeaseTtlMaxMs),
                       "the lease ends while the step waits");
  section.finish();
}

void read_on_error(Section& section, Step& step) {
  const toml::node* node = section.take("on_error");
  if (node == nullptr) return;
  if (const toml::table* table = node->as_table())
    return read_retry(Section(*table, section.place("on_error"), section.report()), step);
  const std::string word = node->is_string() ? node->as_string()->get() : "";
  if (word == "continue") {
    step.on_error = OnError::carry_on;
  } else if (word != "stop") {
    section.wrong_type("on_error", "\"stop\", \"continue\" or a table",
                       "leave it out for \"stop\"; write { retry = 3, backoff = \"2s\" } to retry");
  }
}

// A list, or a reference to one; a list is its own maximum where none stands.
void read_for_each(Section& section, const Plan& plan, ReadStep& read) {
  const bool bounded = section.table().contains("for_each_max");
  const auto most = section.integer("for_each_max", 1, limits::kForEachMax);
  const toml::node* node = section.take("for_each");
  if (node == nullptr) {
    if (bounded) section.wrong_type("for_each_max", "nothing without for_each", "add for_each");
    return;
  }
  const std::optional<Value> items = read_value(*node, section.place("for_each"), section.report());
  if (!items) return;
  const Array* list = items->array();
  if (list == nullptr && (items->object() == nullptr || items->object()->empty() ||
                          !items->object()->front().first.starts_with('$')))
    return section.wrong_type(
        "for_each", "a list, or a reference to one",
        "write [\"a\", \"b\"] or { \"$step\" = \"list\", at = \"/entries\" }");
  using enum References::Item;
  References(plan, read, "for_each", none, section.report()).check(*items);
  if (list == nullptr && !bounded) section.missing("for_each_max", "100");
  const std::size_t own =
      list == nullptr ? 0 : std::clamp<std::size_t>(list->size(), 1, limits::kForEachMax);
  read.step.for_each = write_canonical(*items);
  read.step.for_each_max =
      static_cast<std::uint32_t>(most.value_or(static_cast<std::int64_t>(own)));
}

std::optional<Value> read_args(Section& section) {
  const toml::node* node = section.take("args");
  if (node == nullptr) return Value(Object{});
  if (!node->is_table()) {
    section.wrong_type("args", "a table of the call's arguments", "write args = { … }");
    return std::nullopt;
  }
  return read_value(*node, section.place("args"), section.report());
}

ReadStep read_step(Section section, const Plan& plan) {
  ReadStep out;
  out.place = section.place();
  Step& step = out.step;
  step.id = section.required_text("id", limits::kNameBytesMax, "\"a-name\"").value_or("");
  section.report().remember({"plan.steps." + step.id, section.place().line});
  step.tool = section.required_text("tool", limits::kNameBytesMax, "\"file.read\"").value_or("");
  step.needs = section.words("needs", limits::kNeedsMax).value_or(std::vector<std::string>{});
  if (step.id.find('[') != step.id.npos)
    section.wrong_type("id", "a name without '['", "items of a step are named by it: \"read[0]\"");
  read_on_error(section, step);
  read_for_each(section, plan, out);
  if (const std::optional<Value> args = read_args(section)) {
    using enum References::Item;
    const auto item = step.for_each.empty() ? none : known;
    References(plan, out, "args", item, section.report()).check(*args);
    step.args = write_canonical(*args);
  }
  section.not_yet({"approval"});
  section.finish();
  return out;
}

void check_names(const std::vector<ReadStep>& steps, Report& report) {
  std::set<std::string, std::less<>> ids;
  for (const ReadStep& read : steps) {
    if (read.step.id.empty() || ids.insert(read.step.id).second) continue;
    report.error(Code::source_invalid, read.place, "the step '" + read.step.id + "' stands twice",
                 "give each step an id of its own");
  }
  for (const ReadStep& read : steps) {
    for (const std::string& need : read.step.needs) {
      if (ids.contains(need) && need != read.step.id) continue;
      const std::string near = nearest(need, ids);
      report.error(Code::source_invalid, {read.place.path + ".needs", read.place.line},
                   need == read.step.id ? "the step needs itself" : "no step '" + need + "'",
                   near.empty() || near == need ? "name another step of this plan"
                                                : "did you mean '" + near + "'?");
    }
  }
}

// Every need comes first; steps that are free keep the order of the source.
std::vector<Step> in_order(std::vector<ReadStep> steps, Report& report) {
  std::vector<Step> out;
  std::set<std::string> done;
  while (!steps.empty()) {
    const auto next = std::find_if(steps.begin(), steps.end(), [&done](const ReadStep& read) {
      return std::ranges::all_of(read.step.needs,
                                 [&done](const std::string& need) { return done.contains(need); });
    });
    if (next == steps.end()) {
      std::string names;
      for (const ReadStep& read : steps) names += (names.empty() ? "" : ", ") + read.step.id;
      report.error(Code::source_invalid, steps.front().place,
                   "these steps need each other in a circle: " + names, "remove one of the needs");
      return {};
    }
    done.insert(next->step.id);
    out.push_back(std::move(next->step));
    steps.erase(next);
  }
  return out;
}

}  // namespace

void read_result(Section& section, Capsule& capsule) {
  std::optional<Section> result = section.section("result");
  if (!result) return;
  ResultRule rule;
  for (const std::string& text :
       result->words("readers", limits::kReadersMax).value_or(std::vector<std::string>{})) {
    const std::optional<PublicKey> key = crypto::parse_public_key_text(text);
    const Hash reader = key ? Hash{crypto::key_id(*key).bytes} : Hash{};
    if (!key || std::ranges::find(rule.readers, reader) != rule.readers.end()) {
      result->wrong_type("readers", "\"tpk:\" and 64 hex digits, each once",
                         "copy the line of each reader's .pub file");
    }
    rule.readers.push_back(reader);
  }
  if (rule.readers.empty()) result->missing("readers", "[\"tpk:…\"]");
  rule.retention_ms = result->duration_ms("retention").value_or(0);
  if (!result->table().contains("retention")) result->missing("retention", "\"7d\"");
  if (rule.retention_ms > limits::kRetentionMaxMs)
    result->wrong_type("retention", "at most " + format_duration_ms(limits::kRetentionMaxMs),
                       "fetch the results sooner");
  rule.reads =
      static_cast<std::uint32_t>(result->integer("reads", 1, limits::kResultReadsMax).value_or(0));
  if (!result->table().contains("reads")) result->missing("reads", "1");
  result->finish();
  capsule.result = std::move(rule);
}

void read_plan(Section& section, Draft& draft) {
  Plan& plan = draft.capsule.plan;
  Report& report = section.report();
  plan.inputs = section.words("inputs", limits::kInputsMax).value_or(std::vector<std::string>{});
  const toml::node* node = section.take("steps");
  section.not_yet({"approval"});
  section.finish();
  const auto* array = node == nullptr ? nullptr : node->as_array();
  if (array == nullptr || array->empty() || array->size() > limits::kStepsMax) {
    section.wrong_type("steps", "a list of 1 to " + std::to_string(limits::kStepsMax) + " steps",
                       "write steps = [ { id = \"a\", tool = \"time.now\" } ]");
    return;
  }
  std::vector<ReadStep> steps;
  bool good = true;
  for (std::size_t i = 0; i < array->size(); ++i) {
    const toml::node& item = (*array)[i];
    const Place place{section.place().path + ".steps[" + std::to_string(i) + "]", line_of(item)};
    const auto* table = item.as_table();
    good = good && table != nullptr;
    if (table == nullptr) {
      report.error(Code::source_invalid, place, "a step is a table",
                   "write { id = \"a\", tool = \"time.now\" }");
    } else {
      steps.push_back(read_step(Section(*table, place, report), plan));
    }
  }
  check_names(steps, report);
  // A circle is looked for only where every need is a step's name.
  const bool named = std::ranges::all_of(steps, [&steps](const ReadStep& read) {
    return std::ranges::all_of(read.step.needs, [&steps](const std::string& need) {
      return std::ranges::any_of(steps, [&](const ReadStep& s) { return s.step.id == need; });
    });
  });
  if (good && named) plan.steps = in_order(std::move(steps), report);
}

}  // namespace taper::capsules
