// Several guests of one event loop, asked one after the other.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/broker/event_loop.h"

namespace taper::broker {

class Guests final : public Guest {
 public:
  explicit Guests(std::vector<Guest*> all) : all_(std::move(all)) {}  // they outlive it

  bool ready() const override {
    return std::ranges::any_of(all_, [](const Guest* each) { return each->ready(); });
  }
  void advance() override {
    for (Guest* each : all_)
      if (each->ready()) each->advance();
  }
  void look_at_time() override {
    for (Guest* each : all_) each->look_at_time();
  }
  std::optional<std::int64_t> wake_boot_ms() const override {
    std::optional<std::int64_t> first;
    for (const Guest* each : all_) {
      const std::optional<std::int64_t> wake = each->wake_boot_ms();
      if (wake) first = std::min(first.value_or(*wake), *wake);
    }
    return first;
  }
  void interrupted() override {
    for (Guest* each : all_) each->interrupted();
  }
  void fail(const Error& error) override {
    for (Guest* each : all_) each->fail(error);
  }
  bool over() const override {
    return std::ranges::all_of(all_, [](const Guest* each) { return each->over(); });
  }

 private:
  std::vector<Guest*> all_;
};

}  // namespace taper::broker
