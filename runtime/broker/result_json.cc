#include "runtime/broker/result_json.h"

#include <boost/json.hpp>

#include "runtime/authority/result_text.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::broker {
namespace {

namespace json = boost::json;

// A file's own bytes have a short name, whichever form they take.
bool is_content(std::string_view name) { return name == "content" || name == "text"; }

void put_text(json::object& out, const std::string& name, const std::string& text) {
  const bool utf8 = is_utf8(text);
  if (is_content(name)) {
    out[utf8 ? "text" : "base64"] = utf8 ? text : to_base64(as_bytes(text));
  } else if (utf8) {
    out[name] = text;
  } else {
    out[name + "_base64"] = to_base64(as_bytes(text));
  }
}

std::uint64_t put_row(json::object& out, const sandbox::Row& row) {
  std::uint64_t bytes = 0;
  for (const sandbox::Field& field : row) {
    if (const auto* text = std::get_if<std::string>(&field.value)) {
      put_text(out, field.name, *text);
      bytes += text->size();
    } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
      out[field.name] = *number;
    } else {
      out[field.name] = std::get<bool>(field.value);
    }
  }
  return bytes;
}

RenderedResult render_builtin(const sandbox::BuiltinResult& result) {
  RenderedResult rendered;
  json::object out;
  rendered.result_bytes = put_row(out, result.fields);
  if (!result.rows_name.empty()) {
    json::array rows;
    for (const sandbox::Row& row : result.rows) {
      json::object entry;
      rendered.result_bytes += put_row(entry, row);
      rows.emplace_back(std::move(entry));
    }
    out[result.rows_name] = std::move(rows);
  }
  rendered.json = json::serialize(out);
  return rendered;
}

Result<RenderedResult> render_command(const authority::Tool& tool, sandbox::RunReport& report,
                                      Masker& masker) {
  RenderedResult rendered;
  rendered.result_bytes = report.out.size() + report.err.size();
  rendered.json = "{\"exit\":" + std::to_string(report.exit_status);
  if (!tool.json_output) masker.mask(report.out);
  masker.mask(report.err);
  if (tool.json_output) {
    TAPER_TRY(capsules::Value value, authority::parse_output(report.out));
    masker.mask(value);
    rendered.json += ",\"json\":" + capsules::write_canonical(value);
  } else if (is_utf8(report.out)) {
    rendered.json += ",\"text\":" + json::serialize(json::string(report.out));
  } else {
    rendered.json += ",\"base64\":\"" + to_base64(as_bytes(report.out)) + "\"";
  }
  if (!report.err.empty()) {
    const std::string shown = escape_text(report.err.substr(0, limits::kStderrShownBytes));
    rendered.json += ",\"stderr\":" + json::serialize(json::string(shown));
  }
  if (!masker.names().empty())
    rendered.json += ",\"masked\":" + json::serialize(json::value_from(masker.names()));
  rendered.json += "}";
  return rendered;
}

// Made by the helper, but beside a server that may have had its hand in it.
Result<RenderedResult> render_upstream(const sandbox::BuiltinResult& result, Masker& masker) {
  RenderedResult rendered;
  const std::string* text = nullptr;
  for (const sandbox::Field& field : result.fields)
    if (field.name == "result") text = std::get_if<std::string>(&field.value);
  if (text == nullptr) return Error(Code::tool_output_malformed);
  rendered.result_bytes = text->size();
  // As it will be read: with what stands around it.
  TAPER_TRY(capsules::Value value, authority::parse_output("{\"mcp\":" + *text + "}"));
  const bool one = value.object()->size() == 1;
  capsules::Object* given = value.object()->front().second.object();
  if (given == nullptr || !one) return Error(Code::tool_output_malformed);
  std::erase_if(*given, [](const auto& member) {
    return member.first != "content" && member.first != "structuredContent" &&
           member.first != "_meta";
  });
  masker.mask(value);
  rendered.json = capsules::write_canonical(value);
  return rendered;
}

Result<RenderedResult> render(const authority::Tool& tool, sandbox::RunReport& report,
                              Masker& masker) {
  switch (tool.kind) {
    case authority::ToolKind::command: return render_command(tool, report, masker);
    case authority::ToolKind::upstream: return render_upstream(report.result, masker);
    case authority::ToolKind::builtin:
    case authority::ToolKind::agent:
    case authority::ToolKind::unset: break;
  }
  return render_builtin(report.result);
}

}  // namespace

Result<RenderedResult> render_result(const authority::Tool& tool, sandbox::RunReport report,
                                     Masker&& masker) {
  Result<RenderedResult> rendered = render(tool, report, masker);
  if (rendered.ok() && rendered->json.size() > limits::kResultBytesMax)
    return Error(Code::output_cap,
                 {.field = "result",
                  .expected = "at most " + std::to_string(limits::kResultBytesMax) + " bytes",
                  .got = std::to_string(rendered->json.size()),
                  .fix = ""});
  return rendered;
}

}  // namespace taper::broker
