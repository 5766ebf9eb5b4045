#include "format/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "io/json_writer.h"
#include "io/safetensors.h"

namespace modelslim {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

std::string ShardFile(const ShardNames& names, int number, int count) {
  if (names.part_gib == 0) return names.stem + ".safetensors";
  // Beyond 99999 shards the reference pads neither number.
  return count > 99999 ? fmt::format("{}-{}-of-{}.safetensors", names.stem, number, count)
                       : fmt::format("{}-{:05d}-of-{:05d}.safetensors", names.stem, number, count);
}

int AssignShards(std::vector<OutputTensor>& tensors, int64_t part_gib) {
  if (part_gib == 0) {
    for (OutputTensor& tensor : tensors) tensor.shard = 0;
    return 1;
  }
  const uint64_t limit = static_cast<uint64_t>(part_gib) * kGiB;
  int shard = 0;
  uint64_t pending = 0;
  bool empty = true;
  for (OutputTensor& tensor : tensors) {
    if (!tensor.file.empty()) continue;
    if (!empty && pending + tensor.bytes() >= limit) ++shard, pending = 0;
    tensor.shard = shard;
    pending += tensor.bytes();
    empty = false;
  }
  return shard + 1;
}

// The files beside the weights come after `count` shards of weights.
std::vector<std::string> AssignFiles(std::vector<OutputTensor>& tensors, int count) {
  std::vector<std::string> files;
  for (OutputTensor& tensor : tensors) {
    if (tensor.file.empty()) continue;
    const auto found = std::find(files.begin(), files.end(), tensor.file);
    tensor.shard = count + static_cast<int>(found - files.begin());
    if (found == files.end()) files.push_back(tensor.file);
  }
  return files;
}

}  // namespace

const OutputTensor* OutputLayout::Find(const std::string& name) const {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &tensors[found->second];
}

OutputLayout LayOut(std::vector<OutputTensor> tensors, const ShardNames& names) {
  OutputLayout layout;
  const int count = AssignShards(tensors, names.part_gib);
  const std::vector<std::string> beside = AssignFiles(tensors, count);
  layout.tensors = std::move(tensors);
  layout.weight_shards = static_cast<size_t>(count);
  if (names.part_gib > 0) layout.index_file = names.stem + ".safetensors.index.json";
  std::vector<std::vector<SafetensorsItem>> items(layout.weight_shards + beside.size());
  for (size_t i = 0; i < layout.tensors.size(); ++i) {
    const OutputTensor& tensor = layout.tensors[i];
    if (!layout.index.emplace(tensor.name, i).second) {
      throw Error(ErrorCode::kUnexpected, "output tensor " + tensor.name + " is planned twice");
    }
    items[tensor.shard].push_back({tensor.name, tensor.dtype, tensor.shape});
    if (tensor.file.empty()) layout.total_size += tensor.bytes();
  }
  for (size_t shard = 0; shard < items.size(); ++shard) {
    const SafetensorsPlan plan = PlanSafetensors(std::move(items[shard]));
    for (const SafetensorsSlot& slot : plan.slots) layout.tensors[layout.index.at(slot.name)].offset = slot.offset;
    const std::string file = shard < layout.weight_shards ? ShardFile(names, static_cast<int>(shard) + 1, count)
                                                          : beside[shard - layout.weight_shards];
    layout.shards.push_back({file, plan.header, plan.file_size});
  }
  return layout;
}

std::string IndexJson(const OutputLayout& layout) {
  std::string text;
  JsonWriter json(&text, 2);
  json.BeginObject();
  json.Key("metadata");
  json.BeginObject();
  json.Key("total_size");
  json.Int(static_cast<int64_t>(layout.total_size));
  json.EndObject();
  json.Key("weight_map");
  json.BeginObject();
  for (const OutputTensor& tensor : layout.tensors) {
    if (tensor.file.empty()) json.Member(tensor.name, layout.shards[tensor.shard].file);
  }
  json.EndObject();
  json.EndObject();
  return text;
}

}  // namespace modelslim
