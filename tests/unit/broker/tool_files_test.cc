// tools.d: what a file may say, who may write it, which file counts.
#include "runtime/broker/tool_files.h"

#include "runtime/base/limits.h"
#include "tests/unit/broker/tools_folder.h"

namespace taper::broker {
namespace {

constexpr const char* kGrep = R"(
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/env", ["-m", {arg = "most", option_value = true}],
        "-e", {arg = "pattern"}, "--", {arg = "path"}]
[input]
pattern = {type = "string"}
path = {type = "path"}
most = {type = "integer", optional = true}
)";

std::string with(std::string_view what, std::string_view instead) {
  std::string text = kGrep;
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), instead);
}

Result<authority::Tool> parse_tool(std::string_view name, std::string_view toml) {
  TAPER_TRY(ToolFile file, parse_tool_file(name, toml));
  return std::get<authority::Tool>(std::move(file));
}

TEST_CASE("a whole tool file", "[broker][tools][R35]") {
  const Result<authority::Tool> tool = parse_tool("logs.grep", kGrep);
  REQUIRE(tool.ok());
  CHECK(tool->name == "logs.grep");
  CHECK(tool->kind == authority::ToolKind::command);
  CHECK(tool->effect == capsules::Effect::read);
  CHECK_FALSE(tool->json_output);
  REQUIRE(tool->argv.size() == 6);
  CHECK(tool->argv[1].group.size() == 2);
  CHECK(tool->argv[1].group[1].option_value);
  CHECK(tool->argv[3].argument == "pattern");
  CHECK(tool->inputs.size() == 3);
}

TEST_CASE("a tool's environment is fixed pairs, and pinned", "[broker][tools][R18]") {
  const auto defined = [](const std::string& lines) {
    Result<authority::Tool> tool = parse_tool("logs.grep", with("output =", lines + "output ="));
    INFO((tool.ok() ? "" : to_line(tool.error())));
    REQUIRE(tool.ok());
    authority::define_tool(*tool);
    return std::move(tool).value();
  };
  const authority::Tool bare = defined("");
  CHECK(bare.env.empty());
  CHECK(defined("env = {}\n").digest == bare.digest);
  const authority::Tool some = defined("env = {_z = \"1\", B2 = \"\", A = \"x=y z\"}\n");
  CHECK(some.env == std::vector<std::string>{"A=x=y z", "B2=", "_z=1"});
  CHECK(some.digest != bare.digest);
  CHECK(defined("env = {A = \"x=y z\", B2 = \"\", _z = \"1\"}\n").digest == some.digest);
  CHECK(defined("env = {A = \"x=y\", B2 = \"\", _z = \"1\"}\n").digest != some.digest);
  std::string many;
  for (std::size_t i = 0; i <= limits::kToolEnvMax; ++i)
    many += (i == 0 ? "N" : ", N") + std::to_string(i) + " = \"\"";
  const std::string big = std::string(limits::kToolEnvBytesMax / 4, 'x');
  std::string full;
  for (const char* name : {"A", "B", "C", "D"}) full += std::string(name) + " = \"" + big + "\", ";
  full.resize(full.size() - 2);
  for (const auto& [lines, field] : std::vector<std::pair<std::string, std::string>>{
           {"env = [\"A=1\"]", "env"},
           {"env = {" + many + "}", "env"},
           {"env = {" + full + "}", "env"},
           {"env = {A = 1}", "env.A"},
           {"env = {A = \"\\u0000\"}", "env.A"},
           {"env = {\"1A\" = \"x\"}", "env.1A"},
           {"env = {\"A-B\" = \"x\"}", "env.A-B"},
           {"env = {\"\" = \"x\"}", "env."},
           {"env = {LD_PRELOAD = \"/tmp/x.so\"}", "env.LD_PRELOAD"}}) {
    CAPTURE(lines);
    const auto tool = parse_tool("t", with("output =", lines + "\noutput ="));
    REQUIRE(tool.code() == Code::tool_file_malformed);
    CHECK(tool.error().detail().field == field);
  }
}

