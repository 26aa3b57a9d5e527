// Where the twins of markers lie (docs/formats/log.md): a directory that the next boot does not
// find.
#pragma once

#include <string>
#include <vector>

namespace taper::broker {

// TAPER_RUNTIME_DIR where it is set; else /run/taper, else $XDG_RUNTIME_DIR/taper, of which each is
// made where that can be. It must be a directory of the owner of `state`, and nobody else's to
// write. Empty: none is.
std::string twins_of(const std::string& state);

// Wherever they may lie for this owner and these settings, whether it is there by now or not. No
// tool may be given any of them.
std::vector<std::string> twin_places(const std::string& state);

}  // namespace taper::broker
