#include "quant/smoothing/search_operands.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "quant/smoothing/smooth_operands.h"

namespace modelslim::smooth_search {
namespace {

[[noreturn]] void Refuse(const std::string& why) { throw Error(ErrorCode::kMisuse, "smoothing search: " + why); }

// Rows of all `parts` in order, converted to `dtype`; rows of zeros only when `keep_zero_rows`.
Tensor Stacked(std::span<const ConstView> parts, DType dtype, bool keep_zero_rows) {
  std::vector<Tensor> converted;
  std::vector<std::pair<const std::byte*, size_t>> rows;
  const int64_t cols = parts[0].cols();
  for (const ConstView& part : parts) {
    converted.push_back(ConvertTo(part, dtype));
    const ConstView view = converted.back().view();
    const size_t bytes = static_cast<size_t>(cols) * DTypeSize(dtype);
    for (int64_t r = 0; r < part.rows(); ++r) {
      const auto* row = static_cast<const std::byte*>(view.data) + static_cast<size_t>(r) * bytes;
      if (keep_zero_rows || smooth_operands::SquaredSum(row, dtype, cols) != 0.0) rows.emplace_back(row, bytes);
    }
  }
  if (keep_zero_rows && converted.size() == 1) {
    converted[0].Reshape({parts[0].rows(), cols});
    return std::move(converted[0]);
  }
  Tensor all(dtype, {static_cast<int64_t>(rows.size()), cols});
  auto* to = static_cast<std::byte*>(all.view().data);
  for (const auto& [row, bytes] : rows) {
    std::memcpy(to, row, bytes);
    to += bytes;
  }
  return all;
}

}  // namespace

Operands MakeOperands(const ConstView& act, std::span<const ConstView> weights, bool skip_zero_rows) {
  if (weights.empty()) Refuse("no weights");
  for (const ConstView& weight : weights) {
    if (weight.shape.size() != 2 || weight.cols() != act.cols() || weight.dtype != weights[0].dtype ||
        !IsModelDType(weight.dtype)) {
      Refuse("weight " + ShapeText(weight.shape) + " of " + std::string(DTypeName(weight.dtype)) +
             " beside activations " + ShapeText(act.shape) + " and a first weight of " +
             std::string(DTypeName(weights[0].dtype)));
    }
  }
  if (!IsModelDType(act.dtype) || act.rows() == 0) Refuse("activations " + ShapeText(act.shape) + " hold no tokens");
  const DType dtype = weights[0].dtype;
  return {Stacked({&act, 1}, dtype, !skip_zero_rows), Stacked(weights, dtype, !skip_zero_rows)};
}

Channels RowsAbsMax(const Tensor& matrix) {
  const ConstView view = matrix.view();
  return ColumnMax({&view, 1});
}

}  // namespace modelslim::smooth_search
