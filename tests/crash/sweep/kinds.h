// That no commit is missed: what the program's own code could write, against what the scenarios do.
#pragma once

namespace taper::crash {

// Runs every scenario whole. 0: each place in the program that commits was on the way to a sync of
// some run, and each kind of record that the code appends was appended.
int check_kinds();

}  // namespace taper::crash
