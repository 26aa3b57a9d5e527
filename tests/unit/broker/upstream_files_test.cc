// MCP servers in tools.d: what their files and pins may say, and which tools come of it.
#include <filesystem>

#include "capsules/builtins.h"
#include "runtime/base/limits.h"
#include "runtime/broker/tool_shelf.h"
#include "tests/unit/broker/tools_folder.h"

namespace taper::broker {
namespace {

using capsules::Effect;
using capsules::InputType;

constexpr const char* kServer = R"(kind = "mcp"
argv = ["/usr/bin/env", "run", "--all"]
era = "2025-11-25"
files = ["/usr/share"]
effect = "irreversible"
secrets = ["token"]
[tools.read]
effect = "read"
paths = ["path"]
)";

constexpr const char* kRead =
    R"({"name":"read","title":"Read","description":"Reads.","inputSchema":{"type":"object",)"
    R"("properties":{"path":{"type":"string"},"most":{"type":"integer"},"all":{"type":"boolean"},)"
    R"("how":{"enum":["a","b"]}},"required":["path"]}})";
constexpr const char* kDrop = R"({"name":"drop","inputSchema":{"type":"object"}})";

std::string with(std::string text, std::string_view what, std::string_view instead) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), instead);
}

std::string pins(const std::string& tools, const std::string& era = "2025-11-25") {
  return R"({"format":1,"era":")" + era + R"(","tools":[)" + tools + "]}";
}

UpstreamServer server(const std::string& toml = kServer) {
  Result<ToolFile> file = parse_tool_file("fs", toml);
  INFO((file.ok() ? "" : to_line(file.error())));
  REQUIRE(file.ok());
  return std::get<UpstreamServer>(std::move(file).value());
}

Result<authority::Tool> tool_of(const std::string& definition, const std::string& toml = kServer) {
  TAPER_TRY(const Definitions all, read_definitions("[" + definition + "]"));
  return upstream_tool(server(toml), all.begin()->second);
}

// A tools.d with the server "fs" and its pins.
struct Pinned {
  explicit Pinned(const std::string& tools = std::string(kRead) + "," + kDrop) {
    folder.put("fs.toml", kServer);
    folder.put("fs.pins.json", pins(tools));
  }
  Result<std::optional<LoadedTool>> load(const std::string& name) const {
    return load_tool({folder.path()}, name);
  }
  Hash digest(const std::string& name) const {
    const auto loaded = load(name);
    INFO((loaded.ok() ? "" : to_line(loaded.error())));
    REQUIRE(loaded.ok());
    REQUIRE(loaded->has_value());
    return (*loaded)->tool.digest;
  }
  ToolsFolder folder;
};

TEST_CASE("a server's file", "[broker][tools][upstream][R35]") {
  const UpstreamServer whole = server();
  CHECK(whole.argv == std::vector<std::string>{"/usr/bin/env", "run", "--all"});
  CHECK(whole.era == "2025-11-25");
  CHECK(whole.files == std::vector<std::string>{"/usr/share"});
  CHECK(whole.effect == Effect::irreversible);
  CHECK(whole.secrets == std::vector<std::string>{"token"});
  CHECK(whole.env.empty());
  REQUIRE(whole.tools.size() == 1);
  CHECK(whole.tools.at("read").effect == Effect::read);
  CHECK(whole.tools.at("read").paths == std::vector<std::string>{"path"});
}

