// A node that answers sessions without deciding anything, for tests of what carries them.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/broker/session.h"
#include "tests/unit/authority/session_keys.h"

namespace taper::broker {

using authority::fleet;
using authority::HolderHandshake;
using authority::keys;
using authority::NodeAnswer;

class FakeHost : public Session::Host {
 public:
  Challenge challenge() override {
    asked.challenge = crypto::random_id<Nonce>();
    return asked;
  }
  Result<NodeAnswer> admit(Session&, const Challenge& sent, const Open& open) override {
    ++admissions;
    const Bytes statement = authority::session_statement(authority::offer_of(sent, open));
    if (!crypto::verify(keys().holder.public_key(), crypto::statement::kSession, statement,
                        open.signature))
      return Error(Code::proof_wrong);
    return authority::answer_open(sent, open, task, false, keys().node);
  }
  void ask(Session& session, std::uint64_t number, SessionRequest request) override {
    requests.push_back(std::move(request));
    if (asked_by) asked_by(session);
    if (answers_at_once) session.reply(number, Code::ok, answer);
  }
  void misused(Session&, const Error& error) override { misuses.push_back(error.code()); }
  void said(Session&, std::string said_last) override { words = std::move(said_last); }
  void gone(Session& session) override {
    ++departures;
    if (session.asked()) withdrawn.push_back(session.asked()->challenge);
  }

  // The holder's half of a session with this node.
  HolderHandshake holder() const {
    return {to_bytes(as_bytes("capsule")),
            {asked.fleet, asked.node, asked.incarnation},
            [](ByteSpan statement) {
              return keys().holder.sign(crypto::statement::kSession, statement);
            }};
  }

  Challenge asked{fleet(), keys().node.public_key(), crypto::random_id<Incarnation>(), Nonce{}};
  TaskId task = crypto::random_id<TaskId>();
  std::string answer = "{}";
  bool answers_at_once = true;
  std::function<void(Session&)> asked_by;
  int admissions = 0;
  std::vector<SessionRequest> requests;
  std::vector<Code> misuses;
  std::vector<Nonce> withdrawn;
  int departures = 0;
  std::string words;
};

}  // namespace taper::broker
