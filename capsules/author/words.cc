#include "capsules/author/words.h"

#include <array>

namespace taper::capsules {
namespace {

template <std::size_t Count, class Kind>
std::string_view pick(const std::array<std::string_view, Count>& words, Kind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < Count ? words[index] : "unknown";
}

}  // namespace

std::string_view word(Verb verb) {
  return pick(std::to_array<std::string_view>({"unset", "discover", "call", "poll", "result",
                                               "update", "cancel", "retry", "resume"}),
              verb);
}

std::string_view word(TimeAssurance assurance) {
  return pick(std::to_array<std::string_view>({"unset", "behind", "bounded", "anchored"}),
              assurance);
}

std::string_view word(Tier tier) {
  return pick(std::to_array<std::string_view>({"unset", "t1", "t2", "t3"}), tier);
}

std::string_view word(EntryKind entry) {
  return pick(std::to_array<std::string_view>({"unset", "session", "plan", "agent"}), entry);
}

std::string_view word(OnError on_error) {
  return pick(std::to_array<std::string_view>({"unset", "stop", "continue", "retry"}), on_error);
}

std::string_view word(crypto::Device device) {
  return pick(std::to_array<std::string_view>({"none", "touched", "verified"}), device);
}

}  // namespace taper::capsules