TEST_CASE("a server's file that is wrong names the key", "[broker][tools][upstream][R7][R65]") {
  const auto changed = [](std::string_view what, std::string_view instead) {
    return with(kServer, what, instead);
  };
  const struct {
    std::string text, field;
  } rows[] = {
      {changed("2025-11-25", "2025-11-26"), "era"},
      {changed("era = \"2025-11-25\"\n", ""), "era"},
      {changed("effect = \"irreversible\"\n", ""), "effect"},
      {changed("irreversible", "all"), "effect"},
      {changed("[tools.read]", "colour = 1\n[tools.read]"), "colour"},
      {changed("[tools.read]", "output = \"text\"\n[tools.read]"), "output"},
      {changed("\"/usr/bin/env\"", "\"env\""), "argv[0]"},
      {changed("\"run\"", "{arg = \"path\"}"), "argv[1]"},
      {changed("\"run\"", "\"\""), "argv[1]"},
      {changed("\"run\"", "\"a\\u0000b\""), "argv[1]"},
      {changed("[\"/usr/bin/env\", \"run\", \"--all\"]", "[]"), "argv"},
      {changed("/usr/share", "/usr/../etc"), "files"},
      {changed("\"/usr/share\"", "\"/\""), "files"},
      {changed("\"/usr/share\"", "\"/a\", \"/a\""), "files"},
      {changed("\"/usr/share\"", "1"), "files"},
      {changed("\"token\"", "\"a/b\""), "secrets"},
      {changed("[tools.read]", "[env]\nLD_PRELOAD = \"x\"\n[tools.read]"), "env.LD_PRELOAD"},
      {changed("effect = \"read\"", "effect = \"delete\""), "tools.read.effect"},
      {changed("effect = \"read\"", "verbs = 1"), "tools.read.verbs"},
      {changed("[\"path\"]", "\"path\""), "tools.read.paths"},
      {changed("[tools.read]\neffect = \"read\"\npaths = [\"path\"]", "[tools]\nread = 1"),
       "tools.read"},
  };
  for (const auto& row : rows) {
    const Result<ToolFile> file = parse_tool_file("fs", row.text);
    INFO(row.text);
    REQUIRE(file.code() == Code::tool_file_malformed);
    CHECK(file.error().detail().field == row.field);
  }
  // The first '.' parts server and tool, so a server's name has none.
  CHECK(parse_tool_file("fs.x", kServer).code() == Code::tool_file_malformed);
}

TEST_CASE("inputs follow from the pinned schema", "[broker][tools][upstream][R35]") {
  const authority::Tool tool = *tool_of(kRead);
  CHECK(tool.kind == authority::ToolKind::upstream);
  CHECK(tool.name == "fs.read");
  CHECK(tool.remote == "read");
  CHECK(tool.effect == Effect::read);
  CHECK(tool.title == "Read");
  CHECK(tool.description == "Reads.");
  CHECK(tool.era == "2025-11-25");
  CHECK(tool.secrets == std::vector<std::string>{"token"});
  REQUIRE(tool.argv.size() == 3);
  CHECK(tool.argv[2].literal == "--all");
  REQUIRE(tool.inputs.size() == 4);
  CHECK((tool.inputs[0].name == "all" && tool.inputs[0].type == InputType::boolean));
  CHECK((tool.inputs[1].name == "how" && tool.inputs[1].type == InputType::json));
  CHECK((tool.inputs[2].name == "most" && tool.inputs[2].type == InputType::integer));
  CHECK((tool.inputs[3].name == "path" && tool.inputs[3].type == InputType::path));
  CHECK(tool.inputs[2].optional);
  CHECK_FALSE(tool.inputs[3].optional);
  // What the file says nothing of has the server's effect, and paths that nobody named are texts.
  CHECK(tool_of(kDrop)->effect == Effect::irreversible);
  const std::string no_words = with(kServer, "[tools.read]", "[tools.other]");
  CHECK(tool_of(kRead, no_words)->inputs[3].type == InputType::string);
  const authority::Tool asked =
      *tool_of(R"({"name":"x","annotations":{"title":"T"},"inputSchema":{"required":["a"]}})");
  CHECK((asked.inputs.size() == 1 && asked.inputs[0].type == InputType::json));
  CHECK_FALSE(asked.inputs[0].optional);
  CHECK(asked.title == "T");
}

