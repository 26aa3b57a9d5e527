// links: taper_capsules
// Argument bytes: the one parser, the canonical writer, and constraints over what was read.
#include <cstddef>
#include <cstdint>
#include <string>

#include "capsules/constraints.h"
#include "capsules/value.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;

// Every kind of constraint that reads texts or looks inside; what holds has the form it promises.
void evaluate(const capsules::Value& value) {
  const capsules::Constraint url =
      capsules::Url{{"https"}, {"a.example", "[::1]", "10.0.0.1"}, {443}, "/api"};
  if (capsules::holds(url, value)) {
    const std::string& text = *value.text();
    TAPER_ASSERT(text.substr(0, text.find('?')).find("/../") == text.npos);
    TAPER_ASSERT(text.find_first_of("\\#\t\n ") == text.npos);
  }
  const capsules::Constraint address = capsules::Cidr{{"10.0.0.0/8", "fd00::/8"}};
  if (capsules::holds(address, value)) {
    TAPER_ASSERT(value.text()->starts_with("10.") || value.text()->starts_with("fd"));
  }
  const capsules::Constraint leaf = capsules::AnyOf{{url, address, capsules::Under{"/srv"}}};
  const capsules::Constraint words = capsules::Argv{{leaf, capsules::AnyValue{}}};
  const capsules::Constraint object =
      capsules::Fields{{{"a", true, {leaf}}, {"b", true, {words, capsules::Each{{leaf}}}}}};
  (void)capsules::holds(capsules::AllOf{{object, capsules::Count{0, 3}}}, value);
  (void)capsules::holds(capsules::Each{{capsules::AnyOf{{leaf, words, object}}}}, value);
  if (capsules::holds(words, value)) TAPER_ASSERT(value.array()->size() == 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value = capsules::parse_value({data, size}, limits::kArgumentBytesMax);
  if (!value.ok()) return 0;
  const std::string canonical = capsules::write_canonical(*value);
  TAPER_ASSERT(is_utf8(canonical));
  const auto again = capsules::parse_value(as_bytes(canonical), canonical.size());
  TAPER_ASSERT(again.ok() && *again == *value);
  TAPER_ASSERT(capsules::write_canonical(*again) == canonical);
  evaluate(*value);
  for (const auto& [name, member] :
       value->object() == nullptr ? capsules::Object{} : *value->object()) {
    evaluate(member);
  }
  const capsules::Value* path = value->find("path");
  if (path == nullptr) return 0;
  const capsules::Constraint under = capsules::Under{"/var/log"};
  if (capsules::holds(under, *path)) {
    TAPER_ASSERT(capsules::is_plain_path(*path->text()));
    fuzz::planted_bug(path->text()->find('!') != std::string::npos);
  }
  (void)capsules::holds(capsules::Glob{"/*a*/?*b*"}, *path);
  return 0;
}
