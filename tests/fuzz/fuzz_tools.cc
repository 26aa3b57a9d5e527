// links: taper_broker
// Files of tools.d and a server's definitions: what is taken is written and read again as it was,
// and what an agent is told of it keeps its bounds.
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/tool_files.h"
#include "runtime/broker/tool_schema.h"
#include "runtime/broker/tool_words.h"
#include "runtime/broker/upstream_words.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;

void tell(const authority::Tool& tool) {
  std::vector<capsules::ArgRule> rules;
  for (const capsules::InputSpec& input : tool.inputs)
    rules.push_back({input.name, input.optional, {capsules::AnyValue{}}});
  const broker::GrantedArguments way{{&rules}};
  const capsules::Value schema = broker::input_schema(tool, {&way, 1});
  const std::string text = write_canonical(schema);
  TAPER_ASSERT(is_utf8(text));
  TAPER_ASSERT(text.size() <= limits::kToolSchemaBytesMax);
  TAPER_ASSERT(broker::tool_description(tool).size() <= limits::kToolSchemaBytesMax);
  TAPER_ASSERT(broker::tool_title(tool).size() <= limits::kToolDescriptionBytesMax);
  (void)broker::annotations(tool, broker::Repeats::unknown);
  (void)broker::pinned_output_schema(tool);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(ByteSpan(data, size));
  (void)broker::parse_tool_file("fs", text);
  if (const auto pins = broker::parse_pins(text); pins.ok()) {
    const std::string written = write_pins(*pins);
    const auto again = broker::parse_pins(written);
    TAPER_ASSERT(again.ok() && write_pins(*again) == written);
  }
  TAPER_ASSERT(broker::read_left_out(text).size() <= limits::kUpstreamToolsMax);
  const auto definitions = broker::read_definitions(text);
  if (!definitions.ok()) return 0;
  broker::UpstreamServer server;
  server.name = "fs";
  server.argv = {"/usr/bin/env"};
  server.effect = capsules::Effect::read;
  server.tools["read"].paths = {"path"};
  for (const auto& [name, definition] : *definitions) {
    const auto tool = upstream_tool(server, definition);
    if (!tool.ok()) continue;
    TAPER_ASSERT(tool->name == "fs." + name && broker::is_tool_name(tool->name));
    tell(*tool);
    fuzz::planted_bug(name.find('7') != std::string::npos);
  }
  return 0;
}
