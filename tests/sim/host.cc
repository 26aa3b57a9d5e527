#include "tests/sim/host.h"

#include <filesystem>
#include <fstream>

#include "crypto/crypto.h"
#include "store/audit_export.h"
#include "store/state_files.h"

namespace taper::sim {
namespace {

BootId boot_id(std::uint64_t number) {
  BootId id = crypto::random_id<BootId>();
  id.bytes[0] = static_cast<std::uint8_t>(number);
  return id;
}

Bytes whole(const std::string& path) {
  Result<Bytes> bytes = read_file(path, 4096);
  TAPER_ASSERT(bytes.ok());
  return std::move(bytes).value();
}

void overwrite(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  TAPER_ASSERT(file.good());
}

}  // namespace

Host::Host(std::string folder, std::size_t number, Dice& dice, std::int64_t true_s)
    : folder_(std::move(folder) + "/host-" + std::to_string(number)),
      dice_(dice),
      clock_({dice.roll(1'000, 400'000'000), true_s, boot_id(0)}) {
  std::filesystem::create_directory(folder_);
  address_.node = crypto::SigningKey::generate().public_key();
  renew();
}

void Host::pass(std::int64_t ms) {
  // Without power the clock on the wall still runs, where its battery holds.
  const std::int64_t boot_ms = clock_.now().boot_ms;
  clock_.advance_ms(ms);
  if (powered_) return;
  Now off = clock_.now();
  off.boot_ms = boot_ms;
  clock_ = ManualClock(off);
}

std::string Host::origin() const {
  return "taper/" + address_.node.hex() + "/" + address_.incarnation.hex();
}

void Host::renew() {
  TAPER_ASSERT(!up());
  directory_ = folder_ + "/" + std::to_string(++lives_);
  address_.incarnation = crypto::random_id<Incarnation>();
  store::LogSeed seed = store::LogSeed::generate();
  log_key_0_ = seed.key().public_key();
  const Status made =
      store::create_state(directory_, {address_.incarnation, origin()}, std::move(seed));
  TAPER_ASSERT(made.ok());
}

authority::NodeFacts Host::facts() const {
  return {address_.node, address_.incarnation, "host", {"/var/lib/taper"}, capsules::Tier::t2, {}};
}

Status Host::start() {
  TAPER_ASSERT(powered_ && !up());
  disk().trouble = &trouble;
  Status started = [&]() -> Status {
    TAPER_TRY(store_, store::open_state({.directory = directory_, .origin = origin()}));
    TAPER_TRY(authority_, authority::Authority::start(*store_, facts(), clock_.now()));
    return success();
  }();
  disk().trouble = nullptr;
  if (!started.ok() || trouble.killed) kill();
  if (started.ok() && !up()) return Error(Code::store_failure, {"process", "", "killed", ""});
  return started;
}

void Host::stop() {
  disk().trouble = &trouble;
  authority_.reset();
  store_.reset();
  disk().trouble = nullptr;
  trouble.killed = false;
}

void Host::kill() {
  trouble.killed = true;
  trouble.kill_in = 0;
  stop();
}

std::size_t Host::cut_power() {
  kill();
  powered_ = false;
  return disk().drop_unsynced(directory_, dice_);
}

void Host::shut_down() {
  stop();
  powered_ = false;
}

void Host::power_on() {
  powered_ = true;
  // The process comes some while after the kernel.
  clock_ = ManualClock({dice_.roll(1'000, 90'000), clock_.now().wall_s, boot_id(++boots_)});
}

Snapshot Host::snapshot() const {
  Snapshot out;
  out.image = image()->copy();
  out.commit = out.image->commit();
  out.marker = whole(directory_ + "/marker");
  out.seed = whole(directory_ + "/log.seed");
  return out;
}

void Host::put_back(const Snapshot& snapshot, bool image_alone) {
  TAPER_ASSERT(!up());
  disk().image(directory_) = snapshot.image->copy();
  if (image_alone) return;
  overwrite(directory_ + "/marker", snapshot.marker);
  overwrite(directory_ + "/log.seed", snapshot.seed);
}

std::uint64_t Host::marked_commit() const {
  const auto marker = store::read_marker(directory_);
  return marker.ok() ? marker->commit : 0;
}

Result<Bytes> Host::export_log() const {
  return store::export_log(directory_, origin(), std::nullopt);
}

}  // namespace taper::sim
