#include "model/parameter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ops/embedding.h"

namespace modelslim {
namespace {

// found[t] = rows[ids[t] - begin] where that is one of `rows`.
void CopyChosenRows(const ConstView& rows, int64_t begin, std::span<const int32_t> ids, const View& found) {
  const size_t bytes = rows.bytes() / static_cast<size_t>(rows.rows());
  for (size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] < begin || ids[t] >= begin + rows.rows()) continue;
    std::memcpy(static_cast<std::byte*>(found.data) + t * bytes,
                static_cast<const std::byte*>(rows.data) + static_cast<size_t>(ids[t] - begin) * bytes, bytes);
  }
}

}  // namespace

// For sources that have no better way.
Tensor WeightSource::LoadRows(const ParamInfo& param, int64_t begin, int64_t end) const {
  const Tensor whole = Load(param);
  return Tensor::Copy(whole.view().Rows(begin, end));
}

Parameter::Parameter(ParamInfo info, Tensor value)
    : own_info_(std::make_shared<ParamInfo>(std::move(info))), owned_(std::move(value)), modified_(true) {
  MODELSLIM_CHECK(owned_.shape() == own_info_->shape);
}

ConstView Parameter::Get() {
  if (!mapped_ && !owned_) {
    std::optional<SharedTensor> stored;
    if (transforms_.empty() && !trial_) stored = source_->Map(info());
    if (stored) {
      mapped_ = *std::move(stored);
    } else {
      owned_ = Loaded();
    }
  }
  return mapped_ ? mapped_.view() : std::as_const(owned_).view();
}

SharedTensor Parameter::Take() {
  Get();
  if (mapped_) return std::exchange(mapped_, SharedTensor());
  return std::exchange(owned_, Tensor());
}

bool Parameter::ComesInRows() const {
  return !modified_ && !owned_ && !trial_ && by_rows_ && shape().size() == 2 &&
         (!transforms_.empty() || !source_->IsInPlace(info()));
}

Tensor Parameter::LoadRows(int64_t begin, int64_t end) const {
  MODELSLIM_CHECK(ComesInRows());
  Tensor values = source_->LoadRows(info(), begin, end);
  ApplyTransforms(values.view());
  return values;
}

Tensor Parameter::LookUp(std::span<const int32_t> ids) {
  Tensor found(dtype(), {static_cast<int64_t>(ids.size()), shape().back()});
  if (ids.empty()) return found;
  if (!ComesInRows()) {
    EmbeddingLookup(Get(), ids, found.view());
    return found;
  }
  if (source_->IsInPlace(info())) {
    const std::optional<SharedTensor> stored = source_->Map(info());
    EmbeddingLookup(stored->view(), ids, found.view());
  } else {
    constexpr int64_t kRows = 4096;
    CheckIds(ids, shape().front());
    for (int64_t begin = 0; begin < shape().front(); begin += kRows) {
      const int64_t end = std::min(shape().front(), begin + kRows);
      const Tensor rows = source_->LoadRows(info(), begin, end);
      CopyChosenRows(rows.view(), begin, ids, found.view());
    }
  }
  ApplyTransforms(found.view());
  return found;
}

View Parameter::Mutable() {
  MODELSLIM_CHECK(!trial_ && !before_trial_);
  if (!owned_) owned_ = Loaded();
  mapped_ = SharedTensor();
  transforms_.clear();
  modified_ = true;
  ++version_;
  return owned_.view();
}

void Parameter::Set(Tensor value) {
  MODELSLIM_CHECK(value.shape() == shape() && !trial_ && !before_trial_);
  owned_ = std::move(value);
  mapped_ = SharedTensor();
  transforms_.clear();
  modified_ = true;
  ++version_;
}

Tensor Parameter::Loaded() const {
  Tensor values = source_->Load(info());
  ApplyTransforms(values.view());
  if (trial_) trial_(values.view());
  return values;
}

void Parameter::ApplyTransforms(const View& values) const {
  for (const auto& change : transforms_) change(values);
}

void Parameter::Transform(std::function<void(const View&)> change, Reach reach) {
  MODELSLIM_CHECK(!trial_ && !before_trial_);
  mapped_ = SharedTensor();
  if (owned_) change(owned_.view());
  if (!modified_) {
    transforms_.push_back(std::move(change));
    by_rows_ = by_rows_ && reach == Reach::kRows;
  }
  ++version_;
}

void Parameter::Try(std::function<void(const View&)> change) {
  if (modified_) {
    if (before_trial_) {
      owned_ = before_trial_.Clone();
    } else {
      before_trial_ = owned_.Clone();
    }
    change(owned_.view());
  } else {
    owned_ = Tensor();
    mapped_ = SharedTensor();
    trial_ = std::move(change);
  }
  ++version_;
}

void Parameter::EndTrial() {
  if (!trial_ && !before_trial_) return;
  owned_ = std::exchange(before_trial_, Tensor());
  trial_ = nullptr;
  ++version_;
}

void Parameter::Release() {
  mapped_ = SharedTensor();
  if (!modified_) owned_ = Tensor();
}

}  // namespace modelslim
