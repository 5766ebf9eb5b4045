#include "processor/observing/output_error.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/gemm.h"
#include "quant/weights/weight_error.h"

namespace modelslim {
namespace {

constexpr int64_t kBytesOfABlock = int64_t{64} << 20;
constexpr int64_t kFewest = 8, kMost = 128;

// What the deployed layer makes of its input.
Tensor DeployedInput(const LinearResult& result, const ConstView& x) {
  if (result.weight_only) return Tensor::Copy(x);
  DeployedActivation activation;
  activation.spec = result.activation;
  activation.true_per_token = true;
  if (result.activation.format == ElementFormat::kInt4) activation.bits = 4;
  if (result.input) activation.fixed = AffineTable::Single(*result.input);
  const bool block =
      result.activation.scope == ActivationScope::kPerBlock || result.activation.scope == ActivationScope::kDualScale;
  Tensor out(block ? x.dtype : DType::kF32, x.shape);
  const int64_t whole[] = {0, x.rows()};
  FakeQuantizeDeployed(activation, x, whole, out.view());
  return out;
}

}  // namespace

void RowSample::Observe(const ConstView& x, const RowGroups&) {
  if (x.rows() == 0) return;
  if (width_ == 0) {
    width_ = x.cols();
    rows_ = Tensor(x.dtype, {most_, width_});
  }
  if (x.dtype != rows_.dtype()) return;  // one pass has one type; a second pass of another adds nothing
  const size_t bytes = rows_.view().bytes() / static_cast<size_t>(most_);
  for (int64_t r = 0; r < x.rows(); ++r, ++seen_) {
    if (seen_ % stride_ != 0) continue;
    if (kept_ == most_) Thin();
    if (seen_ % stride_ != 0) continue;
    std::memcpy(static_cast<std::byte*>(rows_.view().data) + static_cast<size_t>(kept_++) * bytes,
                static_cast<const std::byte*>(x.data) + static_cast<size_t>(r) * bytes, bytes);
  }
}

void RowSample::Thin() {
  const size_t bytes = rows_.view().bytes() / static_cast<size_t>(most_);
  auto* const data = static_cast<std::byte*>(rows_.view().data);
  for (int64_t i = 1; 2 * i < kept_; ++i) {
    std::memcpy(data + static_cast<size_t>(i) * bytes, data + static_cast<size_t>(2 * i) * bytes, bytes);
  }
  kept_ = (kept_ + 1) / 2;
  stride_ *= 2;
}

int64_t SampledRows(const BlockInfo& block) {
  int64_t row_bytes = 1;
  for (const ModuleInfo& module : block.modules) {
    if (module.kind != ModuleKind::kLinear) continue;
    row_bytes += module.in_features() * static_cast<int64_t>(DTypeSize(module.params.front().dtype));
  }
  return std::clamp(kBytesOfABlock / row_bytes, kFewest, kMost);
}

std::optional<double> OutputError(LinearModule& module, LinearResult& result, const ConstView& rows) {
  if (rows.rows() == 0) return std::nullopt;
  const ConstView bias = module.bias() != nullptr ? module.bias()->Get() : ConstView{};
  const Tensor x = DeployedInput(result, rows);
  const Tensor weight = Dequantize(result.Weight(module), module.weight().dtype());
  Tensor exact(DType::kF32, {rows.rows(), module.info().out_features()}), quantized(DType::kF32, exact.shape());
  Linear(rows, module.weight().Get(), bias, exact.view());
  Linear(x.view(), weight.view(), bias, quantized.view());
  return Compare(std::as_const(exact).view(), std::as_const(quantized).view()).relative();
}

}  // namespace modelslim
