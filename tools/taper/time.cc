#include "capsules/author/author.h"
#include "capsules/signed_time.h"
#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/keys.h"
#include "tools/taper/signer.h"
#include "tools/taper/time_text.h"

namespace taper::tools {
namespace {

constexpr std::int64_t kMsPerS = 1000;

struct Asking {
  std::string state, out;
  bool armour = false;
};

struct Telling {
  std::string challenge, key, out;
  std::string radius = "10s";
  bool armour = false;
  PassphraseOptions passphrase;
};

Form form_of(bool armour) { return armour ? Form::armoured : Form::binary; }

Status time_challenge(const Asking& options, Output& out) {
  TAPER_TRY(const Bytes challenge, broker::time_challenge(options.state));
  TAPER_CHECK(write_signed(options.out, form_of(options.armour), kTimeChallengeLabel, challenge));
  out.line("answer it at the centre with 'taper time answer " + escape_text(options.out) +
           " --key time.key --out A', and bring that back within " +
           format_duration_ms(limits::kTimeNonceMs) + ", before this host is started again");
  out.set("file", text_value(options.out));
  return success();
}

// What this machine's own clock says, signed.
Status tell_time(const Telling& options, const std::optional<capsules::TimeChallenge>& answers,
                 Output& out) {
  TAPER_TRY(const std::int64_t radius_ms, duration_option("--radius", options.radius));
  if (radius_ms > limits::kTimeRadiusMaxS * kMsPerS)
    return usage_error("--radius", "at most " + format_duration_ms(limits::kTimeRadiusMaxS * 1000),
                       options.radius);
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::time, options.passphrase));
  const capsules::SignedTime time{.midpoint_s = SystemClock().now().wall_s,
                                  .radius_s = (radius_ms + kMsPerS - 1) / kMsPerS,
                                  .answers = answers,
                                  .signer = {}};
  TAPER_TRY(const Bytes payload, capsules::encode_time(time));
  const Bytes file = capsules::frame_time(
      payload, {crypto::key_id(key.public_key()), key.sign(crypto::statement::kTime, payload)});
  TAPER_CHECK(write_signed(options.out, form_of(options.armour), kTimeLabel, file));
  out.line("says " + format_utc_s(time.midpoint_s) + ", within " +
           format_duration_ms(time.radius_s * kMsPerS) +
           (answers ? ", to node tpk:" + answers->node.hex() : ", to every node"));
  out.set("time", format_utc_s(time.midpoint_s));
  out.set("radius_s", time.radius_s);
  if (answers) out.set("node", crypto::public_key_text(answers->node));
  out.set("file", text_value(options.out));
  return success();
}

Status time_answer(const Telling& options, Output& out) {
  TAPER_TRY(const Bytes file, read_signed(options.challenge, kTimeChallengeLabel));
  TAPER_TRY(const capsules::TimeChallenge challenge, capsules::decode_time_challenge(file));
  return tell_time(options, challenge, out);
}

Status time_show(const std::string& state, Output& out) {
  TAPER_TRY(const authority::TimeReport report, broker::time_report(state));
  show_time(report, out);
  out.set("time", time_value(report));
  return success();
}

void add_telling_options(Command& command, CLI::App* verb, Telling& options) {
  verb->add_option("--key", options.key, "A key file of role time, which the root lists")
      ->required();
  verb->add_option("--radius", options.radius, "How far this machine's clock may be off")
      ->capture_default_str();
  verb->add_option("--out", options.out, "The signed time; an earlier one is replaced")->required();
  verb->add_flag("--armour", options.armour, "Write the text form, for transport by hand");
  options.passphrase.add_to(verb);
  command.writes(verb, "--out", [] { return FileKind::time; });
}

bool knows_bound(const authority::TimeReport& report) {
  return report.estimate.least_source != authority::TimeSource::signed_bound ||
         report.signed_s > limits::kWallAheadS;
}

}  // namespace

