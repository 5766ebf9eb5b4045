#include "processor/observing/input_tape.h"

namespace modelslim {

void InputTape::Observe(const ConstView& x, const RowGroups& groups) {
  if (x.rows() == 0) return;
  if (!rows_) rows_ = std::make_unique<TokenStore>(scratch_, x.dtype);
  chunks_.push_back({rows_->rows(), {groups.offsets.begin(), groups.offsets.end()}, groups.first_sample});
  rows_->Append(x);
}

void InputTape::Clear() {
  if (rows_) rows_->Clear();
  chunks_.clear();
}

void WaitingInputs::Add(const ConstView& x, const RowGroups& groups) {
  const auto limit = channels_ * static_cast<int64_t>(DTypeSize(DType::kF32) / DTypeSize(x.dtype));
  for (int64_t s = 0; s < groups.samples(); ++s) {
    const int64_t begin = groups.offsets[s], end = groups.offsets[s + 1];
    const std::vector<int64_t> alone = {0, end - begin};
    tape_.Observe(x.Rows(begin, end), {alone, groups.first_sample + s});
    rows_ += end - begin;
    if (tape_.rows() >= limit) Finish();
  }
}

void WaitingInputs::Finish() {
  if (tape_.rows() > 0) fold_(tape_);
  tape_.Clear();
}

}  // namespace modelslim
