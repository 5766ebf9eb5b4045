#include "eval/layer_errors.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"

namespace modelslim {
namespace {

constexpr int64_t kRowsAtOnce = 1024;
// Embeddings are copied; a rotation moves nearly all of their length.
constexpr double kRotated = 0.5;
constexpr size_t kEmbedded = 256;  // tokens that are looked at for it

// Sums of squares, row by row and then over the rows, so that chunks do not show.
class Distance {
 public:
  void Add(const ConstView& a, const ConstView& b) {
    std::vector<double> differences(static_cast<size_t>(a.rows())), norms(static_cast<size_t>(a.rows()));
    const int64_t cols = a.cols();
    ParallelRanges(a.rows(), 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        double difference = 0, norm = 0;
        for (int64_t i = row * cols; i < (row + 1) * cols; ++i) {
          const auto x = static_cast<double>(a.as<float>()[i]), y = static_cast<double>(b.as<float>()[i]);
          difference += (x - y) * (x - y);
          norm += y * y;
        }
        differences[static_cast<size_t>(row)] = difference;
        norms[static_cast<size_t>(row)] = norm;
      }
    });
    for (size_t i = 0; i < norms.size(); ++i) {
      difference_ += differences[i];
      norm_ += norms[i];
    }
  }
  double relative() const { return norm_ > 0 ? std::sqrt(difference_ / norm_) : difference_ > 0 ? 1 : 0; }

 private:
  double difference_ = 0, norm_ = 0;
};

}  // namespace

LayerCompare::LayerCompare(Stream& model, Stream& reference, std::span<const int32_t> ids)
    : rows_(reference.states().All().rows()) {
  const std::span<const int32_t> some = ids.first(std::min(ids.size(), kEmbedded));
  const Tensor own = ConvertTo(model.model().family->Embed(model.rest(), some).view(), DType::kF32);
  const Tensor theirs = reference.model().family->Embed(reference.rest(), some);
  const auto apart = [&] {
    const Tensor here = InModelSpace(theirs.view());
    Distance distance;
    distance.Add(own.view(), here.view());
    return distance.relative() > kRotated;
  };
  if (!apart()) return;
  if (model.model().deployed != nullptr) {
    for (Fact& fact : model.model().deployed->output().FactsOf(kWholeModel)) {
      auto* const rotation = std::get_if<GlobalRotation>(&fact);
      if (rotation != nullptr && rotation->matrix.shape().front() == own.shape().back())
        rotation_ = std::move(rotation->matrix);
    }
  }
  possible_ = rotation_.has_value() && !apart();
}

Tensor LayerCompare::InModelSpace(const ConstView& rows) const {
  Tensor floats = ConvertTo(rows, DType::kF32);
  if (!rotation_) return floats;
  Tensor rotated(DType::kF32, floats.shape());
  MatMul(std::as_const(floats).view(), std::as_const(*rotation_).view(), rotated.view());
  return rotated;
}

double LayerCompare::Streamed(const Stream& model, const Stream& reference) const {
  Distance distance;
  for (int64_t begin = 0; begin < rows_; begin += kRowsAtOnce) {
    const int64_t end = std::min(rows_, begin + kRowsAtOnce);
    const Tensor own = ConvertTo(model.states().Rows(begin, end), DType::kF32),
                 theirs = InModelSpace(reference.states().Rows(begin, end));
    distance.Add(own.view(), theirs.view());
  }
  return distance.relative();
}

double LayerCompare::Forced(Stream& model, int index, const HiddenFile& entered, const HiddenFile& left) const {
  Distance distance;
  const auto input = [&](int64_t begin, int64_t end) { return InModelSpace(entered.Rows(begin, end)); };
  const auto look = [&](int64_t begin, const Tensor& output) {
    const Tensor own = ConvertTo(output.view(), DType::kF32),
                 theirs = InModelSpace(left.Rows(begin, begin + own.shape().front()));
    distance.Add(own.view(), theirs.view());
  };
  model.ForwardOther(index, input, look);
  return distance.relative();
}

}  // namespace modelslim
