// Secrets taken out of what a tool gave back.
#include <catch2/catch.hpp>

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

TEST_CASE("errors are masked in every part", "[broker][masker][R12]") {
  Masker masker(secrets_of({{"db", "hunter22"}}));
  const Error error = masker.masked(
      Error(Code::tool_failed, {"hunter22", "a hunter22", "hunter22!", "no hunter22"}));
  CHECK(to_line(error).find("hunter22") == std::string::npos);
  CHECK(error.code() == Code::tool_failed);
}

}  // namespace taper::broker
