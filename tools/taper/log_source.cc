#include "tools/taper/log_source.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "store/auditor/log_record.h"
#include "tools/taper/mapped_file.h"

namespace taper::tools {

void LogSource::add_to(CLI::App* verb) {
  verb->add_option("FILE", file, "The exported log");
  verb->add_option("--state", state, "In place of FILE: the log of this node's state");
}

Status LogSource::read(const std::function<Status(const store::LogRecord&)>& visit) const {
  if (file.empty() == state.empty())
    return usage_error("FILE", "an exported log, or --state DIR",
                       file.empty() ? "neither" : "both");
  Status met = success();
  const auto once = [&](const store::LogRecord& record) {
    if (met.ok()) met = visit(record);
  };
  if (!state.empty()) {
    TAPER_CHECK(broker::read_log(state, [&once](std::uint64_t number, ByteSpan record) {
      once(store::to_record(number, record));
    }));
    return met;
  }
  TAPER_TRY(const MappedFile mapped, MappedFile::open(file, limits::kLogFileBytesMax));
  TAPER_CHECK(store::read_log(mapped.bytes(), once));
  return met;
}

std::string forgotten_text(std::uint64_t records) {
  return "the first " + std::to_string(records) +
         " records were released and are forgotten here: ask the archive of the centre";
}

capsules::Value body_of(const store::LogRecord& record) {
  Result<capsules::Value> body =
      capsules::parse_value(as_bytes(record.body), limits::kAuditRecordBytesMax);
  return body.ok() ? std::move(*body) : capsules::Value();
}

std::string_view member(const capsules::Value& body, std::string_view name) {
  const capsules::Value* found = body.find(name);
  return found == nullptr || found->text() == nullptr ? std::string_view() : *found->text();
}

bool is_about(const capsules::Value& body, const std::string& task) {
  if (member(body, "task") == task) return true;
  const capsules::Value* tasks = body.find("tasks");
  if (tasks == nullptr || tasks->array() == nullptr) return false;
  return std::ranges::any_of(
      *tasks->array(), [&task](const capsules::Value& one) { return member(one, "task") == task; });
}

}  // namespace taper::tools
