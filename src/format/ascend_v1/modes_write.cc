#include <utility>

#include "base/error.h"
#include "format/ascend_v1/mode_parts.h"
#include "format/ascend_v1/v0_linears.h"
#include "format/pack.h"

namespace modelslim::ascend_v1 {
namespace {

Tensor Single(float value) {
  Tensor made(DType::kF32, {1});
  *made.as<float>() = value;
  return made;
}

}  // namespace

void LinearWriter::Codes() { Put("weight", std::move(linear_.weight.codes)); }

void LinearWriter::StaticAndCodes() {
  const AffineParams& input = *linear_.input;
  const ConstView scale = std::as_const(linear_.weight.scale).view();
  Put("quant_bias", QuantBias(std::as_const(linear_.weight.codes).view(), input, scale, linear_.bias));
  Put("input_scale", Single(input.scale));
  Put("input_offset", Single(input.offset));
  Tensor deq = DeqScale(input, scale);
  Put("deq_scale",
      DeqScaleAsI64(model_dtype_, options_) ? DeqScaleForModel(std::move(deq), model_dtype_) : std::move(deq));
  Codes();
}

void LinearWriter::WeightScales() {
  const ConstView scale = std::as_const(linear_.weight.scale).view();
  Tensor column = WeightScaleColumn(scale);
  const Shape shape = column.shape();
  Put("weight_scale", std::move(column));
  Put("weight_offset", linear_.weight.offset ? WeightScaleColumn(std::as_const(linear_.weight.offset).view())
                                             : Tensor::Zeros(DType::kF32, shape));
}

void LinearWriter::Bias() {
  if (linear_.bias.data != nullptr) Put("bias", ConvertTo(linear_.bias, DType::kF32));
}

void LinearWriter::Int4RowPairs() {
  const ConstView codes = std::as_const(linear_.weight.codes).view();
  Put("scale_bias", ScaleBias(codes, std::as_const(linear_.weight.scale).view(), ScaleBiasShapeOf(linear_.name)));
  Put("weight", PackInt4Rows(codes));
  WeightScales();
}

void LinearWriter::MxFp8() {
  Codes();
  Put("weight_scale", std::move(linear_.weight.scale));
}

void LinearWriter::MxFp4() {
  const ConstView codes = std::as_const(linear_.weight.codes).view();
  Put("weight", options_.december_2025 ? Fp4AsE4M3(codes) : PackFp4Columns(codes));
  Put("weight_scale", std::move(linear_.weight.scale));
  if (!linear_.weight.dual_scale) return;
  Shape shape = linear_.weight.dual_scale.shape();
  shape.push_back(1);
  linear_.weight.dual_scale.Reshape(std::move(shape));
  Put("weight_dual_scale", std::move(linear_.weight.dual_scale));
}

void WriteLinear(QuantizedLinear linear, DType model_dtype, const Compat& options, const TensorSink& sink) {
  if (options.v0) return WriteV0Linear(std::move(linear), model_dtype, sink);
  const ModeRow& row = RowOf(linear.mode);
  MODELSLIM_CHECK(row.write != nullptr);
  LinearWriter writer(linear, model_dtype, options, sink);
  row.write(writer);
}

}  // namespace modelslim::ascend_v1
