#include "runtime/edge/mcp/render.h"

#include <algorithm>
#include <array>

#include "runtime/base/text.h"

namespace taper::mcp {
namespace {

Json empty_object() { return ObjectWriter().end(); }

Json flag_object(std::string_view name) {
  ObjectWriter object;
  object.flag(name, true);
  return std::move(object).end();
}

Json implementation(const Identity& identity, Version version) {
  ObjectWriter info;
  info.text("name", identity.name);
  if (version >= Version::v2025_06_18) info.text_if("title", identity.title);
  info.text("version", identity.version);
  return std::move(info).end();
}

Json capabilities(Version version) {
  ObjectWriter resources;
  resources.flag("subscribe", true).flag("listChanged", true);
  ObjectWriter all;
  all.json("tools", flag_object("listChanged")).json("resources", std::move(resources).end());
  if (version == Version::modern) {
    ObjectWriter extensions;
    extensions.json(kTasksExtension, empty_object());
    all.json("extensions", std::move(extensions).end());
  }
  if (version == Version::v2025_11_25) {
    ObjectWriter tools;
    tools.json("call", empty_object());
    ObjectWriter requests;
    requests.json("tools", std::move(tools).end());
    ObjectWriter tasks;
    tasks.json("cancel", empty_object()).json("requests", std::move(requests).end());
    all.json("tasks", std::move(tasks).end());
  }
  return std::move(all).end();
}

// Before 2026-07-28 every schema of a tool says that it is an object's.
bool is_schema_of_object(const Json& schema) {
  const std::optional<Object> object = Object::read(schema.text());
  return object && object->string("type") == "object";
}

Json render_tool(Version version, const Tool& tool) {
  static constexpr std::array<std::string_view, 3> kSupport = {"forbidden", "optional", "required"};
  ObjectWriter out;
  out.text("name", tool.name);
  if (version >= Version::v2025_06_18) out.text_if("title", tool.title);
  out.text_if("description", tool.description).json("inputSchema", tool.input_schema);
  if (version == Version::modern ||
      (version >= Version::v2025_06_18 && is_schema_of_object(tool.output_schema))) {
    out.json("outputSchema", tool.output_schema);
  }
  if (version >= Version::v2025_03_26) out.json("annotations", tool.annotations);
  if (version == Version::v2025_11_25 && tool.task_support != TaskSupport::forbidden) {
    ObjectWriter execution;
    execution.text("taskSupport", kSupport.at(static_cast<std::size_t>(tool.task_support)));
    out.json("execution", std::move(execution).end());
  }
  return std::move(out).end();
}

Json render_resource(Version version, const Resource& resource, std::string_view uri_name) {
  ObjectWriter out;
  out.text(uri_name, resource.uri).text("name", resource.name);
  if (version >= Version::v2025_06_18) out.text_if("title", resource.title);
  out.text_if("description", resource.description).text_if("mimeType", resource.mime_type);
  return std::move(out).end();
}

template <class T, class Render>
Json render_list(Target target, const Page<T>& page, std::string_view name, Render render) {
  ArrayWriter items;
  for (std::size_t i = page.from; i < page.to; ++i) items.raw(render(page.all.at(i)).text());
  ResultWriter result(target);
  result.body().json(name, std::move(items).end()).text_if("nextCursor", page.next);
  return std::move(result.fresh(page.fresh_ms)).end();
}

// Blocks of a kind that the revision does not know are told as text.
Json known_content(Version version, const Json& content) {
  if (version >= Version::v2025_06_18) return content;
  ArrayWriter out;
  for (const std::string_view block : read_array(content.text())) {
    const std::optional<Object> object = Object::read(block);
    const std::string type = object ? object->string("type").value_or("") : "";
    const bool known = type == "text" || type == "image" || type == "resource" ||
                       (type == "audio" && version == Version::v2025_03_26);
    if (known) {
      out.raw(block);
      continue;
    }
    ObjectWriter text;
    text.text("type", "text").text("text", block);
    out.raw(std::move(text).end().text());
  }
  return std::move(out).end();
}

void pass_meta(ObjectWriter& out, const Json& meta) {
  const std::optional<Object> object = Object::read(meta.text());
  if (!object) return;
  for (const Member& member : object->members()) {
    if (!is_reserved_key(member.name)) out.member(member);
  }
}

}  // namespace

ResultWriter::ResultWriter(Target target, std::string_view type) : target_(target) {
  if (target.version == Version::modern) body_.text("resultType", type);
}

ResultWriter& ResultWriter::fresh(std::int64_t ms) {
  if (target_.version == Version::modern) {
    body_.number("ttlMs", std::max<std::int64_t>(ms, 0)).text("cacheScope", "private");
  }
  return *this;
}

ResultWriter& ResultWriter::remaining(const Json& remaining) {
  meta_.json(kRemainingKey, remaining);
  return *this;
}

Json ResultWriter::end() && {
  if (target_.version == Version::modern) {
    meta_.json(kServerInfoKey, implementation(target_.identity, target_.version));
  }
  if (!meta_.empty()) body_.json("_meta", std::move(meta_).end());
  return std::move(body_).end();
}

Json render_discover(const Identity& identity) {
  ResultWriter result({Version::modern, identity});
  // Only modern revisions: a client that picked an older one here would send it without
  // `initialize`.
  result.body()
      .strings("supportedVersions", {std::string(kModernName)})
      .json("capabilities", capabilities(Version::modern))
      .text_if("instructions", identity.instructions);
  return std::move(result.fresh(identity.fresh_ms)).end();
}

Json render_initialize(Target target) {
  ResultWriter result(target);
  result.body()
      .text("protocolVersion", name_of(target.version))
      .json("capabilities", capabilities(target.version))
      .json("serverInfo", implementation(target.identity, target.version))
      .text_if("instructions", target.identity.instructions);
  return std::move(result).end();
}

Json render_tools(Target target, const Page<Tool>& page) {
  return render_list(target, page, "tools",
                     [&](const Tool& tool) { return render_tool(target.version, tool); });
}

Json render_resources(Target target, const Page<Resource>& page) {
  return render_list(target, page, "resources", [&](const Resource& resource) {
    return render_resource(target.version, resource, "uri");
  });
}

Json render_templates(Target target, const Page<Resource>& page) {
  return render_list(target, page, "resourceTemplates", [&](const Resource& resource) {
    return render_resource(target.version, resource, "uriTemplate");
  });
}

Json render_prompts(Target target) {
  ResultWriter result(target);
  result.body().raw("prompts", "[]");
  return std::move(result.fresh(target.identity.fresh_ms)).end();
}

Json render_read(Target target, const ReadResource& read) {
  ArrayWriter contents;
  for (const ResourceContents& part : read.contents) {
    ObjectWriter out;
    out.text("uri", part.uri).text_if("mimeType", part.mime_type);
    if (const auto* bytes = std::get_if<Bytes>(&part.body)) {
      out.text("blob", to_base64(*bytes));
    } else {
      out.text("text", std::get<std::string>(part.body));
    }
    contents.raw(std::move(out).end().text());
  }
  ResultWriter result(target);
  result.body().json("contents", std::move(contents).end());
  return std::move(result.fresh(read.fresh_ms).remaining(read.remaining)).end();
}

Json text_content(std::string_view text) {
  ObjectWriter block;
  block.text("type", "text").text("text", text);
  ArrayWriter content;
  content.raw(std::move(block).end().text());
  return std::move(content).end();
}

ToolResult as_result(const Denial& denial) {
  ToolResult result;
  result.content = text_content("E" + std::to_string(denial.code) + ": " + denial.text);
  result.is_error = true;
  result.remaining = denial.remaining;
  result.denial = denial.code;
  return result;
}

RpcError as_error(const Denial& denial, std::int64_t code, std::string message) {
  ObjectWriter number;
  number.number("code", std::int64_t{denial.code});
  ObjectWriter data;
  data.json(kDenialKey, std::move(number).end()).json(kRemainingKey, denial.remaining);
  return {code, std::move(message), std::move(data).end()};
}

Json render_call(Target target, const ToolResult& result,
                 const std::optional<std::string>& related) {
  ResultWriter out(target);
  if (result.content.is_array()) {
    out.body().json("content", known_content(target.version, result.content));
  } else {
    out.body().raw("content", "[]");
  }
  if (target.version == Version::modern ||
      (target.version >= Version::v2025_06_18 && result.structured.is_object())) {
    out.body().json("structuredContent", result.structured);
  }
  out.body().flag("isError", result.is_error);
  pass_meta(out.meta(), result.meta);
  if (result.denial) {
    ObjectWriter denial;
    denial.number("code", std::int64_t{*result.denial});
    out.meta().json(kDenialKey, std::move(denial).end());
  }
  if (related) {
    ObjectWriter task;
    task.text("taskId", *related);
    out.meta().json(kRelatedTaskKey, std::move(task).end());
  }
  return std::move(out.remaining(result.remaining)).end();
}

Json render_input_required(Target target, const InputRequired& input) {
  ResultWriter out(target, "input_required");
  const std::optional<Object> requests = Object::read(input.requests.text());
  if (requests && !requests->members().empty()) out.body().json("inputRequests", input.requests);
  out.body().text("requestState", input.state);
  return std::move(out.remaining(input.remaining)).end();
}

std::int64_t foreign_code(std::int64_t code) {
  return code >= -32099 && code <= -32000 ? std::int64_t{kInternalError} : code;
}

}  // namespace taper::mcp
