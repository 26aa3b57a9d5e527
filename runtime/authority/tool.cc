#include "runtime/authority/tool.h"

#include "capsules/value.h"
#include "crypto/crypto.h"
#include "runtime/base/bytes.h"

namespace taper::authority {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

Array argv_value(const std::vector<ArgvWord>& words) {
  Array out;
  for (const ArgvWord& word : words) {
    if (!word.group.empty()) {
      out.emplace_back(argv_value(word.group));
    } else if (word.argument.empty()) {
      out.emplace_back(word.literal);
    } else {
      out.emplace_back(Object{{"arg", word.argument}, {"option_value", word.option_value}});
    }
  }
  return out;
}

std::string_view kind_word(ToolKind kind) {
  if (kind == ToolKind::upstream) return "mcp";
  if (kind == ToolKind::agent) return "agent";
  return kind == ToolKind::command ? "command" : "builtin";
}

void add_files(const Tool& tool, Object& definition) {
  Array entry;
  for (const EntryFile& file : tool.entry)
    entry.emplace_back(Object{{"hash", file.bytes.hex()}, {"path", file.path}});
  definition.emplace_back("entry", std::move(entry));
  Array files;
  for (const GrantedTree& file : tool.files)
    files.emplace_back(Object{{"directory", file.directory}, {"path", file.path}});
  definition.emplace_back("files", std::move(files));
}

void add_upstream(const Tool& tool, Object& definition) {
  definition.emplace_back("era", tool.era);
  definition.emplace_back("pinned", tool.pinned);
  definition.emplace_back("remote", tool.remote);
}

}  // namespace

Hash tool_digest(std::string_view definition, const Hash& program) {
  const Bytes framed =
      ByteWriter().text("taper tool v1").text(definition).block(program.span()).bytes();
  return crypto::hash(framed);
}

void define_tool(Tool& tool) {
  Array inputs;
  for (const capsules::InputSpec& input : tool.inputs) {
    inputs.emplace_back(
        Object{{"name", input.name}, {"optional", input.optional}, {"type", word(input.type)}});
  }
  Object definition{{"effect", word(tool.effect)},
                    {"inputs", std::move(inputs)},
                    {"kind", kind_word(tool.kind)},
                    {"name", tool.name}};
  if (tool.kind == ToolKind::upstream) add_upstream(tool, definition);
  if (tool.kind == ToolKind::upstream || tool.kind == ToolKind::agent) add_files(tool, definition);
  if (tool.kind == ToolKind::command)
    definition.emplace_back("output", tool.json_output ? "json" : "text");
  if (tool.kind != ToolKind::builtin) {
    definition.emplace_back("argv", argv_value(tool.argv));
    if (!tool.title.empty()) definition.emplace_back("title", tool.title);
    if (!tool.description.empty()) definition.emplace_back("description", tool.description);
    if (!tool.env.empty()) definition.emplace_back("env", Array(tool.env.begin(), tool.env.end()));
    if (!tool.secrets.empty())
      definition.emplace_back("secrets", Array(tool.secrets.begin(), tool.secrets.end()));
  }
  tool.definition = capsules::write_canonical(definition);
  tool.digest = tool_digest(tool.definition, tool.program);
}

Tools builtin_tools() {
  Tools tools;
  for (const capsules::BuiltinSpec& spec : capsules::builtins()) {
    Tool tool;
    tool.name = spec.name;
    tool.kind = ToolKind::builtin;
    tool.effect = spec.effect;
    tool.inputs = spec.inputs;
    define_tool(tool);
    tools.emplace(tool.name, std::move(tool));
  }
  return tools;
}

}  // namespace taper::authority
