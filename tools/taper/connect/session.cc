#include "tools/taper/connect/session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "runtime/base/limits.h"

namespace taper::tools {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

}  // namespace

SessionKeeper::SessionKeeper(asio::io_context& io, const Clock& clock, Means means, Watch watch)
    : io_(io), clock_(clock), means_(std::move(means)), watch_(std::move(watch)), timer_(io) {}

void SessionKeeper::ask(Ticket ticket, broker::SessionRequest request, Told told) {
  if (ended_) return told(Unanswered{Unanswered::When::ended, *ended_});
  Waiting waiting{ticket, std::move(request), std::move(told)};
  if (phase_ == Phase::live && link_->client().live()) return pass(std::move(waiting));
  waiting_.push_back(std::move(waiting));
  if (phase_ != Phase::closed) return;
  since_ms_ = clock_.now().boot_ms;
  pause_ms_ = limits::kConnectPauseMinMs;
  attempt();
}

void SessionKeeper::pass(Waiting waiting) {
  const Ticket ticket = waiting.ticket;
  const auto answered = [this, ticket, told = waiting.told](Result<broker::SessionReply> reply) {
    if (numbers_.erase(ticket) == 0) return;  // abandoned
    told(reply.ok() ? Replied(std::move(*reply))
                    : Replied(Unanswered{Unanswered::When::in_flight, reply.error()}));
  };
  numbers_[ticket] = 0;
  const std::uint64_t number = link_->client().ask(waiting.request, answered);
  const auto found = numbers_.find(ticket);
  if (found != numbers_.end()) found->second = number;
}

void SessionKeeper::abandon(Ticket ticket) {
  std::erase_if(waiting_, [ticket](const Waiting& one) { return one.ticket == ticket; });
  const auto found = numbers_.find(ticket);
  if (found == numbers_.end()) return;
  broker::SessionRequest request;
  request.ask = broker::Ask::abandon;
  request.request = found->second;
  numbers_.erase(found);
  if (phase_ == Phase::live && link_->client().live()) link_->client().ask(request, nullptr);
}

void SessionKeeper::resume() {
  if (link_) link_->resume();
}

void SessionKeeper::attempt() {
  phase_ = Phase::opening;
  Result<std::unique_ptr<SessionLink>> made = means_.link(
      means_.handshake(), Listener{
                              .opened = [this](const auto&) { opened(); },
                              .happened = [this](const auto& event) { happened(event); },
                              .over = [this](const Error& error) { over(error); },
                          });
  if (!made.ok()) return failed(made.error());
  link_ = std::move(*made);
  timer_.expires_after(std::chrono::milliseconds(limits::kConnectOpenMs));
  timer_.async_wait([this](const error_code& error) {
    if (error || phase_ != Phase::opening) return;
    link_->client().lost(
        Error(Code::control_unreachable,
              {.field = "session", .expected = "an answer in time", .got = "none", .fix = ""}));
  });
  link_->client().start();
}

void SessionKeeper::happened(const broker::SessionEvent& event) {
  if (!event.request) return watch_.happened(event);
  const auto asked =
      std::ranges::find(numbers_, *event.request, [](const auto& one) { return one.second; });
  if (asked != numbers_.end() && watch_.progressed) watch_.progressed(asked->first, event);
}

void SessionKeeper::opened() {
  timer_.cancel();
  phase_ = Phase::live;
  if (std::exchange(was_live_, true) && watch_.reopened) watch_.reopened();
  for (Waiting& waiting : std::exchange(waiting_, {})) pass(std::move(waiting));
}

void SessionKeeper::over(const Error& error) {
  // Called from within the link, which goes when that has returned.
  if (link_) dead_.push_back(std::move(link_));
  asio::post(io_, [this] { dead_.clear(); });
  if (phase_ == Phase::opening) return failed(error);
  phase_ = Phase::closed;
  if (broker::is_task_end(error.code())) {
    ended_ = error;
    if (watch_.ended) watch_.ended(error);
    for (const Waiting& waiting : std::exchange(waiting_, {}))
      waiting.told(Unanswered{Unanswered::When::ended, error});
  }
  // Asked while the session ended.
  if (waiting_.empty()) return;
  Waiting first = std::move(waiting_.front());
  waiting_.pop_front();
  ask(first.ticket, std::move(first.request), std::move(first.told));
}

void SessionKeeper::failed(const Error& error) {
  timer_.cancel();
  // Whoever has just taken the state will serve it soon.
  const bool comes = error.code() == Code::state_locked ||
                     (was_live_ && describe(error.code()).kind == Kind::unavailable);
  const std::int64_t tried_ms = clock_.now().boot_ms - since_ms_;
  if (comes && tried_ms < limits::kConnectPatienceMs) {
    phase_ = Phase::pausing;
    timer_.expires_after(std::chrono::milliseconds(pause_ms_));
    pause_ms_ = std::min(2 * pause_ms_, limits::kConnectPauseMaxMs);
    timer_.async_wait([this](const error_code& stopped) {
      if (!stopped && phase_ == Phase::pausing) attempt();
    });
    return;
  }
  phase_ = Phase::closed;
  for (const Waiting& waiting : std::exchange(waiting_, {}))
    waiting.told(Unanswered{Unanswered::When::unsent, error});
}

}  // namespace taper::tools
