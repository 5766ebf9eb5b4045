// The header of a safetensors file, from any bytes: it is refused with an Error, or it describes the file exactly.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "io/safetensors.h"

namespace {

using namespace modelslim;

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckConsistent(const SafetensorsHeader& header, uint64_t file_size) {
  uint64_t end = header.data_begin;
  std::vector<SafetensorsItem> items;
  for (const SafetensorsSlot& slot : header.slots) {
    Require(slot.offset == end);
    Require(slot.size == static_cast<uint64_t>(NumElements(slot.shape)) * DTypeSize(slot.dtype));
    end += slot.size;
    items.push_back({slot.name, slot.dtype, slot.shape});
  }
  Require(end == file_size);
  // What was read can be written, and reads back as the same tensors.
  const SafetensorsPlan plan = PlanSafetensors(std::move(items), header.metadata);
  const SafetensorsHeader again =
      ParseSafetensorsHeader(std::as_bytes(std::span(plan.header)), plan.file_size, "again");
  Require(again.slots.size() == header.slots.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  // Once as a whole file, once as the beginning of a file whose data would fit a header that claims 64 bytes of it.
  for (const uint64_t file_size : {uint64_t{size}, uint64_t{size} + 64}) {
    try {
      CheckConsistent(ParseSafetensorsHeader(bytes, file_size, "fuzz"), file_size);
    } catch (const Error&) {
    }
  }
  return 0;
}
