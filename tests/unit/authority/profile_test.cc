#include "runtime/authority/profile.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "runtime/authority/command.h"

namespace taper::testing {
namespace {

using authority::GrantedTree;
using authority::Tool;
using authority::ToolKind;
using capsules::ArgRule;
using capsules::Effect;
using capsules::InputType;
using capsules::Value;

Tool command(Effect effect) {
  Tool tool;
  tool.name = "grep";
  tool.kind = ToolKind::command;
  tool.effect = effect;
  tool.inputs = {{"pattern", InputType::string, false},
                 {"path", InputType::path, false},
                 {"count", InputType::integer, true}};
  tool.argv = {{"/usr/bin/grep", "", false, {}},
               {"", "", false, {{"-m", "", false, {}}, {"", "count", true, {}}}},
               {"-e", "", false, {}},
               {"", "pattern", true, {}},
               {"--", "", false, {}},
               {"", "path", false, {}}};
  return tool;
}

Tool builtin(std::string name, Effect effect) {
  Tool tool;
  tool.name = std::move(name);
  tool.kind = ToolKind::builtin;
  tool.effect = effect;
  tool.inputs = {{"path", InputType::path, false}};
  return tool;
}

std::vector<ArgRule> path_rule(std::vector<capsules::Constraint> all) {
  return {{"path", false, std::move(all)}};
}

std::vector<GrantedTree> trees(const std::vector<ArgRule>& args, const Tool& tool) {
  auto compiled = authority::compile_trees(args, tool, {"/var/lib/taper"});
  REQUIRE(compiled.code() == Code::ok);
  return std::move(compiled).value();
}

TEST_CASE("path rules become the trees of a cell", "[authority][R29]") {
  const Tool grep = command(Effect::read);
  const Tool tee = command(Effect::write);
  const Tool read = builtin("file.read", Effect::read);
  const Tool write = builtin("file.write", Effect::write);
  const Tool list = builtin("file.list", Effect::read);
  const auto under = path_rule({capsules::Under{"/var/log"}});
  const auto file = path_rule({capsules::Equals{Value("/srv/a/x.md")}});
  using Trees = std::vector<GrantedTree>;
  CHECK(trees(under, grep) == Trees{{"/var/log", true, false}});
  CHECK(trees(under, write) == Trees{{"/var/log", true, true}});
  CHECK(trees(file, grep) == Trees{{"/srv/a/x.md", false, false}});
  CHECK(trees(file, tee) == Trees{{"/srv/a/x.md", false, true}});
  CHECK(trees(file, read) == Trees{{"/srv/a/x.md", false, false}});
  CHECK(trees(file, write) == Trees{{"/srv/a", true, true}});
  CHECK(trees(file, list) == Trees{{"/srv/a/x.md", true, false}});

  // All constraints hold together: files outside the tree are no files of the grant.
  const auto both = path_rule(
      {capsules::Under{"/srv/a"}, capsules::OneOf{{Value("/srv/a/1"), Value("/etc/passwd")}}});
  CHECK(trees(both, read) == Trees{{"/srv/a/1", false, false}});
  const auto nested = path_rule({capsules::Under{"/srv"}, capsules::Under{"/srv/a"}});
  CHECK(trees(nested, read) == Trees{{"/srv/a", true, false}});
  const auto apart = path_rule({capsules::Under{"/srv"}, capsules::Under{"/opt"}});
  CHECK(trees(apart, read).empty());
}

capsules::Constraint under(std::string tree) { return capsules::Under{std::move(tree)}; }
capsules::Constraint equals(std::string_view path) { return capsules::Equals{Value(path)}; }

TEST_CASE("nested path rules become trees, never more than they allow", "[authority][R29]") {
  using capsules::AllOf;
  using capsules::AnyOf;
  const Tool read = builtin("file.read", Effect::read);
  const Tool write = builtin("file.write", Effect::write);
  using Trees = std::vector<GrantedTree>;
  const GrantedTree data{"/srv/data", true, false};
  const auto of = [&](std::vector<capsules::Constraint> all) {
    return trees(path_rule(std::move(all)), read);
  };
  const auto code = [&](std::vector<capsules::Constraint> all) {
    return authority::compile_trees(path_rule(std::move(all)), read, {"/var/lib/taper"}).code();
  };
  CHECK(of({AllOf{{under("/srv/data"), capsules::Suffix{".log"}}}}) == Trees{data});
  CHECK(of({AllOf{{under("/srv"), AllOf{{under("/srv/data")}}}}}) == Trees{data});
  CHECK(of({AnyOf{{under("/srv/data"), equals("/opt/x")}}}) ==
        Trees{data, {"/opt/x", false, false}});
  CHECK(trees(path_rule({AnyOf{{under("/srv/data"), equals("/opt/x")}}}), write) ==
        Trees{{"/srv/data", true, true}, {"/opt", true, true}});
  // Every alternative is bounded by what stands beside the any_of.
  CHECK(of({under("/srv"), AnyOf{{under("/srv/data"), under("/opt"), equals("/etc/x")}}}) ==
        Trees{data});
  CHECK(of({under("/srv/data"), AnyOf{{under("/srv"), capsules::AnyValue{}}}}) == Trees{data});
  CHECK(of({AnyOf{{AllOf{{under("/srv"), under("/opt")}}, under("/srv/data")}}}) == Trees{data});
  CHECK(of({AnyOf{{equals("/srv/a"), equals("/srv/b")}}, equals("/srv/b")}) ==
        Trees{{"/srv/b", false, false}});
  // The time of the call is not known when the cell is planned.
  CHECK(of({equals("/srv/a"), capsules::TimeOfDay{0, 60, 0}}) == Trees{{"/srv/a", false, false}});
  // What names no path, or names it only in part, grants none.
  CHECK(code({AnyOf{{under("/srv/data"), capsules::Prefix{"/opt"}}}}) == Code::tree_refused);
  CHECK(code({AnyOf{{under("/srv/data"), capsules::AnyValue{}}}}) == Code::tree_refused);
  CHECK(code({capsules::NotOneOf{{Value("/etc/passwd")}}}) == Code::tree_refused);
  CHECK(code({capsules::Suffix{".log"}}) == Code::tree_refused);
  CHECK(code({AnyOf{{under("/srv/data"), under("/var/lib")}}}) == Code::tree_refused);
  CHECK(of({under("/srv/data"), capsules::NotOneOf{{Value("/srv/data/x")}}}) == Trees{data});
  CHECK(of({AnyOf{{equals("x"), equals("/srv/../etc")}}}).empty());
}

TEST_CASE("an `under` inside of arrays and objects becomes a tree", "[authority][R29]") {
  Tool tool = command(Effect::read);
  tool.inputs = {{"files", InputType::json, false}, {"where", InputType::string, true}};
  using Trees = std::vector<GrantedTree>;
  const auto of = [&tool](const char* name, std::vector<capsules::Constraint> all) {
    return trees({{name, false, std::move(all)}}, tool);
  };
  const GrantedTree data{"/srv/data", true, false};
  CHECK(of("files", {capsules::Each{{under("/srv/data")}}}) == Trees{data});
  CHECK(of("files", {capsules::Each{{under("/srv")}}, capsules::Each{{under("/srv/data")}}}) ==
        Trees{data});
  CHECK(of("files", {capsules::Argv{{equals("cat"), under("/srv/data")}}}) == Trees{data});
  CHECK(of("files", {capsules::Fields{{{"in", false, {under("/srv/data")}},
                                       {"n", true, {capsules::AtMost{3}}}}}}) == Trees{data});
  CHECK(of("files", {capsules::AnyOf{{capsules::Each{{under("/srv/data")}}, equals("none")}}}) ==
        Trees{data});
  CHECK(of("files", {capsules::AnyValue{}}).empty());
  CHECK(of("files", {capsules::Each{{equals("/srv/data/x")}}}).empty());  // not said to be a path
  CHECK(of("where", {under("/srv/data"), equals("/srv/data/x")}) ==
        Trees{{"/srv/data/x", false, false}});
  const auto open =
      capsules::Each{{capsules::AnyOf{{under("/srv/data"), equals("-"), capsules::Prefix{"/"}}}}};
  CHECK(authority::compile_trees({{"files", false, {open}}}, tool, {}).code() ==
        Code::tree_refused);
}

TEST_CASE("rules about the same parts narrow each other's trees", "[authority][R29]") {
  using capsules::AnyOf;
  using capsules::Argv;
  using capsules::Each;
  using capsules::Fields;
  Tool tool = command(Effect::read);
  tool.inputs = {{"files", InputType::json, false}};
  const auto compiled = [&tool](std::vector<capsules::Constraint> all) {
    return authority::compile_trees({{"files", false, std::move(all)}}, tool, {});
  };
  const auto of = [&compiled](std::vector<capsules::Constraint> all) {
    const auto trees = compiled(std::move(all));
    REQUIRE(trees.code() == Code::ok);
    std::string out;
    for (const GrantedTree& tree : *trees) out += tree.path + (tree.directory ? "/ " : " ");
    return out;
  };
  const auto each = [](std::string tree) { return Each{{under(std::move(tree))}}; };
  const auto in = [](std::string name, std::vector<capsules::Constraint> all) {
    return ArgRule{std::move(name), true, std::move(all)};
  };
  // An alternative holds beside everything that stands beside its any_of.
  CHECK(of({each("/srv"), AnyOf{{each("/srv/a"), each("/srv/b")}}}) == "/srv/a/ /srv/b/ ");
  CHECK(of({AnyOf{{each("/srv/a"), each("/etc/x")}}, each("/srv/a/public")}) == "/srv/a/public/ ");
  CHECK(of({AnyOf{{each("/srv/a"), each("/srv/b")}}, AnyOf{{each("/srv/b/c"), each("/opt")}}}) ==
        "/srv/b/c/ ");
  CHECK(of({each("/srv"), AnyOf{{AnyOf{{each("/srv/a"), each("/etc")}}, each("/srv/b")}}}) ==
        "/srv/a/ /srv/b/ ");
  CHECK(of({each("/srv"), AnyOf{{each("/srv/a"), capsules::Count{0, 3}}}}) == "/srv/a/ /srv/ ");
  CHECK(of({each("/srv"), AnyOf{{each("/srv/a"), equals("none")}}}) == "/srv/a/ ");
  CHECK(of({each("/srv"), AnyOf{{each("/srv/a"), Fields{{in("f", {under("/opt")})}}}}}) ==
        "/srv/a/ ");
  // A word is an item, too.
  CHECK(of({each("/srv/data"), Argv{{under("/srv")}}}) == "/srv/data/ ");
  CHECK(of({each("/srv"), Argv{{equals("/srv/x"), capsules::AnyValue{}}}}) == "/srv/x /srv/ ");
  CHECK(of({Argv{{under("/srv"), equals("-")}}, Argv{{under("/srv/a"), equals("-")}}}) ==
        "/srv/a/ ");
  CHECK(of({Argv{{under("/srv")}}, Argv{{under("/srv"), under("/opt")}}}).empty());
  // A member needs a rule in every closed object.
  CHECK(of({Fields{{in("f", {under("/srv")}), in("g", {under("/opt")})}},
            Fields{{in("f", {under("/srv/a")})}}}) == "/srv/a/ ");
  CHECK(of({Fields{{in("f", {each("/srv"), AnyOf{{each("/srv/a"), each("/opt")}}})}}}) ==
        "/srv/a/ ");
  // What is open on one side is bounded by the other; what is open on both is refused.
  const AnyOf half{{under("/srv/a"), capsules::Prefix{"/"}}};
  CHECK(of({Each{{half}}, each("/srv")}) == "/srv/ ");
  CHECK(compiled({Each{{half}}, AnyOf{{each("/srv"), capsules::Count{0, 3}}}}).code() ==
        Code::tree_refused);
}

TEST_CASE("alternatives are combined up to a limit", "[authority]") {
  Tool tool = command(Effect::read);
  tool.inputs = {{"files", InputType::json, false}};
  const auto code = [&tool](std::size_t choices) {
    const capsules::Constraint tree = capsules::Each{{under("/srv")}};
    std::vector<capsules::Constraint> all(choices, capsules::AnyOf{{tree, tree}});
    return authority::compile_trees({{"files", false, std::move(all)}}, tool, {}).code();
  };
  CHECK(code(8) == Code::ok);  // 256 combinations
  CHECK(code(10) == Code::tree_refused);
  CHECK(code(16) == Code::tree_refused);
}

// Whatever a call names under rules made at random is mounted.
TEST_CASE("every path that random rules allow has its tree", "[authority][R29]") {
  std::mt19937 engine(29);
  const auto below = [&engine](std::size_t n) { return engine() % n; };
  const auto path = [&below] {
    static const char* const kPaths[] = {"/s", "/s/a", "/s/a/b", "/s/c", "/t", "/t/a"};
    return std::string(kPaths[below(std::size(kPaths))]);
  };
  const std::function<capsules::Constraint(int)> rule = [&](int depth) -> capsules::Constraint {
    const auto some = [&] {
      std::vector<capsules::Constraint> out;
      for (std::size_t i = 0; i <= below(2); ++i) out.push_back(rule(depth - 1));
      return out;
    };
    const std::size_t kind = depth == 0 ? 0 : below(6);
    if (kind == 1) return capsules::Each{{under(path())}};
    if (kind == 2) return capsules::Argv{{under(path()), under("/s")}};
    if (kind == 3) return capsules::AllOf{some()};
    if (kind == 4) return capsules::AnyOf{some()};
    if (kind == 5) return capsules::Each{{capsules::AnyOf{{under(path()), under(path())}}}};
    return capsules::Each{{under(path())}};
  };
  Tool tool = command(Effect::read);
  tool.inputs = {{"files", InputType::json, false}};
  std::size_t allowed = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::vector<ArgRule> args = {{"files", false, {rule(3), rule(2)}}};
    const auto mounts = authority::compile_trees(args, tool, {});
    REQUIRE(mounts.code() == Code::ok);
    for (int call = 0; call < 8; ++call) {
      const std::vector<std::string> words = {path(), path()};
      const capsules::Object arguments{
          {"files", capsules::Array{Value(words[0]), Value(words[1])}}};
      if (!capsules::check_arguments(args, tool.inputs, arguments).ok()) continue;
      ++allowed;
      for (const std::string& word : words) {
        CHECK(std::ranges::any_of(*mounts, [&word](const GrantedTree& tree) {
          return tree.directory ? capsules::is_under(word, tree.path) : word == tree.path;
        }));
      }
    }
  }
  CHECK(allowed > 1000);
}

TEST_CASE("a command is refused where it would see what is forbidden", "[authority]") {
  const auto rule = path_rule({capsules::Under{"/srv"}});
  const auto code = [&rule](const Tool& tool, const std::string& forbidden) {
    return authority::compile_trees(rule, tool, {forbidden}).code();
  };
  const Tool grep = command(Effect::read);
  for (const auto* state : {"/usr/local/taper", "/usr", "/lib/taper", "/etc/alternatives/x"}) {
    CHECK(code(grep, state) == Code::tree_refused);
    CHECK(code(builtin("file.read", Effect::read), state) == Code::ok);
  }
  CHECK(code(grep, "/usr2/taper") == Code::ok);
  CHECK(code(grep, "/etc/taper/tools.d") == Code::ok);
}

TEST_CASE("a tree that may not be given is refused", "[authority]") {
  const Tool read = builtin("file.read", Effect::read);
  const auto refused = [&read](std::vector<capsules::Constraint> all) {
    return authority::compile_trees(path_rule(std::move(all)), read, {"/var/lib/taper"}).code();
  };
  for (const auto* tree : {"/", "/var", "/var/lib/taper", "/var/lib/taper/keys", "/proc", "/proc/1",
                           "/sys/kernel", "/dev/shm"}) {
    CHECK(refused({capsules::Under{tree}}) == Code::tree_refused);
  }
  CHECK(refused({capsules::Equals{Value("/var/lib/taper/data.mdb")}}) == Code::tree_refused);
  CHECK(refused({capsules::AnyValue{}}) == Code::tree_refused);
  CHECK(refused({capsules::Prefix{"/var/log"}}) == Code::tree_refused);
  CHECK(refused({capsules::Under{"/var/lib/taper2"}}) == Code::ok);
  std::vector<Value> many;
  for (std::size_t i = 0; i <= limits::kTreesMax; ++i) {
    many.emplace_back("/srv/" + std::to_string(i));
  }
  CHECK(refused({capsules::OneOf{many}}) == Code::tree_refused);
}

TEST_CASE("a grant only lowers a cell's caps", "[authority]") {
  capsules::CellLimits limits;
  limits.output_bytes = 10;
  limits.memory_bytes = 1LL << 60;
  const authority::CellCaps caps = authority::cell_caps(limits);
  CHECK(caps.output_bytes == 10);
  CHECK(caps.memory_bytes == limits::kCellMemoryBytes);
  CHECK(caps.processes == limits::kCellProcesses);
}

Result<std::vector<std::string>> argv(const Tool& tool, std::string_view arguments) {
  const auto parsed = capsules::parse_arguments(as_bytes(arguments));
  REQUIRE(parsed.code() == Code::ok);
  return authority::render_argv(tool, *parsed);
}

TEST_CASE("a template's words are whole arguments", "[authority][R35]") {
  const Tool grep = command(Effect::read);
  using Words = std::vector<std::string>;
  CHECK(*argv(grep, R"({"count":7,"path":"/var/log/a b","pattern":"x; rm -rf /"})") ==
        Words{"/usr/bin/grep", "-m", "7", "-e", "x; rm -rf /", "--", "/var/log/a b"});
  CHECK(*argv(grep, R"({"path":"/a","pattern":"-v"})") ==
        Words{"/usr/bin/grep", "-e", "-v", "--", "/a"});

  Tool bare = grep;
  bare.argv = {{"/bin/echo", "", false, {}}, {"", "pattern", false, {}}};
  CHECK(argv(bare, R"({"pattern":"-n"})").code() == Code::option_like);
  CHECK(argv(bare, R"({"pattern":"a\u0000b"})").code() == Code::tool_input);
  CHECK(argv(bare, "{\"pattern\":\"" + std::string(limits::kArgvBytesMax, 'x') + "\"}").code() ==
        Code::tool_input);
  bare.argv.resize(limits::kArgvWordsMax + 1, {"x", "", false, {}});
  CHECK(argv(bare, R"({"pattern":"y"})").code() == Code::tool_input);
}

}  // namespace
TEST_CASE("a directory with a mount below it is refused, a mount point itself is not",
          "[authority]") {
  const std::vector<GrantedTree> trees = {{"/srv/data", true, false},
                                          {"/srv/one.txt", false, false}};
  CHECK(authority::check_mounts(trees, {"/", "/srv", "/srv/data", "/srv/database"}).ok());
  CHECK(authority::check_mounts(trees, {"/srv/data/sub"}).code() == Code::tree_refused);
}

TEST_CASE("narrowing never adds a mount", "[authority][R45]") {
  const std::vector<GrantedTree> granted = {{"/srv/data", true, false}, {"/srv/out", true, true}};
  using Trees = std::vector<GrantedTree>;
  CHECK(authority::check_within(Trees{{"/srv/data/a", false, false}, {"/srv/out", true, true}},
                                granted)
            .ok());
  for (const GrantedTree& wider :
       Trees{{"/etc", true, false}, {"/srv", true, false}, {"/srv/data", true, true}}) {
    INFO(wider.path);
    CHECK(authority::check_within({wider}, granted).code() == Code::tree_refused);
  }
}

}  // namespace taper::testing
