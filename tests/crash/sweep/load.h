// Kills at random moments, over one state that lives on.
#pragma once

namespace taper::crash {

// Runs one capsule after the other and kills the process `kills` times; then every effect must have
// happened once and have its decision in the log. Prints what it found; 0 when all is well.
int kill_under_load(unsigned kills);

}  // namespace taper::crash
