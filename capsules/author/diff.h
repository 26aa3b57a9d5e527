// Comparing what two capsules allow, for people. Not part of any decision. docs/CAPSULES.md says
// what is compared.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capsules/author/author.h"

namespace taper::capsules {

// What the second capsule is beside the first: `narrower` allows less than the first.
enum class Relation : std::uint8_t { equal, narrower, wider, incomparable };
std::string_view relation_name(Relation relation);

enum class Which : std::uint8_t { first, second };

// Something that one capsule allows and the other refuses. The call is empty where the two share no
// call to show it by.
struct DiffExample {
  Which allowed_by = Which::first;
  Verb verb = Verb::call;
  std::string tool;
  std::string arguments;  // canonical JSON
  std::string why;        // what the other says
};

struct Difference {
  Relation relation = Relation::incomparable;
  std::vector<DiffExample> examples;  // at most one for each capsule
  std::string undecided;              // why nothing better than incomparable could be shown
  std::vector<std::string> notes;     // differences that the relation does not speak about
};

// Examples are looked for first; only where none is found, and less can be shown of every call, is
// a capsule called narrower, wider or equal.
Difference diff(const UntrustedCapsule& first, const UntrustedCapsule& second,
                const KnownTools& tools);

}  // namespace taper::capsules
