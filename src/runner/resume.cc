#include "runner/resume.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/parallel.h"
#include "io/hash.h"
#include "runner/publish.h"

namespace modelslim {
namespace {

std::string Header(const MappedFile& file, size_t size) {
  return {reinterpret_cast<const char*>(file.bytes().data()), size};
}

// Of the units alone, before anything is read.
std::string UnitProblem(const OutputLayout& layout, const std::vector<JournalUnit>& finished, int units) {
  std::vector<size_t> planned(static_cast<size_t>(units), 0);
  for (const OutputTensor& tensor : layout.tensors) ++planned[static_cast<size_t>(tensor.unit)];
  if (finished.size() > planned.size()) return "its journal has more units than the model";
  for (size_t i = 0; i < finished.size(); ++i) {
    const JournalUnit& unit = finished[i];
    if (unit.unit != static_cast<int>(i)) return "the units of its journal are not in order";
    if (unit.hashes.size() != planned[i]) {
      return "its journal has " + std::to_string(unit.hashes.size()) + " tensors of unit " + std::to_string(i) +
             ", which has " + std::to_string(planned[i]);
    }
    for (const auto& [name, hash] : unit.hashes) {
      const OutputTensor* const tensor = layout.Find(name);
      if (tensor == nullptr || tensor->unit != unit.unit)
        return "its journal has a tensor that is not planned: " + name;
    }
  }
  return "";
}

}  // namespace

fs::path FindUnfinishedShard(const fs::path& save_path, const OutputShard& shard) {
  std::error_code ignored;
  for (const fs::path& path : {Unpublished(save_path / shard.file), save_path / shard.file}) {
    if (fs::symlink_status(path, ignored).type() == fs::file_type::regular) return path;  // no link of anybody's
  }
  return {};
}

std::string WhyNotResumed(const OutputLayout& layout, const fs::path& save_path,
                          const std::vector<JournalUnit>& finished, int units) {
  if (std::string problem = UnitProblem(layout, finished, units); !problem.empty()) return problem;
  std::vector<std::unique_ptr<const MappedFile>> files;
  for (const OutputShard& shard : layout.shards) {
    const fs::path path = FindUnfinishedShard(save_path, shard);
    if (path.empty()) return shard.file + " is missing";
    files.push_back(std::make_unique<const MappedFile>(path));
    if (files.back()->bytes().size() != shard.size || Header(*files.back(), shard.header.size()) != shard.header) {
      return path.string() + " is not the file that it made";
    }
  }
  std::vector<std::pair<const OutputTensor*, const std::string*>> tensors;
  for (const JournalUnit& unit : finished) {
    for (const auto& [name, hash] : unit.hashes) tensors.emplace_back(layout.Find(name), &hash);
  }
  std::vector<char> wrong(tensors.size(), 0);
  ParallelFor(static_cast<int64_t>(tensors.size()), [&](int64_t i) {
    const auto& [tensor, hash] = tensors[static_cast<size_t>(i)];
    const MappedFile& file = *files[static_cast<size_t>(tensor->shard)];
    wrong[static_cast<size_t>(i)] = HashHex(file.bytes().subspan(tensor->offset, tensor->bytes())) != *hash;
    file.DontNeed(tensor->offset, tensor->bytes());
  });
  const auto found = std::find(wrong.begin(), wrong.end(), 1);
  if (found == wrong.end()) return "";
  return "the bytes of " + tensors[static_cast<size_t>(found - wrong.begin())].first->name +
         " on the disk are not those that were written";
}

}  // namespace modelslim
