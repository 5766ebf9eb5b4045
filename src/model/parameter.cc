#include "model/parameter.h"

#include <utility>

namespace modelslim {

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

SharedTensor Parameter::Share() {
  const ConstView values = Get();
  if (mapped_) return mapped_;
  return modified_ ? Tensor::Copy(values) : std::exchange(owned_, Tensor());
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
  for (const auto& change : transforms_) change(values.view());
  if (trial_) trial_(values.view());
  return values;
}

void Parameter::Transform(std::function<void(const View&)> change) {
  MODELSLIM_CHECK(!trial_ && !before_trial_);
  mapped_ = SharedTensor();
  if (owned_) change(owned_.view());
  if (!modified_) transforms_.push_back(std::move(change));
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
