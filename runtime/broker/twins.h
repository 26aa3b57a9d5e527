// Where the twins of markers lie (docs/formats/log.md): a directory that the next boot does not
// find.
#pragma once

#include <string>

namespace taper::broker {

// TAPER_RUNTIME_DIR where it is set; else /run/taper, else $XDG_RUNTIME_DIR/taper, of which each is
// made where that can be. It must be a directory of the owner of `state`, and nobody else's to
// write. Empty: none is.
std::string twins_of(const std::string& state);

}  // namespace taper::broker
