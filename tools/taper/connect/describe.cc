#include "tools/taper/connect/describe.h"

#include "runtime/base/text.h"

namespace taper::tools {
namespace {

using mcp::Object;

// Text that the capsule's issuer wrote, on one line and never markup of its own.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : escape_text(text)) {
    if (c == '|' || c == '`' || c == '<' || c == '[' || c == '*' || c == '_') out += '\\';
    out += c;
  }
  return out;
}

std::string text_in(const Object& object, std::string_view name) {
  return plain(object.string(name).value_or(""));
}

Object object_in(const Object& object, std::string_view name) {
  return Object::read(object.find(name).value_or("{}")).value_or(Object());
}

std::string joined(std::string_view array) {
  std::string out;
  for (const std::string_view item : mcp::read_array(array))
    out += (out.empty() ? "" : ", ") + plain(mcp::read_string(item).value_or(""));
  return out;
}

// "41 calls, 58m 3s of lease"; a budget that is not known here stands with its name.
std::string left_of(const Object& remaining) {
  std::string out;
  for (const mcp::Member& member : remaining.members()) {
    const std::optional<std::int64_t> number = mcp::read_integer(member.value);
    std::string part;
    if (!number) continue;
    if (member.name == "lease_ms") {
      part = format_duration_ms(*number) + " of lease";
    } else if (member.name == "idle_ms") {
      part = "idle for at most " + format_duration_ms(*number);
    } else if (member.name == "not_after_s") {
      part = "until " + format_utc_s(*number);
    } else if (member.name == "cpu_ms") {
      part = format_duration_ms(*number) + " of processor time";
    } else if (member.name == "rate") {
      part = std::to_string(*number) + " calls at once";
    } else if (member.name == "sum") {
      part = std::to_string(*number) + " of the sum";
    } else {
      part = std::to_string(*number) + " " + plain(member.name);
    }
    out += (out.empty() ? "" : ", ") + part;
  }
  return out.empty() ? "no limit" : out;
}

std::string ends_on(const Object& end_on) {
  std::string out;
  for (const mcp::Member& member : end_on.members())
    out += (out.empty() ? "" : ", ") + plain(member.name) + ": " + plain(member.value);
  return out;
}

std::string grant_rows(std::string_view grants) {
  std::string rows;
  for (const std::string_view source : mcp::read_array(grants)) {
    const Object grant = Object::read(source).value_or(Object());
    rows += "| " + text_in(grant, "id") + " | " + text_in(grant, "tool") + " | " +
            text_in(grant, "effect") + " | " + joined(grant.find("verbs").value_or("[]")) + " | " +
            left_of(object_in(grant, "remaining")) + " |\n";
  }
  return rows;
}

std::string markdown(const Object& body) {
  std::string out = "# What this task may do\n\nPurpose: " + text_in(body, "purpose") + "\n\n";
  out += "- task " + text_in(body, "task") + ", on node " + text_in(body, "node") + "\n";
  out += "- asked for by " + text_in(body, "requester") + ", for the agent " +
         text_in(body, "agent") + "\n";
  Object limits = object_in(body, "remaining");
  out += "- left: " + left_of(limits.members().empty() ? body : limits) + "\n";
  const std::string ends = ends_on(object_in(body, "end_on"));
  if (!ends.empty()) out += "- ends on: " + ends + "\n";
  out += "\n| grant | tool | effect | verbs | left |\n|---|---|---|---|---|\n";
  return out + grant_rows(body.find("grants").value_or("[]"));
}

}  // namespace

mcp::Resource task_resource() {
  return {std::string(kTaskUri), "task", "This task",
          "What the task is for, what it may do, and what is left of its time and budgets",
          "text/markdown"};
}

std::optional<mcp::ReadResource> read_description(const mcp::Json& body) {
  const std::optional<Object> object = Object::read(body.text());
  if (!object) return std::nullopt;
  mcp::ReadResource read;
  read.contents = {{std::string(kTaskUri), "text/markdown", markdown(*object)},
                   {std::string(kTaskUri), "application/json", body.text()}};
  if (const auto remaining = object->find("remaining"))
    read.remaining = mcp::Json::parse(*remaining).value_or(mcp::Json());
  return read;
}

std::string instructions(const mcp::Json& body) {
  const Object object = Object::read(body.text()).value_or(Object());
  return "This server is one task with limited authority. Its purpose: " +
         escape_text(object.string("purpose").value_or("")) +
         "\nOnly the listed tools may be used, within the limits of their input schemas. A refused "
         "call says so with a number and a reason: the same call is refused again, and too many "
         "end the task. What is left of time and budgets stands in the resource " +
         std::string(kTaskUri) + " and in _meta \"dev.taper/remaining\" of each result.";
}

std::int64_t lease_left_ms(const mcp::Json& body) {
  const Object object = Object::read(body.text()).value_or(Object());
  const std::optional<std::string_view> left = object_in(object, "remaining").find("lease_ms");
  return left ? mcp::read_integer(*left).value_or(0) : 0;
}

}  // namespace taper::tools
