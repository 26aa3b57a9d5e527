#include "author_test.h"

#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::completed;
using testing::parsed;
using testing::source_with;

constexpr std::string_view kGrants = R"([[grant]]
id = "read-logs"
tool = "file.read"
args = { path = { under = "/var/log" }, max_bytes = { at_most = 10, optional = true } }
budget = { calls = 2, bytes = 100 }
cell = { output_bytes = 5, cpu = "3s", wall = "1m" }
[[grant]]
tool = "file.read"
args = { path = { one_of = ["/srv/a", "/srv/b"], glob = "/srv/*", prefix = "/s", length = { at_most = 9 } }, offset = "any" }
budget = { rate = { count = 7, per = "1m" }, cpu = "9s", sum = { argument = "offset", most = 1000 } }
labels = ["plant-data"]
refuse_after = ["secret", "internal"]
after = ["read-logs"]
idempotency = "path"
)";

TEST_CASE("What is encoded is decoded unchanged", "[author]") {
  const Capsule capsule = completed(parsed(source_with(kGrants)));
  const Result<Bytes> payload = encode_capsule(capsule);
  REQUIRE(payload.ok());
  const Result<Capsule> decoded = decode_capsule(*payload);
  INFO((decoded.ok() ? "" : to_line(decoded.error())));
  REQUIRE(decoded.ok());
  UntrustedCapsule before;
  before.root = capsule;
  UntrustedCapsule after;
  after.root = *decoded;
  CHECK(show_json(before) == show_json(after));
  const Result<Bytes> again = encode_capsule(*decoded);
  REQUIRE(again.ok());
  CHECK(*again == *payload);
}

TEST_CASE("A grant's terms are shown to people and programs", "[author]") {
  UntrustedCapsule shown;
  shown.root = completed(parsed(source_with(kGrants)));
  shown.root.cell.memory_bytes = 4096;
  shown.root.log_all_arguments = true;
  shown.root.log_except = {"content"};
  const std::string text = show_text(shown, std::nullopt);
  for (const char* line : {"rate 7 in 1m", "cpu 9s", "sum of offset 1000",
                           "labels       plant-data", "secret, internal", "after        read-logs",
                           "idempotency  path", "memory_bytes 4096", "all arguments but content"}) {
    INFO(line << "\n" << text);
    CHECK(text.find(line) != std::string::npos);
  }
  const std::string json = show_json(shown);
  for (const char* part :
       {R"("rate":{"count":7,"per_ms":60000})", R"("cpu_ms":9000)",
        R"("sum":{"argument":"offset","most":1000})", R"("labels":["plant-data"])",
        R"("refuse_after":["secret","internal"])", R"("after":["read-logs"])",
        R"("idempotency":"path")", R"("except":["content"])"}) {
    INFO(part << "\n" << json);
    CHECK(json.find(part) != std::string::npos);
  }
}

TEST_CASE("A block is encoded and decoded unchanged", "[author]") {
  Block block;
  block.previous.bytes.fill(7);
  block.holder.bytes.fill(8);
  block.grants = {
      {"a", "b", {{"path", false, {Under{"/x"}}}}, {3, Rate{2, 50}}, {"l"}, {"r", "s"}}};
  block.lease_ttl_ms = 1000;
  block.not_after_s = 5;
  const Result<Bytes> payload = encode_block(block);
  REQUIRE(payload.ok());
  const Result<Block> decoded = decode_block(*payload);
  INFO((decoded.ok() ? "" : to_line(decoded.error())));
  REQUIRE(decoded.ok());
  UntrustedCapsule before;
  before.blocks = {block};
  UntrustedCapsule after;
  after.blocks = {*decoded};
  CHECK(show_json(before) == show_json(after));
}

