#include "capsules/author/samples.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::size_t kTextsMax = 400;
// Of the texts, and of the lists, that one argument's constraints give: what a capsule from
// anywhere asks for is not made without end.
constexpr std::size_t kBytesMax = std::size_t{256} * 1024;
constexpr std::size_t kItemsMax = 8;  // of a made array
constexpr std::int64_t kDayS = 86'400;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string expanded(const std::string& pattern, std::string_view star) {
  std::string out;
  for (const char c : pattern) {
    if (c == '*') {
      out += star;
    } else {
      out += c == '?' ? 'x' : c;
    }
  }
  return out;
}

// What the constraints say, gathered to be put together in many ways.
struct Parts {
  std::vector<Value> values;
  std::vector<std::string> heads = {""};
  std::vector<std::string> tails = {""};
  std::set<std::size_t> lengths, counts;
  std::vector<Value> items;

  void number(std::int64_t value) {
    values.emplace_back(value);
    if (value > std::numeric_limits<std::int64_t>::min()) values.emplace_back(value - 1);
    if (value < std::numeric_limits<std::int64_t>::max()) values.emplace_back(value + 1);
  }
  static void around(std::set<std::size_t>& sizes, std::int64_t least, std::int64_t most,
                     std::size_t cap) {
    for (const std::int64_t size : {least - 1, least, most, most + 1}) {
      if (size >= 0 && std::cmp_less_equal(size, cap)) sizes.insert(static_cast<std::size_t>(size));
    }
  }
};

void gather(const Constraint& constraint, Parts& out);

void gather_all(const std::vector<Constraint>& constraints, Parts& out) {
  for (const Constraint& constraint : constraints) gather(constraint, out);
}

// Lists in which one word at a time takes each of its edges.
void gather_words(const Argv& argv, Parts& out) {
  std::vector<std::vector<Value>> words;
  for (const Constraint& word : argv.words) {
    std::vector<Value> passing = edge_values({word});
    std::ranges::partition(passing, [&word](const Value& v) { return holds(word, v); });
    words.push_back(std::move(passing));
  }
  Array first;
  for (const auto& choices : words) first.push_back(choices.front());
  const std::size_t most = kBytesMax / (write_canonical(Value(first)).size() + 1) + 1;
  std::size_t made = 0;
  for (std::size_t at = 0; at < words.size(); ++at) {
    for (const Value& value : words[at]) {
      if (made++ == most) return;
      Array list = first;
      list[at] = value;
      out.values.emplace_back(std::move(list));
    }
  }
}

void gather_fields(const Fields& fields, Parts& out) {
  Object first;
  for (const ArgRule& rule : fields.rules) {
    for (const Value& value : edge_values(rule.all)) {
      const bool passes = std::ranges::all_of(
          rule.all, [&value](const Constraint& constraint) { return holds(constraint, value); });
      if (!passes) continue;
      first.emplace_back(rule.name, value);
      break;
    }
  }
  out.values.emplace_back(first);
  for (std::size_t at = 0; at < first.size(); ++at) {
    Object without = first;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(at));
    out.values.emplace_back(std::move(without));
    const auto rule = std::ranges::find(fields.rules, first[at].first, &ArgRule::name);
    for (const Value& value : edge_values(rule->all)) {
      Object other = first;
      other[at].second = value;
      out.values.emplace_back(std::move(other));
    }
  }
}

void gather_urls(const Url& url, Parts& out) {
  for (const std::string& scheme : url.schemes) {
    for (const std::string& host : url.hosts) {
      const std::string start = scheme + "://" + host;
      const std::string path = url.under == "/" ? "/x" : url.under;
      out.values.emplace_back(start + path);
      for (const std::uint16_t port : url.ports) {
        out.values.emplace_back(start + ":" + std::to_string(port) + path);
      }
    }
  }
}

