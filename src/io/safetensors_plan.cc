// Laying out and writing safetensors files.
#include <algorithm>
#include <limits>

#include "io/json_writer.h"
#include "io/output_file.h"
#include "io/quote.h"
#include "io/safetensors.h"

namespace modelslim {
namespace {

[[noreturn]] void Fail(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::kUnexpected, "output tensor " + Quote(name) + ": " + what);
}

uint64_t Bytes(const SafetensorsItem& item) {
  uint64_t bytes = DTypeSize(item.dtype);
  for (const int64_t dim : item.shape) {
    if (dim < 0) Fail(item.name, "expected a shape without negative dimensions, found " + ShapeText(item.shape));
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes)) Fail(item.name, "its size overflows");
  }
  return bytes;
}

void AppendEntry(std::string& json, const SafetensorsSlot& slot, uint64_t begin) {
  if (json.size() > 1) json += ',';
  AppendJsonString(json, slot.name, false);
  json += ":{\"dtype\":\"";
  json += DTypeName(slot.dtype);
  json += "\",\"shape\":[";
  for (size_t i = 0; i < slot.shape.size(); ++i) {
    if (i > 0) json += ',';
    json += std::to_string(slot.shape[i]);
  }
  json += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(begin + slot.size) + "]}";
}

std::string MetadataText(const SafetensorsMetadata& metadata) {
  if (metadata.empty()) return "";
  JsonObject object;
  for (const auto& [key, value] : metadata) object.Set(key, value);
  return "\"__metadata__\":" + Json(std::move(object)).Dump(Json::kCompact, false);
}

std::string WithLength(const std::string& json) {
  std::string header;
  for (int i = 0; i < 8; ++i) header += static_cast<char>(json.size() >> (8 * i) & 0xff);
  return header + json;
}

}  // namespace

SafetensorsPlan PlanSafetensors(std::vector<SafetensorsItem> items, const SafetensorsMetadata& metadata) {
  std::sort(items.begin(), items.end(), [](const SafetensorsItem& a, const SafetensorsItem& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  SafetensorsPlan plan;
  std::string json = "{";
  json += MetadataText(metadata);
  uint64_t end = 0;
  for (SafetensorsItem& item : items) {
    const uint64_t size = Bytes(item);
    plan.slots.push_back({std::move(item.name), item.dtype, std::move(item.shape), end, size});
    AppendEntry(json, plan.slots.back(), end);
    if (__builtin_add_overflow(end, size, &end)) Fail(plan.slots.back().name, "the size of the file overflows");
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxSafetensorsHeader) {
    throw Error(ErrorCode::kUnsupported,
                "expected a safetensors header of at most " + std::to_string(kMaxSafetensorsHeader) + " bytes, found " +
                    std::to_string(json.size()),
                "write smaller files: set part_file_size of the saver in the recipe");
  }
  std::vector<std::string_view> names;
  for (const SafetensorsSlot& slot : plan.slots) names.push_back(slot.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) Fail(std::string(*twice), "expected every name once, found it twice");
  plan.header = WithLength(json);
  for (SafetensorsSlot& slot : plan.slots) slot.offset += plan.header.size();
  plan.file_size = plan.header.size() + end;
  return plan;
}

void WriteSafetensors(const fs::path& path, const std::vector<std::pair<std::string, ConstView>>& tensors,
                      const SafetensorsMetadata& metadata, unsigned mode) {
  std::vector<SafetensorsItem> items;
  std::unordered_map<std::string_view, const void*> data;
  for (const auto& [name, view] : tensors) {
    items.push_back({name, view.dtype, view.shape});
    data[name] = view.data;
  }
  const SafetensorsPlan plan = PlanSafetensors(std::move(items), metadata);
  OutputFileOptions options;
  options.mode = mode;
  const auto file = OutputFile::Create(path.string() + ".partial", plan.file_size, options);
  file->Write(0, plan.header);
  for (const SafetensorsSlot& slot : plan.slots) {
    file->Write(slot.offset, std::span(static_cast<const std::byte*>(data.at(slot.name)), slot.size));
  }
  file->Publish(path);
}

}  // namespace modelslim