TEST_CASE("a tool's title and description are pinned, and absent ones change nothing",
          "[broker][tools][R18]") {
  const auto defined = [](const std::string& text) {
    Result<authority::Tool> tool = parse_tool("logs.grep", text);
    REQUIRE(tool.ok());
    authority::define_tool(*tool);
    return std::move(tool).value();
  };
  const authority::Tool bare = defined(kGrep);
  CHECK(bare.title.empty());
  CHECK(bare.description.empty());
  // As it was before there were such words: the digests in capsules stay good.
  CHECK(bare.definition ==
        R"({"argv":["/usr/bin/env",["-m",{"arg":"most","option_value":true}],"-e",)"
        R"({"arg":"pattern","option_value":false},"--",{"arg":"path","option_value":false}],)"
        R"("effect":"read","inputs":[{"name":"most","optional":true,"type":"integer"},)"
        R"({"name":"path","optional":false,"type":"path"},)"
        R"({"name":"pattern","optional":false,"type":"string"}],)"
        R"("kind":"command","name":"logs.grep","output":"text"})");
  const authority::Tool titled = defined(with("output =", "title = \"Search a log\"\noutput ="));
  CHECK(titled.title == "Search a log");
  CHECK(titled.digest != bare.digest);
  const authority::Tool described =
      defined(with("output =", "description = \"Finds lines.\"\noutput ="));
  CHECK(described.description == "Finds lines.");
  CHECK(described.digest != bare.digest);
  CHECK(described.digest != titled.digest);
}

TEST_CASE("a tool file that is wrong names the key", "[broker][tools][R7]") {
  const struct {
    std::string text;
    std::string field;
  } rows[] = {
      {"kind = ", "line 1"},
      {"", "kind"},
      {with("\"command\"", "\"service\""), "kind"},
      {with("\"read\"", "\"delete\""), "effect"},
      {with("\"text\"", "\"xml\""), "output"},
      {with("output = \"text\"", ""), "output"},
      {with("effect = \"read\"", "effect = \"read\"\ncolour = 1"), "colour"},
      {with("/usr/bin/env", "env"), "argv[0]"},
      {with("\"/usr/bin/env\"", "{arg = \"path\"}"), "argv[0]"},
      {with("\"-e\"", "7"), "argv[2]"},
      {with("\"-e\"", "\"\""), "argv[2]"},
      {with("\"-e\"", "\"a\\u0000b\""), "argv[2]"},
      {with("{arg = \"pattern\"}", "{arg = \"pattern\", quote = true}"), "argv[3].quote"},
      {with("{arg = \"pattern\"}", "{option_value = true}"), "arg"},
      {with("{arg = \"pattern\"}", "{arg = \"other\"}"), "input.pattern"},
      {with("pattern = {type = \"string\"}", ""), "argv"},
      {with("pattern = {type = \"string\"}", "pattern = \"string\""), "input.pattern"},
      {with("{type = \"path\"}", "{type = \"file\"}"), "input.path.type"},
      {with("{type = \"path\"}", "{type = \"path\", under = \"/\"}"), "input.path.under"},
      {with("optional = true", "optional = 1"), "input.most.optional"},
      {with("output =", "title = 1\noutput ="), "title"},
      {with("output =", "title = \"\"\noutput ="), "title"},
      {with("output =", "title = \"a\\u001bb\"\noutput ="), "title"},
      {with("output =", "title = \"" + std::string(129, 'x') + "\"\noutput ="), "title"},
      {with("output =", "description = \"a\\nb\"\noutput ="), "description"},
      {with("output =", "description = \"" + std::string(1025, 'x') + "\"\noutput ="),
       "description"},
      {with("[\"-m\"", "[[[[[\"-m\"]]]]"), "argv[1][0][0][0]"},
  };
  for (const auto& row : rows) {
    const Result<authority::Tool> tool = parse_tool("t", row.text);
    INFO(row.text);
    REQUIRE(tool.code() == Code::tool_file_malformed);
    CHECK(tool.error().detail().field == row.field);
  }
  CHECK(parse_tool("t", std::string(limits::kToolFileBytesMax + 1, '#')).code() ==
        Code::tool_file_malformed);
  CHECK(parse_tool("t", "kind = \"\xff\"").code() == Code::tool_file_malformed);
}

TEST_CASE("tool names are plain file names", "[broker][tools]") {
  for (const char* good : {"grep", "logs.grep", "a-b_c.9"}) CHECK(is_tool_name(good));
  for (const char* bad : {"", ".grep", "9a", "a/b", "..", "a b", "ä", "-a"})
    CHECK_FALSE(is_tool_name(bad));
}

TEST_CASE("the first directory that has the file decides", "[broker][tools]") {
  const ToolsFolder first, second;
  first.put("one.toml", kGrep);
  second.put("one.toml", "broken");
  second.put("two.toml", kGrep);
  second.put("notes.txt", "no tool");
  const std::vector<std::string> both = {first.path(), second.path()};
  const auto one = load_tool(both, "one");
  REQUIRE(one.ok());
  REQUIRE(one->has_value());
  CHECK_FALSE((*one)->tool.digest.is_zero());
  const auto three = load_tool(both, "three");
  REQUIRE(three.ok());
  CHECK_FALSE(three->has_value());
  const auto tools = load_tools(both);
  REQUIRE(tools.ok());
  CHECK(tools->size() == 2);
  CHECK(tools->at("one").digest == (*one)->tool.digest);
  CHECK(tools->contains("two"));
}

