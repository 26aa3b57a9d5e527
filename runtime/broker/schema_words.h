// Sentences for a schema's descriptions, about what its other words cannot say. What comes from a
// capsule is escaped and cut.
#pragma once

#include <string>

#include "runtime/authority/tool.h"

namespace taper::broker {

std::string words_of(const capsules::Length& length);
std::string words_of(const capsules::Glob& glob);
std::string words_of(const capsules::Under& under);
std::string words_of(const capsules::Url& url);
std::string words_of(const capsules::Cidr& cidr);
std::string words_of(const capsules::TimeOfDay& time);
std::string words_of_others(const capsules::Array& excluded);
std::string words_of_plain_paths();

// `text` escaped, at most limits::kSchemaWordsBytesMax and a mark that it was cut.
std::string shown_text(std::string_view text);

}  // namespace taper::broker