TEST_CASE("a definition that cannot be a tool of ours says why", "[broker][tools][upstream]") {
  std::string many;
  for (std::size_t i = 0; i <= limits::kToolInputsMax; ++i)
    many += (i == 0 ? "\"p" : ",\"p") + std::to_string(i) + "\":{}";
  const std::string big(limits::kUpstreamDefinitionBytesMax, 'x');
  const struct {
    std::string text, field;
  } rows[] = {
      {R"({"name":"a b","inputSchema":{}})", "name"},
      {R"({"name":"a/b","inputSchema":{}})", "name"},
      {R"({"name":")" + std::string(limits::kNameBytesMax, 'x') + R"(","inputSchema":{}})", "name"},
      {R"({"name":"x","inputSchema":{"type":"array"}})", "inputSchema.type"},
      {R"({"name":"x","inputSchema":{"properties":[]}})", "inputSchema.properties"},
      {R"({"name":"x","inputSchema":{"properties":{"$a":{}}}})", "inputSchema.properties"},
      {R"({"name":"x","inputSchema":{"properties":{"":{}}}})", "inputSchema.properties"},
      {R"({"name":"x","inputSchema":{"properties":{)" + many + "}}}", "inputSchema.properties"},
      {R"({"name":"x","inputSchema":{"required":[1]}})", "inputSchema.required"},
      {R"({"name":"read","inputSchema":{"properties":{"path":{"type":"integer"}}}})",
       "tools.read.paths"},
      {R"({"name":"read","inputSchema":{}})", "tools.read.paths"},
      {R"({"name":"x","description":")" + big + R"(","inputSchema":{}})", "definition"},
  };
  for (const auto& row : rows) {
    const Result<authority::Tool> tool = tool_of(row.text);
    INFO(row.text.substr(0, 100));
    REQUIRE(tool.code() == Code::tool_file_malformed);
    CHECK(tool.error().detail().field == row.field);
  }
  const auto file = parse_tool_file("file", kServer);
  REQUIRE(file.ok());
  const Definitions read = *read_definitions(std::string("[") + kRead + "]");
  CHECK(upstream_tool(std::get<UpstreamServer>(*file), read.at("read")).code() ==
        Code::tool_file_malformed);
}