TEST_CASE("the digest follows definition and program", "[broker][tools][R18]") {
  const ToolsFolder folder;
  folder.put("a.toml", kGrep);
  const auto before = load_tool({folder.path()}, "a");
  REQUIRE(before.ok());
  folder.put("a.toml", with("\"--\", ", ""));
  const auto argv = load_tool({folder.path()}, "a");
  REQUIRE(argv.ok());
  CHECK((*argv)->tool.digest != (*before)->tool.digest);
  folder.put("a.toml", with("/usr/bin/env", "/usr/bin/id"));
  const auto program = load_tool({folder.path()}, "a");
  REQUIRE(program.ok());
  CHECK((*program)->tool.program != (*before)->tool.program);
  CHECK((*program)->tool.digest != (*before)->tool.digest);
}

TEST_CASE("files that others can write are refused", "[broker][tools][R7]") {
  const ToolsFolder folder;
  folder.put("open.toml", kGrep, 0666);
  folder.put("group.toml", kGrep, 0664);
  folder.put("good.toml", kGrep);
  REQUIRE(::symlink("good.toml", (folder.path() + "/link.toml").c_str()) == 0);
  REQUIRE(::mkdir((folder.path() + "/dir.toml").c_str(), 0755) == 0);
  for (const char* name : {"open", "group", "link", "dir"}) {
    const auto tool = load_tool({folder.path()}, name);
    INFO(name);
    REQUIRE(tool.code() == Code::tool_file_malformed);
    CHECK(tool.error().detail().field.find(name) != std::string::npos);
  }
  CHECK(load_tool({folder.path()}, "good").ok());
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  CHECK(load_tool({folder.path()}, "good").code() == Code::tool_file_malformed);
}

TEST_CASE("a builtin's name and a missing program are refused", "[broker][tools]") {
  const ToolsFolder folder;
  folder.put("file.read.toml", kGrep);
  CHECK(load_tool({folder.path()}, "file.read").code() == Code::tool_file_malformed);
  folder.put("gone.toml", with("/usr/bin/env", "/usr/bin/no-such-program"));
  const auto gone = load_tool({folder.path()}, "gone");
  REQUIRE(gone.code() == Code::program_unfit);
  CHECK(gone.error().detail().field.find("gone.toml") != std::string::npos);
}

TEST_CASE("an agent's file names its program, which is pinned with its script",
          "[broker][tools][R18]") {
  const ToolsFolder folder;
  const ToolsFolder files;
  files.put("main.py", "print(1)");
  const std::string script = files.path() + "/main.py";
  const std::string text = "kind = \"agent\"\nargv = [\"/usr/bin/env\", \"" + script +
                           "\"]\nfiles = [\"" + files.path() + "\"]\n";
  folder.put("planner.toml", text);
  const auto load = [&] {
    Result<std::optional<LoadedTool>> loaded = load_tool({folder.path()}, "planner");
    REQUIRE(loaded.ok());
    REQUIRE(loaded->has_value());
    // A copy of its script is at hand.
    REQUIRE((*loaded)->entry.size() == 1);
    CHECK((*loaded)->entry[0].hash() == (*loaded)->tool.entry[0].bytes);
    return std::move((*loaded)->tool);
  };
  const authority::Tool tool = load();
  CHECK(tool.kind == authority::ToolKind::agent);
  CHECK(tool.argv.size() == 2);
  REQUIRE(tool.files.size() == 1);
  CHECK(tool.files[0].directory);
  CHECK(tool.files[0].program);
  REQUIRE(tool.entry.size() == 1);
  CHECK(tool.entry[0].path == script);
  CHECK_FALSE(tool.program.is_zero());
  const Result<authority::Tools> all = load_tools({folder.path()});
  REQUIRE(all.ok());
  CHECK(all->at("planner").digest == tool.digest);
  files.put("main.py", "print(2)");
  CHECK(load().digest != tool.digest);

  const auto wrong = [](const std::string& file) { return parse_tool("planner", file).code(); };
  CHECK(wrong(text) == Code::ok);
  CHECK(wrong("kind = \"agent\"\n") == Code::tool_file_malformed);
  CHECK(wrong("kind = \"agent\"\nargv = [\"env\"]\n") == Code::tool_file_malformed);
  CHECK(wrong(text + "effect = \"read\"\n") == Code::tool_file_malformed);
  CHECK(wrong(text + "secrets = [\"db\"]\n") == Code::tool_file_malformed);
}

}  // namespace
}  // namespace taper::broker