void gather(const Constraint& constraint, Parts& out) {
  std::visit(
      Overloaded{[](const AnyValue&) {},
                 [&](const Equals& c) { out.values.push_back(c.value); },
                 [&](const OneOf& c) {
                   out.values.insert(out.values.end(), c.values.begin(), c.values.end());
                 },
                 [&](const NotOneOf& c) {
                   out.values.insert(out.values.end(), c.values.begin(), c.values.end());
                 },
                 [&](const AtLeast& c) { out.number(c.least); },
                 [&](const AtMost& c) { out.number(c.most); },
                 [&](const Length& c) {
                   Parts::around(out.lengths, c.least, c.most, limits::kTextBytesMax);
                 },
                 [&](const Count& c) { Parts::around(out.counts, c.least, c.most, kItemsMax); },
                 [&](const Prefix& c) { out.heads.push_back(c.text); },
                 [&](const Suffix& c) { out.tails.push_back(c.text); },
                 [&](const Under& c) {
                   const std::string tree = c.tree == "/" ? "" : c.tree;
                   out.values.emplace_back(c.tree);
                   out.heads.push_back(tree + "/");
                   out.heads.push_back(tree + "x");
                   out.heads.push_back(tree.substr(0, tree.rfind('/') + 1));
                 },
                 [&](const Glob& c) {
                   for (const char* star : {"", "x", "xy"})
                     out.values.emplace_back(expanded(c.pattern, star));
                   out.heads.push_back(c.pattern.substr(0, c.pattern.find_first_of("*?")));
                   const std::size_t last = c.pattern.find_last_of("*?");
                   if (last != std::string::npos) out.tails.push_back(c.pattern.substr(last + 1));
                 },
                 [&](const Url& c) { gather_urls(c, out); },
                 [&](const Cidr& c) {
                   for (const std::string& block : c.blocks)
                     out.values.emplace_back(block.substr(0, block.find('/')));
                 },
                 [&](const Argv& c) { gather_words(c, out); },
                 [&](const Each& c) { out.items = edge_values(c.all); },
                 [&](const Fields& c) { gather_fields(c, out); },
                 [&](const AllOf& c) { gather_all(c.all, out); },
                 [&](const AnyOf& c) { gather_all(c.any, out); },
                 [](const TimeOfDay&) {}},
      static_cast<const ConstraintKinds&>(constraint));
}

void put_texts(Parts& parts) {
  std::set<std::string> texts;
  std::size_t bytes = 0;
  const auto put = [&](const std::string& text) {
    if (texts.size() >= kTextsMax || bytes >= kBytesMax || !texts.insert(text).second) return;
    bytes += text.size();
  };
  for (const std::string& head : parts.heads) {
    for (const std::string& tail : parts.tails) {
      put(head + tail);
      put(head + "x" + tail);
      for (const std::size_t length : parts.lengths) {
        const std::size_t have = head.size() + tail.size();
        if (length >= have) put(head + std::string(length - have, 'x') + tail);
      }
    }
  }
  // A whole text that one constraint names, with the ends that others ask for.
  for (const Value& value : parts.values) {
    if (value.text() == nullptr) continue;
    for (const std::string& tail : parts.tails) put(*value.text() + tail);
  }
  for (const std::string& text : texts) parts.values.emplace_back(text);
}

void put_arrays(Parts& parts) {
  if (parts.items.empty()) parts.items.emplace_back("x");
  parts.counts.insert({0, 1, 2});
  std::vector<Value> arrays;
  for (const std::size_t count : parts.counts) {
    for (const Value& item : parts.items) arrays.emplace_back(Array(count, item));
  }
  parts.values.insert(parts.values.end(), arrays.begin(), arrays.end());
}

bool speaks_of_arrays(const std::vector<Constraint>& constraints) {
  return std::ranges::any_of(constraints, [](const Constraint& constraint) {
    if (const AllOf* all = std::get_if<AllOf>(&constraint)) return speaks_of_arrays(all->all);
    if (const AnyOf* any = std::get_if<AnyOf>(&constraint)) return speaks_of_arrays(any->any);
    return std::holds_alternative<Each>(constraint) || std::holds_alternative<Count>(constraint);
  });
}

void gather_moments(const std::vector<Constraint>& constraints, std::vector<Moment>& out) {
  for (const Constraint& constraint : constraints) {
    if (const AllOf* all = std::get_if<AllOf>(&constraint)) gather_moments(all->all, out);
    if (const AnyOf* any = std::get_if<AnyOf>(&constraint)) gather_moments(any->any, out);
    const TimeOfDay* time = std::get_if<TimeOfDay>(&constraint);
    if (time == nullptr) continue;
    for (const std::int32_t edge : {time->from_s, time->to_s}) {
      // A day later, so that no moment lies before 1970.
      const std::int64_t at = kDayS * 2 + edge - time->offset_s;
      out.push_back({at, true});
      out.push_back({at - 1, true});
    }
  }
}

}  // namespace

std::vector<Value> edge_values(const std::vector<Constraint>& constraints) {
  Parts parts;
  gather_all(constraints, parts);
  put_texts(parts);
  if (speaks_of_arrays(constraints)) put_arrays(parts);
  for (const char* text : {"/x", "/srv/x"}) parts.values.emplace_back(text);
  for (const std::int64_t number : {0, 1, -1}) parts.values.emplace_back(number);
  parts.values.emplace_back(true);
  parts.values.emplace_back();
  std::vector<Value> out;
  std::set<std::string> seen;
  for (Value& value : parts.values) {
    if (seen.insert(write_canonical(value)).second) out.push_back(std::move(value));
  }
  return out;
}

std::vector<Moment> edge_moments(const std::vector<Constraint>& constraints) {
  std::vector<Moment> out = {{kDayS * 2, true}};
  gather_moments(constraints, out);
  return out;
}

}  // namespace taper::capsules
