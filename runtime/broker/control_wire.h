// What both directions of control.sock share. Private to this folder.
#pragma once

#include <string>

#include "messages_generated.h"
#include "runtime/broker/wire.h"

namespace taper::broker {

inline constexpr std::uint32_t kControlVersion = 2;

inline Bytes finish_control(flatbuffers::FlatBufferBuilder& builder, wire::Body kind,
                            flatbuffers::Offset<void> body) {
  wire::FinishControlMessageBuffer(
      builder, wire::CreateControlMessage(builder, kind, body, kControlVersion));
  return built(builder);
}

inline Result<const wire::ControlMessage*> control_message(const Bytes& copy) {
  TAPER_TRY(const wire::ControlMessage* root,
            verified<wire::ControlMessage>(copy, wire::ControlMessageIdentifier(),
                                           limits::kControlMessageBytesMax));
  if (root->version() != kControlVersion) return malformed("version 2");
  return root;
}

inline Result<std::string> text_of(const flatbuffers::String* text, std::size_t bytes_max) {
  if (text == nullptr || text->size() > bytes_max) return malformed("a text within its cap");
  return text->str();
}

}  // namespace taper::broker
