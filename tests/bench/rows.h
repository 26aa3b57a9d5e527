// Benchmarks come in rows: what Taper takes and the floor it stands on, measured in one run on one
// machine.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <string>

namespace taper::bench {

enum class Side { ours, floor, peer };

// Registers `body` (one iteration's work, timed by the wall clock) as a side of `row`. A row may
// have several sides of ours (cold, cached). `goal` is printed beside ours.
void add(const std::string& row, Side side, const std::string& label, const std::string& goal,
         std::function<void(benchmark::State&)> body);

// A temporary directory on the disk of the build folder (not on a memory file system), removed at
// exit.
std::string scratch_directory(const std::string& name);
// The same on a memory file system.
std::string memory_directory(const std::string& name);

void register_decision();
void register_capsule();
void register_store();
void register_log();
void register_spawn();

// For each byte on stdin, until its end: does what a decision and its outcome stand on, and prints
// how many microseconds that took. False: it could not be done.
bool answer_with_floor();

}  // namespace taper::bench
