#include <algorithm>

#include "capsules/constraints.h"

namespace taper::capsules {

bool is_plain_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  if (path.find('\0') != path.npos) return false;
  if (path == "/") return true;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    if (component.empty() || component == "." || component == "..") return false;
    path.remove_prefix(end);
  }
  return true;
}

bool is_under(std::string_view path, std::string_view tree) {
  if (tree == "/") return !path.empty() && path.front() == '/';
  if (!path.starts_with(tree)) return false;
  return path.size() == tree.size() || path[tree.size()] == '/';
}

// Greedy with one point of return. That is enough because neither '*' nor '?' takes a '/': the
// slashes of pattern and text pair off, so giving an earlier star more could never help a later
// one.
bool glob_matches(std::string_view pattern, std::string_view text) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = kNone;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' ? text[t] != '/' : pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != kNone && text[resume] != '/') {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace taper::capsules
