// Secrets taken out of what a tool gave back.
#include <catch2/catch.hpp>

#include <ctime>
#include <set>

#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "runtime/broker/masker.h"
#include "runtime/broker/result_json.h"

namespace taper::broker {
namespace {

std::vector<authority::CallSecret> secrets_of(
    const std::vector<std::pair<std::string, std::string>>& values) {
  REQUIRE(crypto::initialise().ok());
  std::vector<authority::CallSecret> out;
  for (const auto& [name, value] : values)
    out.push_back({name, crypto::Secret::copy_of(as_bytes(value))});
  return out;
}

std::string masked(const std::string& value, std::string text) {
  Masker masker(secrets_of({{"db", value}}));
  const bool any = masker.mask(text);
  CHECK(any == (masker.names() == std::vector<std::string>{"db"}));
  return text;
}

sandbox::RunReport wrote(std::string out, std::string err = "") {
  sandbox::RunReport report;
  report.end = sandbox::RunEnd::done;
  report.out = std::move(out);
  report.err = std::move(err);
  return report;
}

authority::Tool command(bool json) {
  authority::Tool tool;
  tool.kind = authority::ToolKind::command;
  tool.json_output = json;
  return tool;
}

}  // namespace

TEST_CASE("a secret is masked in each form it is known in", "[broker][masker][R12]") {
  const std::string value = "s3cr\"et\\>>?\n";
  const std::string bare = value.substr(0, value.size() - 1);
  CHECK(masked(value, "a " + bare + " b " + bare) == "a [secret db] b [secret db]");
  CHECK(masked(value, "nothing here") == "nothing here");
  CHECK(masked(value, R"({"p":"s3cr\"et\\>>?"})") == R"({"p":"[secret db]"})");
  CHECK(masked(value, to_hex(as_bytes(bare))) == "[secret db]");
  CHECK(masked(value, "733363722265745C3E3E3F") == "[secret db]");
  CHECK(masked("abcdef", "abcde") == "abcde");
  CHECK(masked("abcde", "abcdef") == "abcdef");  // too short to tell
}

TEST_CASE("base64 is known wherever the secret lies in what was encoded", "[broker][masker][R12]") {
  const std::string value = "p>a?s~s w\xc3\xb6rd";
  for (const std::string before : {"", "u", "us", "use", "user:"}) {
    for (const std::string after : {"", "@", "@h", "@host"}) {
      std::string text = to_base64(as_bytes(before + value + after));
      INFO(text);
      const std::string plain = masked(value, text);
      CHECK(plain.find("[secret db]") != std::string::npos);
      for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
      CHECK(masked(value, text).find("[secret db]") != std::string::npos);
      // What is left on either side is at most the digits shared with a neighbour.
      CHECK(plain.size() <= before.size() * 2 + after.size() * 2 + 11 + 8);
    }
  }
}

TEST_CASE("base64 and hex are known in lines of any length", "[broker][masker][R12]") {
  const std::string value =
      "the-quick-brown-fox-jumps-over-the-lazy-dog/0123456789+abcdefghijklmno";
  for (const std::string before : {"", "u", "user:"}) {
    for (const std::size_t columns : {1U, 19U, 60U, 64U, 76U}) {
      for (const std::string end : {"\n", "\r\n", "\\n", "\n  "}) {
        for (const std::string& digits :
             {to_base64(as_bytes(before + value + "@host")), to_hex(as_bytes(before + value))}) {
          std::string text = "begin ";
          for (std::size_t at = 0; at < digits.size(); at += columns)
            text += digits.substr(at, columns) + end;
          INFO(text);
          const std::string plain = masked(value, text + "ende");
          CHECK(plain.starts_with("begin "));
          CHECK(plain.ends_with(end + "ende"));
          CHECK(plain.find("[secret db]") != std::string::npos);
          CHECK(plain.size() < 100);
        }
      }
    }
  }
}

TEST_CASE("a secret is known however JSON escapes it", "[broker][masker][R12]") {
  const std::string value = "p\xc3\xa4/\xf0\x9f\x94\x91<\"w\\rt\tx";
  for (const std::string escaped : {R"(p\u00e4/\ud83d\udd11<\"w\\rt\tx)",
                                    R"(p\u00E4\/\uD83D\uDD11\u003c\u0022w\u005Crt\u0009x)",
                                    "p\xc3\xa4\\/\xf0\x9f\x94\x91\\u003C\\\"w\\\\rt\\tx"}) {
    INFO(escaped);
    CHECK(masked(value, "{\"a\":\"x\\n" + escaped + "\\u00e4\"}") ==
          "{\"a\":\"x\\n[secret db]\\u00e4\"}");
  }
  // Escapes that are none hide nothing after them.
  for (const std::string odd : {"\\", "\\u12", "\\uzzzz", "\\x", "\\ud83d", "\\ud83d\\n"})
    CHECK(masked("hunter22", odd + "hunter22" + odd) == odd + "[secret db]" + odd);
}

TEST_CASE("keys that become one stay two", "[broker][masker][R12]") {
  Masker masker(secrets_of({{"db", "hunter22"}}));
  Result<capsules::Value> value = capsules::parse_value(
      as_bytes(R"({"68756e7465723232":4,"[secret db]":1,"hunter22":2})"), 1000);
  REQUIRE(value.ok());
  masker.mask(*value);
  const std::string text = capsules::write_canonical(*value);
  CHECK(text == R"({"[secret db]":1,"[secret db] 2":4,"[secret db] 3":2})");
  CHECK(capsules::parse_value(as_bytes(text), 1000).ok());
}

TEST_CASE("very many keys that become one take no longer than as many others", "[broker][masker]") {
  constexpr int kCount = 20'000;
  const auto keys = [](std::string_view text) {
    capsules::Object object;
    for (int i = 0; i < kCount; ++i) object.emplace_back(std::string(text), i);
    for (int i = 0; i < kCount; ++i)
      object.emplace_back("[secret db] " + std::to_string(i), i);  // what would be numbered so
    return capsules::Value(std::move(object));
  };
  const auto processor_ms = [&](capsules::Value value) {
    Masker masker(secrets_of({{"db", "hunter22"}}));
    const std::clock_t begin = std::clock();
    masker.mask(value);
    const std::clock_t end = std::clock();
    std::set<std::string> distinct;
    for (const auto& [name, member] : *value.object()) distinct.insert(name);
    CHECK((distinct.size() == 2 * kCount) == (!masker.names().empty()));
    return 1000 * (end - begin) / CLOCKS_PER_SEC;
  };
  const std::clock_t plain = processor_ms(keys("hunter23"));
  CHECK(processor_ms(keys("hunter22")) < 20 * (plain + 50));
}

TEST_CASE("long lines of a key are masked one by one", "[broker][masker]") {
  const std::string value =
      "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG9w0B\nAQEFAASCAUAwggE8\n--end\n";
  CHECK(masked(value, "  MIIBVgIBADANBgkqhkiG9w0B,AQEFAASCAUAwggE8") ==
        "  [secret db],[secret db]");
}

TEST_CASE("the longer of two secrets goes first", "[broker][masker]") {
  Masker masker(secrets_of({{"short", "abcdef"}, {"long", "abcdefgh"}}));
  std::string text = "abcdefgh abcdef";
  CHECK(masker.mask(text));
  CHECK(text == "[secret long] [secret short]");
}

TEST_CASE("results say what was masked and stay JSON", "[broker][masker][R12]") {
  const auto render = [](bool json, sandbox::RunReport report) {
    const auto rendered =
        render_result(command(json), std::move(report), Masker(secrets_of({{"pin", "12345678"}})));
    REQUIRE(rendered.ok());
    return rendered->json;
  };
  CHECK(render(false, wrote("pin 12345678\n", "12345678")) ==
        R"({"exit":0,"text":"pin [secret pin]\n","stderr":"[secret pin]","masked":["pin"]})");
  CHECK(render(false, wrote("\xff 12345678")) == "{\"exit\":0,\"base64\":\"" +
                                                     to_base64(as_bytes("\xff [secret pin]")) +
                                                     "\",\"masked\":[\"pin\"]}");
  CHECK(render(true, wrote(R"({"a":12345678,"12345678":[1.12345678],"c":"\u00312345678"})")) ==
        R"({"exit":0,"json":{"[secret pin]":["1.[secret pin]"],"a":"[secret pin]",)"
        R"("c":"[secret pin]"},"masked":["pin"]})");
  CHECK(render(false, wrote("nothing")) == R"({"exit":0,"text":"nothing"})");
}

TEST_CASE("half a secret beside a cut is masked", "[broker][masker][R12]") {
  const std::string value = "hunter-22-is-\"the\"-word";
  // It was cut at the end, or had its beginning dropped.
  CHECK(masked(value, "it said hunter-22…") == "it said [secret db]…");
  CHECK(masked(value, "it ended: …e\"-word and so on") == "it ended: …[secret db] and so on");
  CHECK(masked(value, "…\"-word hunter-22-…") == "…[secret db] [secret db]…");
  CHECK(masked(value, "hunter-22-is-\"the\"-word, hunter-22-is-\"the\"-wor…") ==
        "[secret db], [secret db]…");
  // In the midst of an escape, and in other forms.
  CHECK(masked(value, R"({"p":"hunter-22-is-\…)") == R"({"p":"[secret db]…)");
  CHECK(masked(value, R"({"p":"hunter-22-is-\u00…)") == R"({"p":"[secret db]…)");
  CHECK(masked(value, R"(…022the\"-word")") == R"(…[secret db]")");
  CHECK(masked(value, to_hex(as_bytes(value)).substr(0, 21) + "…") == "[secret db]…");
  const std::string digits = to_base64(as_bytes("x" + value));
  CHECK(masked(value, "…" + digits.substr(9)).starts_with("…[secret db]"));
  // What tells too little, and what stands beside no cut, stays.
  CHECK(masked(value, "hunte…") == "hunte…");
  CHECK(masked(value, "hunter-22") == "hunter-22");
  CHECK(masked(value, "a… hunter-22") == "a… hunter-22");
  CHECK(masked(value, "…") == "…");
}

TEST_CASE("a secret of several lines is known on one line", "[broker][masker][R12]") {
  CHECK(masked("ab cd\nef gh", "got ab cd ef gh!") == "got [secret db]!");
  CHECK(masked("ab cd\nef gh", "got ab cd ef…") == "got [secret db]…");
}

TEST_CASE("errors are masked in every part", "[broker][masker][R12]") {
  Masker masker(secrets_of({{"db", "hunter22"}}));
  const Error error = masker.masked(
      Error(Code::tool_failed, {"hunter22", "a hunter22", "hunter22!", "no hunter22"}));
  CHECK(to_line(error).find("hunter22") == std::string::npos);
  CHECK(error.code() == Code::tool_failed);
}

}  // namespace taper::broker
