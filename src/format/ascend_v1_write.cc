#include "format/ascend_v1_write.h"

#include <utility>

#include "base/error.h"
#include "quant/weights/pack.h"

namespace modelslim {
namespace {

class Writer {
 public:
  Writer(QuantizedLinear& linear, DType model_dtype, const Compat& compat, const TensorSink& sink)
      : linear_(linear), model_dtype_(model_dtype), compat_(compat), sink_(sink) {}

  void Put(const char* suffix, Tensor value) { sink_(linear_.name + "." + suffix, std::move(value)); }

  // Everything that is made of the codes comes before they are handed over.
  void StaticAndCodes() {
    const AffineParams& input = *linear_.input;
    const ConstView scale = std::as_const(linear_.weight.scale).view();
    Put("quant_bias", QuantBias(std::as_const(linear_.weight.codes).view(), input, scale, linear_.bias));
    Put("input_scale", Single(input.scale));
    Put("input_offset", Single(input.offset));
    Tensor deq = DeqScale(input, scale);
    Put("deq_scale",
        DeqScaleAsI64(model_dtype_, compat_) ? DeqScaleForModel(std::move(deq), model_dtype_) : std::move(deq));
    Put("weight", std::move(linear_.weight.codes));
  }

  // Offsets are written even where they are all zero: loaders expect the key.
  void WeightScales() {
    const ConstView scale = std::as_const(linear_.weight.scale).view();
    Tensor column = WeightScaleColumn(scale);
    const Shape shape = column.shape();
    Put("weight_scale", std::move(column));
    Put("weight_offset", linear_.weight.offset ? WeightScaleColumn(std::as_const(linear_.weight.offset).view())
                                               : Tensor::Zeros(DType::kF32, shape));
  }

  void Bias() {
    if (linear_.bias.data != nullptr) Put("bias", ConvertTo(linear_.bias, DType::kF32));
  }

  void Int4RowPairs() {
    const ConstView codes = std::as_const(linear_.weight.codes).view();
    Put("scale_bias", ScaleBias(codes, std::as_const(linear_.weight.scale).view(), ScaleBiasShapeOf(linear_.name)));
    Put("weight", PackInt4Rows(codes));
    WeightScales();
  }

  void Fp4() {
    const ConstView codes = std::as_const(linear_.weight.codes).view();
    Put("weight", compat_.december_2025 ? Fp4AsE4M3(codes) : PackFp4Columns(codes));
    Put("weight_scale", std::move(linear_.weight.scale));
    if (linear_.weight.dual_scale) {
      Shape shape = linear_.weight.dual_scale.shape();
      shape.push_back(1);
      linear_.weight.dual_scale.Reshape(std::move(shape));
      Put("weight_dual_scale", std::move(linear_.weight.dual_scale));
    }
  }

 private:
  static Tensor Single(float value) {
    Tensor made(DType::kF32, {1});
    *made.as<float>() = value;
    return made;
  }

  QuantizedLinear& linear_;
  DType model_dtype_;
  const Compat& compat_;
  const TensorSink& sink_;
};

}  // namespace

void WriteAscendLinear(QuantizedLinear linear, DType model_dtype, const Compat& compat, const TensorSink& sink) {
  Writer writer(linear, model_dtype, compat, sink);
  switch (linear.mode) {
    case QuantMode::kW8A8:
      writer.StaticAndCodes();
      break;
    case QuantMode::kW8A8Mix:
      writer.StaticAndCodes();
      writer.WeightScales();
      break;
    case QuantMode::kW8A8Dynamic:
    case QuantMode::kW8A16:
    case QuantMode::kW4A4Dynamic:
    case QuantMode::kWFP8AFP8Dynamic:
      writer.WeightScales();
      writer.Put("weight", std::move(linear.weight.codes));
      break;
    case QuantMode::kW4A8Dynamic:
      writer.Int4RowPairs();
      break;
    case QuantMode::kW8A8MXFP8:
      writer.Put("weight", std::move(linear.weight.codes));
      writer.Put("weight_scale", std::move(linear.weight.scale));
      break;
    case QuantMode::kW4A8MXFP:
    case QuantMode::kW4A4MXFP4:
    case QuantMode::kW4A4MXFP4DualScale:
      writer.Fp4();
      break;
    case QuantMode::kFloat:
    case QuantMode::kW16A16S:
      MODELSLIM_CHECK(false);
  }
  const bool mx = linear.mode == QuantMode::kW8A8MXFP8 || linear.mode == QuantMode::kW4A8MXFP ||
                  linear.mode == QuantMode::kW4A4MXFP4;
  if (!(mx && compat.december_2025)) writer.Bias();
}

}  // namespace modelslim