std::string told_bound(const authority::TimeReport& report) {
  const authority::Estimate& known = report.estimate;
  return knows_bound(report) ? authority::told_time(known.least_s, known.least_source)
                             : "no bound yet";
}

void show_time(const authority::TimeReport& report, Output& out) {
  const authority::Estimate& known = report.estimate;
  std::string state = "time " + std::string(authority::time_standing_name(known.standing));
  if (known.anchored_ms > 0) state += ", for " + format_duration_ms(known.anchored_ms) + " more";
  out.line(state);
  out.line("estimate  " + authority::told_time(known.s, known.source));
  out.line("at least  " + told_bound(report));
  const std::int64_t ahead_s = authority::saturating_subtract(report.wall_s, known.s);
  out.line("wall      " + format_utc_s(report.wall_s) +
           (ahead_s == 0 ? ""
                         : ", " + format_duration_ms(std::abs(ahead_s) * kMsPerS) +
                               (ahead_s < 0 ? " before" : " after") + " the estimate"));
}

capsules::Value time_value(const authority::TimeReport& report) {
  const authority::Estimate& known = report.estimate;
  const bool bound = knows_bound(report);
  capsules::Object out{
      {"state", authority::time_standing_name(known.standing)},
      {"estimate", format_utc_s(known.s)},
      {"estimate_source", authority::time_source_name(known.source)},
      {"at_least", bound ? capsules::Value(format_utc_s(known.least_s)) : capsules::Value()},
      {"at_least_source", bound ? capsules::Value(authority::time_source_name(known.least_source))
                                : capsules::Value()},
      {"wall", format_utc_s(report.wall_s)},
      {"wall_ahead_s", authority::saturating_subtract(report.wall_s, known.s)}};
  const bool signed_time = report.signed_s > limits::kWallAheadS;
  out.emplace_back("signed_bound", signed_time ? capsules::Value(format_utc_s(report.signed_s))
                                               : capsules::Value());
  out.emplace_back("anchor_age_s", report.anchor_age_ms
                                       ? capsules::Value(*report.anchor_age_ms / kMsPerS)
                                       : capsules::Value());
  return capsules::Value(std::move(out));
}

void add_time_verbs(Command& command) {
  CLI::App* time = command.group("time", "Signed time, brought by hand");
  auto asking = std::make_shared<Asking>();
  CLI::App* ask =
      command.verb(time, "challenge", "Make a challenge: its answer anchors this boot's time",
                   "taper time challenge --state ./state --out edge-7.challenge",
                   [&command, asking] { return time_challenge(*asking, command.out); });
  ask->add_option("--state", asking->state, "The node's state")->required();
  ask->add_option("--out", asking->out, "The challenge; an earlier one is replaced")->required();
  ask->add_flag("--armour", asking->armour, "Write the text form, for transport by hand");
  command.writes(ask, "--out", [] { return FileKind::time_challenge; });

  auto answering = std::make_shared<Telling>();
  CLI::App* answer = command.verb(
      time, "answer", "At the centre: answer a node's challenge with this machine's time",
      "taper time answer edge-7.challenge --key time.key --out edge-7.time",
      [&command, answering] { return time_answer(*answering, command.out); });
  answer->add_option("CHALLENGE", answering->challenge, "What the node made")->required();
  add_telling_options(command, answer, *answering);

  auto telling = std::make_shared<Telling>();
  CLI::App* beacon = command.verb(
      time, "beacon", "At the centre: sign this machine's time as a lower bound for every node",
      "taper time beacon --key time.key --out now.time",
      [&command, telling] { return tell_time(*telling, std::nullopt, command.out); });
  add_telling_options(command, beacon, *telling);

  auto state = std::make_shared<std::string>();
  CLI::App* show = command.verb(time, "show", "What this node knows of the time, and from where",
                                "taper time show --state ./state",
                                [&command, state] { return time_show(*state, command.out); });
  show->add_option("--state", *state, "The node's state")->required();
}

}  // namespace taper::tools