TEST_CASE("what a helper left out is read as far as it is as agreed", "[broker][tools][upstream]") {
  using Names = std::map<std::string, std::string>;
  CHECK(read_left_out(R"([{"name":"a","why":"x"},{"name":"b","why":"y","more":1}])") ==
        Names{{"a", "x"}, {"b", "y"}});
  CHECK(read_left_out(
            R"([{"name":"a","why":"x"},{"name":"a","why":"y"},{"name":1,"why":""},7,{}])") ==
        Names{{"a", "x"}});
  for (const char* none : {"", "{}", "[", "[]", R"({"name":"a","why":"x"})"}) {
    CAPTURE(none);
    CHECK(read_left_out(none).empty());
  }
  std::string many = "[";
  for (std::size_t i = 0; i <= limits::kUpstreamToolsMax; ++i)
    many +=
        (i == 0 ? R"({"why":"","name":"n)" : R"(,{"why":"","name":"n)") + std::to_string(i) + "\"}";
  CHECK(read_left_out(many + "]").size() == limits::kUpstreamToolsMax);
}

TEST_CASE("pins are read strictly", "[broker][tools][upstream][R7]") {
  const std::string whole = pins(std::string(kRead) + "," + kDrop);
  const Result<Pins> read = parse_pins(whole);
  REQUIRE(read.ok());
  CHECK(read->tools.size() == 2);
  const std::string written = write_pins(*read);
  CHECK(write_pins(*parse_pins(written)) == written);
  const struct {
    std::string text, field;
  } rows[] = {
      {"", "byte 0"},
      {"[]", ""},
      {"{}", "format"},
      {with(whole, "\"format\":1", "\"format\":2"), "format"},
      {with(whole, "\"format\":1", "\"format\":1.0"), "format"},
      {with(whole, "\"format\":1", "\"format\":1,\"more\":1"), "more"},
      {with(whole, "\"2025-11-25\"", "7"), "era"},
      {with(whole, "\"tools\":[", "\"tools\":[7,"), "tools[0]"},
      {pins(R"({"inputSchema":{}})"), "tools[0].name"},
      {pins(R"({"name":"","inputSchema":{}})"), "tools[0].name"},
      {pins(R"({"name":"a"})"), "tools[0].inputSchema"},
      {pins(R"({"name":"a","inputSchema":true})"), "tools[0].inputSchema"},
      {pins(R"({"name":"a","inputSchema":{},"title":1})"), "tools[0].title"},
      {pins(R"({"name":"a","inputSchema":{},"icons":[]})"), "tools[0].icons"},
      {pins(std::string(kDrop) + "," + kDrop), "tools[1].name"},
  };
  for (const auto& row : rows) {
    const Result<Pins> got = parse_pins(row.text);
    INFO(row.text);
    REQUIRE(got.code() == Code::tool_file_malformed);
    CHECK(got.error().detail().field == row.field);
  }
  // A name twice in one object is another meaning for another reader.
  CHECK(parse_pins(pins(R"({"name":"a","name":"b","inputSchema":{}})")).code() ==
        Code::tool_file_malformed);
  CHECK(parse_pins(pins(R"({"name":"a","inputSchema":)" + std::string(40, '[') +
                        std::string(40, ']') + "}"))
            .code() == Code::tool_file_malformed);
  std::string many;
  for (std::size_t i = 0; i <= limits::kUpstreamToolsMax; ++i)
    many += (i == 0 ? "" : ",") + with(kDrop, "drop", "t" + std::to_string(i));
  CHECK(parse_pins(pins(many)).code() == Code::tool_file_malformed);
  CHECK(parse_pins(std::string(limits::kUpstreamPinsBytesMax + 1, ' ')).code() ==
        Code::tool_file_malformed);
  // The same of a server is its fault.
  CHECK(read_definitions("[" + std::string(kDrop) + "," + kDrop + "]").code() ==
        Code::upstream_broken);
  CHECK(read_definitions("{}").code() == Code::upstream_broken);
}

TEST_CASE("a name is a command's, else one of a server's tools", "[broker][tools][upstream]") {
  const Pinned pinned;
  const auto read = pinned.load("fs.read");
  REQUIRE(read.ok());
  REQUIRE(read->has_value());
  CHECK((*read)->tool.kind == authority::ToolKind::upstream);
  REQUIRE((*read)->tool.files.size() == 1);
  CHECK((*read)->tool.files[0].path == "/usr/share");
  CHECK((*read)->tool.files[0].directory);
  CHECK((*read)->tool.files[0].program);
  CHECK_FALSE((*read)->tool.files[0].writable);
  CHECK((*read)->program.hash() == (*read)->tool.program);
  for (const char* none : {"fs", "fs.other", "fs.", "fs.read.x", "gs.read"}) {
    const auto loaded = pinned.load(none);
    INFO(none);
    REQUIRE(loaded.ok());
    CHECK_FALSE(loaded->has_value());
  }
  pinned.folder.put("fs.read.toml",
                    "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\n"
                    "argv = [\"/usr/bin/env\"]\n");
  CHECK((*pinned.load("fs.read"))->tool.kind == authority::ToolKind::command);
  const Result<authority::Tools> all = load_tools({pinned.folder.path()});
  REQUIRE(all.ok());
  CHECK(all->size() == 2);
  CHECK(all->at("fs.read").kind == authority::ToolKind::command);
  CHECK(all->at("fs.drop").digest == pinned.digest("fs.drop"));
  // A server without pins offers nothing; nor does another directory lend it its own.
  const ToolsFolder bare;
  bare.put("fs.toml", kServer);
  const auto loaded = load_tool({bare.path(), pinned.folder.path()}, "fs.drop");
  REQUIRE(loaded.ok());
  CHECK_FALSE(loaded->has_value());
  CHECK(load_tools({bare.path()})->empty());
}

TEST_CASE("pins must be of the server's era, and safely owned", "[broker][tools][upstream][R7]") {
  const Pinned pinned;
  pinned.folder.put("fs.pins.json", pins(kRead, "2025-06-18"));
  const auto other = pinned.load("fs.read");
  REQUIRE(other.code() == Code::tool_file_malformed);
  CHECK(other.error().detail().field.ends_with("/fs.pins.json: era"));
  // Such pins are no reason not to pin anew.
  const auto file = load_server({pinned.folder.path()}, "fs");
  REQUIRE(file.ok());
  CHECK((*file)->pins->era == "2025-06-18");
  CHECK((*file)->pins_path == pinned.folder.path() + "/fs.pins.json");
  pinned.folder.put("fs.pins.json", pins(kRead), 0666);
  CHECK(pinned.load("fs.read").code() == Code::tool_file_malformed);
  pinned.folder.put("fs.pins.json", pins(kRead), 0644);
  CHECK(pinned.load("fs.read").ok());
  pinned.folder.put("fs.toml", with(kServer, "/usr/share", "/usr/share/no-such-folder"));
  CHECK(pinned.load("fs.read").code() == Code::tool_file_malformed);
}

TEST_CASE("whatever was pinned makes another tool when it changes",
          "[broker][tools][upstream][R18]") {
  const Pinned pinned;
  const Hash before = pinned.digest("fs.read");
  CHECK(pinned.digest("fs.read") == before);
  const auto changed_pins = [&](std::string_view what, std::string_view instead) {
    pinned.folder.put("fs.pins.json", pins(with(kRead, what, instead)));
    return pinned.digest("fs.read");
  };
  CHECK(changed_pins("Reads.", "Reads all.") != before);
  CHECK(changed_pins("\"Read\"", "\"Reader\"") != before);
  CHECK(changed_pins("[\"a\",\"b\"]", "[\"a\"]") != before);
  CHECK(changed_pins("\"inputSchema\"", "\"outputSchema\":{},\"inputSchema\"") != before);
  CHECK(changed_pins("\"inputSchema\"", "\"annotations\":{},\"inputSchema\"") != before);
  // Not the order in which the server tells of it.
  CHECK(changed_pins(R"("title":"Read","description":"Reads.")",
                     R"("description":"Reads.","title":"Read")") == before);
  const auto changed_file = [&](std::string_view what, std::string_view instead) {
    pinned.folder.put("fs.toml", with(kServer, what, instead));
    return pinned.digest("fs.read");
  };
  pinned.folder.put("fs.pins.json", pins(kRead));
  CHECK(changed_file("--all", "--some") != before);
  CHECK(changed_file("/usr/bin/env", "/usr/bin/id") != before);
  CHECK(changed_file("/usr/share", "/usr/lib") != before);
  CHECK(changed_file("effect = \"read\"", "effect = \"write\"") != before);
  CHECK(changed_file("paths = [\"path\"]", "") != before);
  CHECK(changed_file("token", "other") != before);
  CHECK(changed_file("[tools.read]", "[env]\nLEVEL = \"2\"\n[tools.read]") != before);
}

TEST_CASE("a script that changes makes another tool", "[broker][tools][upstream][R18]") {
  const Pinned pinned;
  const std::string script = pinned.folder.path() + "/server.js";
  pinned.folder.put("fs.toml", with(kServer, "\"run\"", '"' + script + '"'));
  const Hash missing = pinned.digest("fs.read");
  pinned.folder.put("server.js", "one");
  const Hash one = pinned.digest("fs.read");
  pinned.folder.put("server.js", "two");
  const Hash two = pinned.digest("fs.read");
  CHECK(one != missing);
  CHECK(two != one);
  pinned.folder.put("server.js", "one");
  CHECK(pinned.digest("fs.read") == one);
  // What was hashed is at hand, whatever becomes of the file.
  const auto loaded = pinned.load("fs.read");
  REQUIRE((loaded.ok() && *loaded && (*loaded)->entry.size() == 1));
  CHECK((*loaded)->entry[0].hash() == (*loaded)->tool.entry[0].bytes);
  pinned.folder.put("server.js", "two");
  std::string copy(3, ' ');
  REQUIRE(::pread((*loaded)->entry[0].fd(), copy.data(), copy.size(), 0) == 3);
  CHECK(copy == "one");
  pinned.folder.put("server.js", "");
  CHECK(pinned.digest("fs.read") != one);
  REQUIRE(::truncate(script.c_str(), limits::kUpstreamEntryBytesMax + 1) == 0);
  CHECK(pinned.load("fs.read").code() == Code::tool_file_malformed);
}

TEST_CASE("a server's words name a bounded number of files", "[broker][tools][upstream]") {
  const Pinned pinned;
  std::string words;
  for (std::size_t i = 0; i <= limits::kEntryFilesMax; ++i) {
    if (i == limits::kEntryFilesMax) CHECK(pinned.load("fs.read").ok());
    pinned.folder.put("f" + std::to_string(i), "x");
    words += (i == 0 ? "\"" : ", \"") + pinned.folder.path() + "/f" + std::to_string(i) + '"';
    pinned.folder.put("fs.toml", with(kServer, "\"run\"", words));
  }
  CHECK(pinned.load("fs.read").code() == Code::tool_file_malformed);
}

TEST_CASE("files are named as they are, as no cell follows a link", "[broker][tools][upstream]") {
  const Pinned pinned;
  const std::string& folder = pinned.folder.path();
  std::filesystem::create_directory(folder + "/real");
  pinned.folder.put("real/a.js", "x");
  std::filesystem::create_symlink(folder + "/real", folder + "/link");
  for (const char* path : {"/real", "/real/a.js"}) {
    pinned.folder.put("fs.toml", with(kServer, "/usr/share", folder + path));
    CHECK(pinned.load("fs.read").ok());
  }
  for (const char* path : {"/link", "/link/a.js"}) {
    pinned.folder.put("fs.toml", with(kServer, "/usr/share", folder + path));
    const auto loaded = pinned.load("fs.read");
    REQUIRE(loaded.code() == Code::tool_file_malformed);
    CHECK(loaded.error().detail().got == "a link");
  }
}

TEST_CASE("a renamed tool is a new one", "[broker][tools][upstream][R18][R70]") {
  const Pinned pinned;
  const Hash read = pinned.digest("fs.read");
  pinned.folder.put("fs.pins.json", pins(with(kRead, "\"read\"", "\"fetch\"")));
  CHECK_FALSE(pinned.load("fs.read")->has_value());
  CHECK(pinned.digest("fs.fetch") != read);
  // And so is that of a server of another name.
  pinned.folder.put("gs.toml", kServer);
  pinned.folder.put("gs.pins.json", pins(kRead));
  pinned.folder.put("fs.pins.json", pins(kRead));
  CHECK(pinned.digest("gs.read") != pinned.digest("fs.read"));
}

TEST_CASE("tools of one server share a copy of its program", "[broker][tools][upstream]") {
  const Pinned pinned;
  ToolShelf shelf({pinned.folder.path()});
  REQUIRE(shelf.load("fs.read").ok());
  REQUIRE(shelf.load("fs.drop").ok());
  REQUIRE(shelf.program("fs.read") != nullptr);
  CHECK(shelf.program("fs.read") == shelf.program("fs.drop"));
  pinned.folder.put("fs.pins.json", pins(kDrop));
  REQUIRE(shelf.load("fs.read").ok());
  CHECK(shelf.find("fs.read") == nullptr);
  CHECK(shelf.program("fs.read") == nullptr);
  CHECK(shelf.program("fs.drop") != nullptr);
  CHECK(shelf.program("time.now") == nullptr);
}

}  // namespace
}  // namespace taper::broker
