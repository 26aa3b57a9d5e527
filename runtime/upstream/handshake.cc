// How a server is met: since 2026-07-28 by server/discover, before by initialize.
#include <algorithm>
#include <array>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/upstream/client.h"
#include "runtime/upstream/errors.h"
#include "runtime/upstream/question.h"
#include "runtime/upstream/result.h"

namespace taper::upstream {
namespace {

using mcp::Object;
using mcp::ObjectWriter;
using mcp::Version;

// Errors by which a server says that it does not speak what it is asked in: invalid request,
// unknown method, invalid parameters, and since 2026-07-28 an unsupported version.
constexpr std::array<std::int64_t, 4> kForeign = {-32600, -32601, -32602, -32022};
// Of the time for a question, this part is for learning that a server does not know
// server/discover: some never answer what comes before initialize.
constexpr std::int64_t kProbePart = 4;

std::optional<Object> object_in(const std::optional<Object>& object, std::string_view name) {
  return object ? Object::read(object->find(name).value_or("null")) : std::nullopt;
}

bool says_when_tools_change(std::string_view result) {
  const auto tools = object_in(object_in(Object::read(result), "capabilities"), "tools");
  return tools && mcp::read_bool(tools->find("listChanged").value_or("null")) == true;
}

bool offers_modern(std::string_view result) {
  const std::optional<Object> object = Object::read(result);
  if (!object) return false;
  const auto versions = mcp::read_array(object->find("supportedVersions").value_or("null"));
  return std::ranges::any_of(
      versions, [](auto version) { return mcp::read_string(version) == mcp::kModernName; });
}

Error refused(std::string_view method, Version version, std::int64_t code, std::string_view text) {
  std::string got = std::string(method) + ": error " + std::to_string(code) + " ";
  got += text;
  const bool foreign = std::ranges::count(kForeign, code) != 0;
  return foreign ? drifted("era", mcp::name_of(version), got) : broken("initialize", got);
}

// The server went, or said nothing, while nobody knew yet what it speaks.
bool is_no_answer(const Error& error) {
  return error.code() == Code::upstream_broken &&
         (error.detail().field == "ended" || error.detail().field == "timeout");
}

}  // namespace

mcp::Json Client::client_info() {
  ObjectWriter info;
  info.text("name", "taper").text("version", TAPER_VERSION);
  return std::move(info).end();
}

void Client::add_protocol(ObjectWriter& meta) const {
  meta.text(mcp::kVersionKey, mcp::kModernName)
      .json(mcp::kClientInfoKey, client_info())
      .raw(mcp::kCapabilitiesKey, capabilities_for(input_));
}

Status Client::open() {
  if (opened_) return success();
  TAPER_CHECK(link_.start());
  if (!era_) {
    TAPER_CHECK(negotiate());
  } else if (*era_ == Version::modern) {
    TAPER_CHECK(discover());
  } else {
    TAPER_CHECK(initialize(*era_));
  }
  opened_ = true;
  return success();
}

Status Client::negotiate() {
  const std::int64_t until_ms = until_ms_;
  const std::int64_t now_ms = link_.now_ms();
  version_ = Version::modern;
  until_ms_ = now_ms + std::max<std::int64_t>(until_ms - now_ms, 0) / kProbePart;
  const Result<Answer> answer = ask("server/discover", {});
  until_ms_ = until_ms;
  if (!answer.ok() && !is_no_answer(answer.error())) return Error(answer.error());
  if (answer.ok() && !answer->failed && offers_modern(answer->result)) {
    return adopt(answer->result);
  }
  if (!answer.ok()) {
    TAPER_CHECK(link_.start());
    strays_ = 0;
  }
  return initialize(mcp::kNewestLegacy);
}

Status Client::discover() {
  version_ = Version::modern;
  TAPER_TRY(const Answer answer, ask("server/discover", {}));
  if (answer.failed) return refused("server/discover", version_, answer.code, answer.text);
  if (!offers_modern(answer.result)) {
    return drifted("era", mcp::kModernName, "not among the supportedVersions");
  }
  return adopt(answer.result);
}

Status Client::adopt(std::string_view discovered) {
  TAPER_CHECK(check_complete(discovered));
  const auto meta = object_in(Object::read(discovered), "_meta");
  if (meta) keep_server(meta->find(mcp::kServerInfoKey).value_or("null"));
  return says_when_tools_change(discovered) ? listen() : success();
}

// Until it is acknowledged, and where it is refused, tools are listed before each call.
Status Client::listen() {
  ObjectWriter kinds;
  kinds.flag("toolsListChanged", true);
  ObjectWriter meta;
  add_protocol(meta);
  ObjectWriter params;
  params.json("notifications", std::move(kinds).end()).json("_meta", std::move(meta).end());
  listen_id_ = ++last_id_;
  return send("subscriptions/listen", std::move(params).end(), listen_id_);
}

Status Client::initialize(Version version) {
  version_ = version;
  ObjectWriter params;
  params.text("protocolVersion", mcp::name_of(version))
      .raw("capabilities", "{}")
      .json("clientInfo", client_info());
  TAPER_TRY(const Answer answer, ask("initialize", std::move(params)));
  if (answer.failed) return refused("initialize", version, answer.code, answer.text);
  const std::optional<Object> result = Object::read(answer.result);
  const std::optional<std::string> agreed =
      result ? result->string("protocolVersion") : std::nullopt;
  if (!agreed) return broken("initialize", "no protocolVersion");
  const std::optional<Version> known = mcp::legacy_version(*agreed);
  if (!known || (era_ && *known != version)) {
    return drifted("era", mcp::name_of(version), *agreed);
  }
  version_ = *known;
  told_ = says_when_tools_change(answer.result);
  keep_server(result->find("serverInfo").value_or("null"));
  return send("notifications/initialized", {}, std::nullopt);
}

void Client::keep_server(std::string_view info) {
  const std::optional<Object> server = Object::read(info);
  if (!server) return;
  server_ =
      one_line(server->string("name").value_or("") + " " + server->string("version").value_or(""),
               limits::kNameBytesMax);
}

}  // namespace taper::upstream
