// What the strict decoders of broker messages share. Private to this folder.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <optional>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/limits.h"
#include "runtime/base/result.h"

namespace taper::broker {

inline Error malformed(std::string_view rule) {
  return Error(Code::message_malformed,
               {.field = "", .expected = std::string(rule), .got = "", .fix = ""});
}

inline Bytes built(const flatbuffers::FlatBufferBuilder& builder) {
  return Bytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
}

// `copy` is the message where the verifier's and the accessors' alignment holds.
template <class Message>
Result<const Message*> verified(const Bytes& copy, const char* identifier, std::size_t bytes_max) {
  if (copy.size() > bytes_max) return malformed("a smaller message");
  flatbuffers::Verifier verifier(copy.data(), copy.size(), limits::kFlatbufferDepthMax,
                                 limits::kFlatbufferTablesMax);
  if (!verifier.VerifyBuffer<Message>(identifier)) return malformed("a whole buffer");
  return flatbuffers::GetRoot<Message>(copy.data());
}

using WireBytes = flatbuffers::Vector<std::uint8_t>;

inline ByteSpan span_of(const WireBytes* bytes) {
  return bytes == nullptr ? ByteSpan{} : ByteSpan{bytes->data(), bytes->size()};
}

template <class IdType>
Result<IdType> id_of(const WireBytes* bytes, std::string_view what) {
  const std::optional<IdType> id = IdType::from(span_of(bytes));
  if (!id) return malformed(what);
  return *id;
}

template <class Array>
flatbuffers::Offset<WireBytes> put(flatbuffers::FlatBufferBuilder& builder, const Array& bytes) {
  return builder.CreateVector(bytes.data(), bytes.size());
}

}  // namespace taper::broker
