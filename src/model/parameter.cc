#include "model/parameter.h"

#include <utility>

namespace modelslim {

Parameter::Parameter(ParamInfo info, Tensor value)
    : own_info_(std::make_shared<ParamInfo>(std::move(info))), owned_(std::move(value)), modified_(true) {
  MODELSLIM_CHECK(owned_.shape() == own_info_->shape);
}

ConstView Parameter::Get() {
  if (!owned_) {
    if (std::optional<ConstView> mapped = source_->Map(info())) return *mapped;
    owned_ = source_->Load(info());
  }
  return std::as_const(owned_).view();
}

View Parameter::Mutable() {
  if (!owned_) owned_ = source_->Load(info());
  modified_ = true;
  ++version_;
  return owned_.view();
}

void Parameter::Set(Tensor value) {
  MODELSLIM_CHECK(value.shape() == shape());
  owned_ = std::move(value);
  modified_ = true;
  ++version_;
}

void Parameter::Release() {
  if (!modified_) owned_ = Tensor();
}

}  // namespace modelslim
