#include "runtime/broker/step_report.h"

#include "runtime/broker/outcome.h"

namespace taper::broker {

void StepReports::keep(StepReport report) {
  report.result = shown_result(report.result, left_);
  left_ -= std::min(left_, report.result.size());
  if (report.err.size() > left_) report.err.clear();
  left_ -= report.err.size();
  steps_.push_back(std::move(report));
}

}  // namespace taper::broker
