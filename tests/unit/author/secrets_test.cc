#include "author_test.h"

#include "capsules/secret.h"

namespace taper::capsules {
namespace {

using testing::all_of;
using testing::errors_of;
using testing::find_finding;
using testing::findings_of;
using testing::parsed;
using testing::source_with;

KnownTools with_commands() {
  KnownTools tools = builtin_known_tools();
  const std::string json = R"({"tools":[
    {"name":"login","kind":"command","effect":"read","digest":")" +
                           std::string(64, 'a') +
                           R"(","inputs":[],"secrets":["db"]},
    {"name":"report","kind":"command","effect":"read","digest":")" +
                           std::string(64, 'b') + R"(","inputs":[],"secrets":["db"]},
    {"name":"plain","kind":"command","effect":"read","digest":")" +
                           std::string(64, 'c') + R"(","inputs":[]}]})";
  REQUIRE(add_known_tools(tools, json).ok());
  return tools;
}

std::string grant(const std::string& tool, char digit, const std::string& more = "") {
  return "[[grant]]\ntool = \"" + tool + "\"\neffect = \"read\"\ndigest = \"" +
         std::string(64, digit) + "\"\n" + more;
}

void check_error(const std::string& source, std::string_view part,
                 Code code = Code::source_invalid) {
  const std::vector<Finding> findings = errors_of(findings_of(source, with_commands()));
  INFO(source << "\n" << all_of(findings));
  const Finding* found = find_finding(findings, part);
  REQUIRE(found != nullptr);
  CHECK(found->code == code);
  CHECK_FALSE(found->fix.empty());
}

void check_good(const std::string& source) {
  const std::vector<Finding> findings = errors_of(findings_of(source, with_commands()));
  INFO(source << "\n" << all_of(findings));
  CHECK(findings.empty());
}

}  // namespace

TEST_CASE("A secret belongs to the grants that it lists or that names it", "[author][secret]") {
  check_good(source_with(grant("login", 'a') +
                         "[[secret]]\nname = \"db\"\ngrants = [\"login\"]\ndestinations = []\n"));
  const std::string named =
      source_with(grant("login", 'a', "secrets = [\"db\"]\n") + "[[secret]]\nname = \"db\"\n");
  check_good(named);
  const Draft draft = parsed(named, with_commands());
  CHECK(draft.capsule.grants[1].secrets == std::vector<std::string>{"db"});
  REQUIRE(draft.capsule.secrets.size() == 1);
  CHECK(draft.capsule.secrets[0].box.empty());
  CHECK_FALSE(encode_capsule(testing::completed(draft)).ok());  // nothing is sealed yet
}

TEST_CASE("Sharing a secret must be declared", "[author][secret][R23]") {
  const std::string both = grant("login", 'a', "secrets = [\"db\"]\n") +
                           grant("report", 'b', "secrets = [\"db\"]\n") +
                           "[[secret]]\nname = \"db\"\n";
  check_error(source_with(both), "is shared by the grants 'login', 'report'");
  check_good(source_with(both + "grants = [\"login\", \"report\"]\n"));
  check_error(source_with(both + "grants = [\"login\"]\n"), "'report' does");
}

TEST_CASE("Every part of a secret's source is checked", "[author][secret][R21]") {
  const std::string login = grant("login", 'a', "secrets = [\"db\"]\n");
  const auto with = [&login](const std::string& lines) {
    return source_with(login + "[[secret]]\n" + lines);
  };
  check_error(with("name = \"db\"\nvalue = \"hunter22\"\n"), "never stands in a source");
  check_error(with("name = \"db\"\nfile = \"db.secret\"\n"), "never stands in a source");
  check_error(with("name = \"db\"\ndestinations = [\"db.example\"]\n"), "destinations",
              Code::not_enforced_yet);
  check_error(with("name = \"../db\"\n"), "secret[0].name");
  check_error(with("grants = [\"login\"]\n"), "secret[0].name", Code::field_missing);
  check_error(with("name = \"db\"\n[[secret]]\nname = \"db\"\n"), "secret[1].name");
  check_error(with("name = \"db\"\ngrants = [\"logim\"]\n"), "'logim' is none");
  check_error(with("name = \"db\"\n[[secret]]\nname = \"spare\"\n"), "no grant gets the secret");
  check_error(source_with(login), "no [[secret]] is called 'db'");
  check_error(with("name = \"db\"\ncolour = 1\n"), "colour");
}

TEST_CASE("A secret goes to pinned commands that read it", "[author][secret][R24]") {
  const std::string secret = "[[secret]]\nname = \"db\"\ngrants = [";
  check_error(
      source_with("[[grant]]\nid = \"clock\"\ntool = \"time.now\"\n" + secret + "\"clock\"]\n"),
      "a builtin gets no secrets: 'time.now'", Code::not_enforced_yet);
  check_error(
      source_with("[[grant]]\ntool = \"login\"\neffect = \"read\"\ndigest = \"unpinned\"\n" +
                  secret + "\"login\"]\n"),
      "only to a tool that is pinned");
  check_error(source_with(grant("plain", 'c') + secret + "\"plain\"]\n"), "other secrets");
  check_error(source_with(grant("login", 'a')), "other secrets");
}

TEST_CASE("Secrets in a command's words are found", "[author][secret][R21]") {
  CHECK(secret_in_words({"/usr/bin/mysql", "--password", "hunter22"}) != "");
  CHECK(secret_in_words({"/usr/bin/mysql", "--password=hunter22"}) != "");
  CHECK(secret_in_words({"/usr/bin/curl", "--header", "Bearer abcdefghijklmnopqrstuvwx"}) != "");
  CHECK(secret_in_words({"/usr/bin/psql", "postgres://app:hunter22@db/x"}) != "");
  CHECK(secret_in_words({"/usr/bin/x", "--api-key", "k1"}) != "");
  CHECK(secret_in_words({"/usr/bin/x", "--password", "/run/secrets/db"}).empty());
  CHECK(secret_in_words({"/usr/bin/x", "--password", "--verbose"}).empty());
  CHECK(secret_in_words({"/usr/bin/x", "--password", ""}).empty());  // an argument's place
  CHECK(secret_in_words({"/usr/bin/grep", "-r", "password"}).empty());
}

TEST_CASE("show tells names and grants, and of the box its size", "[author][secret]") {
  Draft draft = parsed(
      source_with(grant("login", 'a', "secrets = [\"db\"]\n") + "[[secret]]\nname = \"db\"\n"),
      with_commands());
  UntrustedCapsule shown;
  shown.root = testing::completed(draft);
  shown.root.secrets[0].box = Bytes(300, 7);
  const std::string text = show_text(shown, std::nullopt);
  CHECK(text.find("secret db") != std::string::npos);
  CHECK(text.find("300 bytes") != std::string::npos);
  CHECK(show_json(shown).find(R"("secrets":[{"name":"db","box_bytes":300}])") != std::string::npos);
  CHECK(show_json(shown).find(R"("secrets":["db"])") != std::string::npos);
}

}  // namespace taper::capsules
