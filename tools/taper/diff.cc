#include "capsules/author/diff.h"

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

struct Diff {
  std::string first, second, root, tools;
};

std::string verb_word(capsules::Verb verb) {
  return verb == capsules::Verb::call ? "" : "another verb than 'call' of ";
}

Result<capsules::UntrustedCapsule> read_side(const std::string& path, const std::string& root) {
  TAPER_TRY(const Bytes file, read_capsule(path));
  return read_chain(file, root);
}

Result<capsules::Value> example_value(const capsules::DiffExample& example) {
  const bool first = example.allowed_by == capsules::Which::first;
  capsules::Object out{{"allowed_by", first ? "A" : "B"},
                       {"refused_by", first ? "B" : "A"},
                       {"why", text_value(example.why)}};
  if (example.tool.empty()) return capsules::Value(std::move(out));
  out.emplace_back("tool", text_value(example.tool));
  TAPER_TRY(capsules::Value arguments,
            capsules::parse_value(as_bytes(example.arguments), limits::kArgumentBytesMax));
  out.emplace_back("args", std::move(arguments));
  return capsules::Value(std::move(out));
}

void say_example(const Diff& options, const capsules::DiffExample& example, Output& out) {
  const bool first = example.allowed_by == capsules::Which::first;
  const std::string& allows = first ? options.first : options.second;
  const std::string& refuses = first ? options.second : options.first;
  std::string line = "  allowed by " + escape_text(allows) + ", refused by " + escape_text(refuses);
  if (!example.tool.empty()) {
    line += ": " + verb_word(example.verb) + escape_text(example.tool) + " " +
            escape_text(example.arguments);
  }
  out.line(line);
  out.line("    " + escape_text(example.why));
}

Status capsule_diff(const Diff& options, Output& out) {
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  TAPER_TRY(const capsules::UntrustedCapsule first, read_side(options.first, options.root));
  TAPER_TRY(const capsules::UntrustedCapsule second, read_side(options.second, options.root));
  const capsules::Difference difference = capsules::diff(first, second, tools);
  out.set("relation", relation_name(difference.relation));
  out.line("relation: " + std::string(relation_name(difference.relation)));
  capsules::Array examples;
  for (const capsules::DiffExample& example : difference.examples) {
    say_example(options, example, out);
    TAPER_TRY(examples.emplace_back(), example_value(example));
  }
  capsules::Array notes;
  for (const std::string& note : difference.notes) {
    out.line("  note: " + escape_text(note));
    notes.emplace_back(text_value(note));
  }
  if (!difference.undecided.empty()) out.line("  undecided: " + escape_text(difference.undecided));
  out.set("example", examples.empty() ? capsules::Value() : examples.front());
  out.set("examples", std::move(examples));
  out.set("notes", std::move(notes));
  out.set("undecided", text_value(difference.undecided));
  return success();
}

}  // namespace

void add_diff_verb(Command& command, CLI::App* capsule) {
  auto options = std::make_shared<Diff>();
  CLI::App* diff = command.verb(
      capsule, "diff",
      "Say what B is beside A: narrower (it allows less), wider, equal or incomparable",
      "taper capsule diff task.capsule helper.capsule",
      [&command, options] { return capsule_diff(*options, command.out); });
  diff->add_option("A", options->first, "The capsule to compare with, binary or armoured")
      ->required();
  diff->add_option("B", options->second, "The capsule that is said to be narrower, wider …")
      ->required();
  diff->add_option("--root", options->root, "Verify both against this trust root first");
  diff->add_option("--tools", options->tools,
                   "The node's tools, as 'taper tools list --json' printed them");
}

}  // namespace taper::tools
