// What is told without being asked for each time: subscriptions, list changes, progress.
#include <algorithm>
#include <cmath>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/connection.h"

namespace taper::mcp {
namespace {

// A list of at most kMcpInterestsMax strings, each at most `most` long; absent is empty.
std::optional<std::vector<std::string>> strings_of(const Object& filter, std::string_view name,
                                                   std::size_t most) {
  std::vector<std::string> texts;
  const std::string_view value = filter.find(name).value_or("[]");
  const std::vector<std::string_view> items = read_array(value);
  if (kind_of(value) != Kind::array || items.size() > limits::kMcpInterestsMax) return std::nullopt;
  for (const std::string_view item : items) {
    std::optional<std::string> text = read_string(item);
    if (!text || text->size() > most) return std::nullopt;
    texts.push_back(std::move(*text));
  }
  return texts;
}

std::optional<Interests> interests_of(const Object& params) {
  const auto filter = Object::read(params.find("notifications").value_or("null"));
  if (!filter) return std::nullopt;
  const auto tools = read_bool(filter->find("toolsListChanged").value_or("false"));
  const auto prompts = read_bool(filter->find("promptsListChanged").value_or("false"));
  const auto resources = read_bool(filter->find("resourcesListChanged").value_or("false"));
  auto uris = strings_of(*filter, "resourceSubscriptions", limits::kTextBytesMax);
  auto tasks = strings_of(*filter, "taskIds", limits::kMcpNameBytesMax);
  if (!tools || !prompts || !resources || !uris || !tasks) return std::nullopt;
  return Interests{*tools, *resources, std::move(*uris), std::move(*tasks)};
}

// Only what was asked for, whatever the backend grants.
void restrict_to(std::vector<std::string>& granted, const std::vector<std::string>& wanted) {
  std::erase_if(granted, [&](const std::string& one) {
    return std::find(wanted.begin(), wanted.end(), one) == wanted.end();
  });
}

Json acknowledgement(const Id& id, const Interests& granted) {
  ObjectWriter filter;
  if (granted.tools) filter.flag("toolsListChanged", true);
  if (granted.resources) filter.flag("resourcesListChanged", true);
  if (!granted.uris.empty()) filter.strings("resourceSubscriptions", granted.uris);
  if (!granted.tasks.empty()) filter.strings("taskIds", granted.tasks);
  ObjectWriter meta;
  meta.raw(kSubscriptionKey, id.source);
  ObjectWriter params;
  params.json("_meta", std::move(meta).end()).json("notifications", std::move(filter).end());
  return std::move(params).end();
}

Json with_subscription(const Id& id, std::string_view uri = {}) {
  ObjectWriter meta;
  meta.raw(kSubscriptionKey, id.source);
  ObjectWriter params;
  params.json("_meta", std::move(meta).end()).text_if("uri", uri);
  return std::move(params).end();
}

}  // namespace

bool Server::Connection::has_room(const Ask& ask) {
  if (subscriptions_.size() + legacy_uris_.size() < limits::kMcpSubscriptionsMax) return true;
  fail(ask, kInternalError, "too many subscriptions; end one first");
  return false;
}

void Server::Connection::listen(const Ask& ask) {
  std::optional<Interests> wanted = interests_of(ask.params());
  if (!wanted) return fail(ask, kInvalidParams, "notifications must be a filter as specified");
  const auto filter = Object::read(*ask.params().find("notifications"));
  if (filter->find("taskIds") && !ask.takes_tasks) return needs_tasks(ask.request.id);
  if (!has_room(ask)) return;
  const Number number = ++last_number_;
  by_id_.emplace(ask.request.id.key, number);
  subscriptions_.emplace(number, Subscription{ask.request.id, false, *wanted});
  backend_.subscribe(number, std::move(*wanted),
                     [weak = weak_from_this(), number](const Outcome<Interests>& granted) {
                       if (const auto self = weak.lock()) self->listening(number, granted);
                     });
}

void Server::Connection::listening(Number number, const Outcome<Interests>& outcome) {
  const auto found = subscriptions_.find(number);
  if (found == subscriptions_.end() || found->second.acknowledged) return;
  Subscription& one = found->second;
  if (const auto* interests = std::get_if<Interests>(&outcome)) {
    const Interests wanted = std::exchange(one.granted, *interests);
    one.granted.tools = one.granted.tools && wanted.tools;
    one.granted.resources = one.granted.resources && wanted.resources;
    restrict_to(one.granted.uris, wanted.uris);
    restrict_to(one.granted.tasks, wanted.tasks);
    one.acknowledged = true;
    return send(notification_line("notifications/subscriptions/acknowledged",
                                  acknowledgement(one.id, one.granted)));
  }
  const Pending pending{number, one.id, Version::modern, std::nullopt, {}, {}, std::nullopt};
  by_id_.erase(one.id.key);
  subscriptions_.erase(found);
  if (const auto* denial = std::get_if<Denial>(&outcome)) return refuse(pending, *denial);
  if (const auto* error = std::get_if<RpcError>(&outcome)) return refuse(pending, *error);
  refuse(pending, std::get<Refusal>(outcome));
}

void Server::Connection::end_subscriptions() {
  for (const auto& [number, one] : std::exchange(subscriptions_, {})) {
    by_id_.erase(one.id.key);
    backend_.unsubscribe(number);
    ResultWriter result(target(Version::modern));
    result.meta().raw(kSubscriptionKey, one.id.source);
    answer(one.id, std::move(result).end());
  }
}

void Server::Connection::subscribe_uri(const Ask& ask) {
  const std::optional<std::string> uri = ask.params().string("uri");
  if (!uri || uri->size() > limits::kTextBytesMax) {
    return fail(ask, kInvalidParams, "uri must be a string, and not too long");
  }
  if (legacy_uris_.contains(*uri)) return acknowledge(ask);
  if (!has_room(ask)) return;
  const auto number = pend(ask, *uri);
  if (!number) return;
  Interests wanted;
  wanted.uris = {*uri};
  backend_.subscribe(*number, std::move(wanted), reply(*number, &Connection::uri_granted));
}

void Server::Connection::uri_granted(const Pending& pending, const Interests& granted) {
  const auto& uris = granted.uris;
  if (std::find(uris.begin(), uris.end(), pending.subject) == uris.end()) {
    return refuse(pending, Refusal::unknown_resource);
  }
  // Asked for twice before it was granted once.
  if (!legacy_uris_.emplace(pending.subject, pending.number).second) {
    backend_.unsubscribe(pending.number);
  }
  answer(pending.id, ResultWriter(target(pending.version)).end());
}

void Server::Connection::unsubscribe_uri(const Ask& ask) {
  const std::optional<std::string> uri = ask.params().string("uri");
  if (!uri) return fail(ask, kInvalidParams, "uri must be a string");
  const auto found = legacy_uris_.find(*uri);
  if (found != legacy_uris_.end()) {
    backend_.unsubscribe(found->second);
    legacy_uris_.erase(found);
  }
  acknowledge(ask);
}

void Server::Connection::tell(std::string_view method, bool Interests::* wanted) {
  for (const auto& [number, one] : subscriptions_) {
    if (one.acknowledged && one.granted.*wanted) {
      send(notification_line(method, with_subscription(one.id)));
    }
  }
  if (legacy_) send(notification_line(method, ObjectWriter().end()));
}

void Server::Connection::tools_changed() {
  tell("notifications/tools/list_changed", &Interests::tools);
}

void Server::Connection::resources_changed() {
  tell("notifications/resources/list_changed", &Interests::resources);
}

void Server::Connection::resource_updated(std::string_view uri) {
  for (const auto& [number, one] : subscriptions_) {
    const auto& uris = one.granted.uris;
    if (one.acknowledged && std::find(uris.begin(), uris.end(), uri) != uris.end()) {
      send(notification_line("notifications/resources/updated", with_subscription(one.id, uri)));
    }
  }
  const auto found = legacy_uris_.find(uri);
  if (found == legacy_uris_.end()) return;
  ObjectWriter params;
  params.text("uri", uri);
  send(notification_line("notifications/resources/updated", std::move(params).end()));
}

void Server::Connection::progress(Number number, const Progress& progress) {
  const auto found = pending_.find(number);
  if (found == pending_.end() || !found->second.progress) return;
  Pending& pending = found->second;
  emit_progress(*pending.progress, pending.heard, progress, pending.version, ObjectWriter());
}

void Server::Connection::emit_progress(const Id& token, Heard& heard, const Progress& progress,
                                       Version version, ObjectWriter meta) {
  if (!std::isfinite(progress.done) || (heard.last && progress.done <= *heard.last)) return;
  heard.last = progress.done;
  ObjectWriter params;
  params.raw("progressToken", token.source).number("progress", progress.done);
  if (progress.total && std::isfinite(*progress.total)) params.number("total", *progress.total);
  if (version >= Version::v2025_03_26) params.text_if("message", progress.message);
  if (!meta.empty()) params.json("_meta", std::move(meta).end());
  send(notification_line("notifications/progress", std::move(params).end()));
}

}  // namespace taper::mcp