TEST_CASE("An incomplete capsule is not encoded", "[author]") {
  const Capsule whole = completed(parsed(source_with(kGrants)));
  const auto code = [&whole](auto change) {
    Capsule capsule = whole;
    change(capsule);
    return encode_capsule(capsule).code();
  };
  CHECK(code([](Capsule&) {}) == Code::ok);
  CHECK(code([](Capsule& c) { c.issuer = {}; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.serial = 0; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.holder = {}; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.audience.incarnation = {}; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.entry = EntryKind::unset; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.grants[0].effect = Effect::unset; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.grants[0].verbs = {Verb::unset}; }) == Code::field_missing);
  CHECK(code([](Capsule& c) { c.purpose.assign(70'000, 'x'); }) == Code::too_large);
  CHECK(encode_block({}).code() == Code::field_missing);
}

TEST_CASE("Showing a capsule tells everything, with times absolute and remaining", "[author]") {
  UntrustedCapsule shown;
  shown.root = completed(parsed(source_with(kGrants)));
  const std::string text = show_text(shown, shown.root.not_before_s - 3600);
  INFO(text);
  for (const char* part :
       {"NOT CHECKED", "2026-11-21T00:00:00Z (in 1h)", "2026-11-24T00:00:00Z (in 3d 1h)",
        "grant read-logs", "under /var/log", "at_most 10, optional", "calls 2, bytes 100",
        "output_bytes 5, cpu 3s, wall 1m", "grant file.read", "builtin, pinned by version",
        "step 1", "now: time.now {}", "3 denials", "argument digests"}) {
    INFO(part);
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(show_text(shown, shown.root.not_after_s).find("(passed)") != std::string::npos);
  CHECK(show_text(shown, std::nullopt).find("(in") == std::string::npos);
}

TEST_CASE("Hostile text cannot act on the terminal or break the JSON", "[author]") {
  UntrustedCapsule shown;
  shown.root = completed(parsed(source_with(kGrants)));
  shown.root.purpose = "nice\x1b[2J\n\xe2\x80\xaegrant all";
  shown.root.grants[0].id = "a\r\nb";
  shown.root.grants[1].args[0].all = {Under{"/var\x1b]0;x\x07"}};
  shown.root.requester = "bad\xff";
  const std::string text = show_text(shown, std::nullopt);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x07') == std::string::npos);
  CHECK(text.find("\xe2\x80\xae") == std::string::npos);
  CHECK(text.find("nice\\x1b[2J\\x0a\\u{202e}grant all") != std::string::npos);
  const std::string json = show_json(shown);
  CHECK(json.find('\x1b') == std::string::npos);
  CHECK(parse_value(as_bytes(json), json.size()).ok());
}

TEST_CASE("JSON has every field under a stable key", "[author]") {
  UntrustedCapsule shown;
  shown.root = completed(parsed(source_with(kGrants)));
  const std::string json = show_json(shown);
  const Result<Value> value = parse_value(as_bytes(json), json.size());
  REQUIRE(value.ok());
  const auto at = [&value](std::string_view pointer) { return value->at_pointer(pointer); };
  CHECK(*at("/purpose")->text() == "Triage the pump alarms");
  CHECK(*at("/window/not_before")->text() == "2026-11-21T00:00:00Z");
  CHECK(*at("/lease/ttl_ms")->integer() == 900'000);
  CHECK(*at("/grants/1/args/1/all/0/under")->text() == "/var/log");
  CHECK(*at("/grants/2/id")->text() == "file.read");
  CHECK(*at("/plan/steps/0/tool")->text() == "time.now");
  CHECK(at("/grants/0/budget/calls")->is_null());
}

TEST_CASE("A trust root is shown with its limits", "[author]") {
  const TrustRoot root = testing::opened_root(testing::sample_root_data());
  const std::string text = show_root_text(root);
  CHECK(text.find(root.fleet().hex()) != std::string::npos);
  CHECK(text.find("max ttl") != std::string::npos);
  const std::string json = show_root_json(root);
  const Result<Value> value = parse_value(as_bytes(json), json.size());
  REQUIRE(value.ok());
  CHECK(value->find("issuers")->array()->size() == root.data().issuers.size());
}

TEST_CASE("Armour survives transport by hand and tells damage", "[author]") {
  for (const std::size_t size : {0U, 1U, 47U, 48U, 49U, 1000U}) {
    const Bytes bytes(size, 0xA5);
    const std::string text = armour("CAPSULE", bytes);
    CHECK(text.starts_with("-----BEGIN TAPER CAPSULE-----\n"));
    CHECK(*unarmour("CAPSULE", text) == bytes);
    std::string mailed = "\r\n ";
    for (const char c : text) mailed += c == '\n' ? std::string(" \r\n") : std::string(1, c);
    CHECK(*unarmour("CAPSULE", mailed) == bytes);
    CHECK(unarmour("ROOT", text).code() == Code::armour_malformed);
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::string damaged = text;
      damaged[i] = damaged[i] == 'B' ? 'C' : 'B';
      CHECK(unarmour("CAPSULE", damaged).code() == Code::armour_malformed);
      const std::string cut = text.substr(0, i);
      if (i + 1 < text.size()) CHECK(unarmour("CAPSULE", cut).code() == Code::armour_malformed);
    }
    CHECK(unarmour("CAPSULE", text + "more").code() == Code::armour_malformed);
  }
}

}  // namespace
}  // namespace taper::capsules
