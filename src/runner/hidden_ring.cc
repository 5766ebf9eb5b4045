#include "runner/hidden_ring.h"

#include <optional>
#include <string>
#include <utility>

#include "runner/output_writer.h"

namespace modelslim {

HiddenRing::HiddenRing(fs::path work, size_t stage, int64_t rows, int64_t width)
    : work_(std::move(work)), stage_(stage), rows_(rows), width_(width) {}

void HiddenRing::Open(bool keep) {
  for (size_t i = 0; i < kFiles; ++i) {
    const std::string name = "hidden-" + (stage_ > 0 ? std::to_string(stage_) + "-" : "") + std::to_string(i);
    files_[i] = std::make_unique<HiddenFile>(work_ / name, rows_, width_, keep);
  }
}

bool HiddenRing::Find(const SavedHidden& saved) {
  const std::optional<DType> dtype = ParseDType(saved.dtype);
  if (!dtype || !IsModelDType(*dtype)) return false;
  Open(/*keep=*/true);
  for (size_t i = 0; i < kFiles; ++i) {
    if (files_[i]->path().filename() != saved.file) continue;
    files_[i]->set_dtype(*dtype);
    current_ = i;
    return HashOf(*files_[i]) == saved.hash;
  }
  return false;
}

}  // namespace modelslim
