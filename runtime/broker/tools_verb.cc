#include <boost/json.hpp>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/tool_files.h"
#include "runtime/broker/tool_words.h"
#include "runtime/broker/upstream_words.h"

namespace taper::broker {
namespace {

namespace json = boost::json;

json::object tool_json(const authority::Tool& tool) {
  json::array inputs;
  for (const capsules::InputSpec& input : tool.inputs)
    inputs.emplace_back(json::object{
        {"name", input.name}, {"type", word(input.type)}, {"optional", input.optional}});
  const bool builtin = tool.kind == authority::ToolKind::builtin;
  json::object out{{"name", tool.name},
                   {"kind", kind_word(tool.kind)},
                   {"effect", word(tool.effect)},
                   {"digest", nullptr},
                   {"inputs", std::move(inputs)}};
  if (!builtin) out["digest"] = tool.digest.hex();
  const auto put = [&out](const char* name, const std::string& words) {
    const bool fits = words.size() <= limits::kToolDescriptionBytesMax;
    if (!words.empty())
      out[name] = fits ? words : cut_text(words, limits::kToolDescriptionBytesMax);
  };
  put("title", tool.title);
  put("description", tool.description);
  if (!tool.secrets.empty()) out["secrets"] = json::value_from(tool.secrets);
  return out;
}

}  // namespace

Result<authority::Tools> tools_list(const std::string& state) {
  TAPER_CHECK(node_record(state));
  authority::Tools tools = authority::builtin_tools();
  TAPER_TRY(authority::Tools declared, load_tools(tool_directories(state)));
  tools.merge(std::move(declared));
  return tools;
}

std::string tools_json(const authority::Tools& tools) {
  json::array list;
  for (const auto& [name, tool] : tools) list.emplace_back(tool_json(tool));
  return json::serialize(json::object{{"tools", std::move(list)}});
}

}  // namespace taper::broker
