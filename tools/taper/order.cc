#include "capsules/order.h"
#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/keys.h"
#include "tools/taper/order_text.h"
#include "tools/taper/signer.h"
#include "tools/taper/task_show.h"

namespace taper::tools {
namespace {

struct Ordering {
  std::string task, key, why, out;
  bool armour = false;
  PassphraseOptions passphrase;
};

Status task_order(const Ordering& options, Output& out) {
  TAPER_TRY(const TaskId task, task_option(options.task));
  const capsules::Order order{
      .task = task, .why = options.why, .issued_at_s = SystemClock().now().wall_s, .signer = {}};
  TAPER_TRY(const Bytes payload, capsules::encode_order(order));
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::revoker, options.passphrase));
  const KeyId signer = crypto::key_id(key.public_key());
  const Bytes file =
      capsules::frame_order(payload, {signer, key.sign(crypto::statement::kOrder, payload)});
  const Form form = options.armour ? Form::armoured : Form::binary;
  TAPER_CHECK(write_signed(options.out, form, kOrderLabel, file));
  out.line("orders the end of task " + task.hex());
  out.line("bring it to the task's node: 'taper import --state DIR " + escape_text(options.out) +
           "'");
  out.set("task", task.hex());
  out.set("why", text_value(options.why));
  out.set("signer", signer.hex());
  out.set("issued_at", format_utc_s(order.issued_at_s));
  out.set("file", text_value(options.out));
  return success();
}

}  // namespace

Status import_order(const std::string& state, ByteSpan file, Output& out) {
  TAPER_TRY(const broker::Ordered ordered, broker::import_order(state, file));
  TAPER_TRY(const authority::TaskView view, broker::task_show(state, ordered.task));
  out.line("task " + ordered.task.hex() + (ordered.over ? " was over already: " : " ") +
           state_words(view));
  out.set("task", ordered.task.hex());
  out.set("over_already", ordered.over);
  out.set("state", std::string(authority::task_state_name(view.state)));
  out.set("reason", std::string(authority::end_reason_name(view.reason)));
  return success();
}

void add_order_verb(Command& command, CLI::App* task) {
  auto ordering = std::make_shared<Ordering>();
  CLI::App* verb = command.verb(
      task, "order", "At the centre: order the end of a node's task, for 'taper import' there",
      "taper task order 3f0c… --key revoker.key --why \"stolen laptop\" --out stop.order",
      [&command, ordering] { return task_order(*ordering, command.out); });
  verb->add_option("TASK", ordering->task, "Its id, in hex")->required();
  verb->add_option("--key", ordering->key, "A key file of role revoker, which the root lists")
      ->required();
  verb->add_option("--why", ordering->why, "For the log: at most 256 bytes of plain text")
      ->required();
  verb->add_option("--out", ordering->out, "The order; an earlier one is replaced")->required();
  verb->add_flag("--armour", ordering->armour, "Write the text form, for transport by hand");
  ordering->passphrase.add_to(verb);
  command.writes(verb, "--out", [] { return FileKind::order; });
}

}  // namespace taper::tools
