#include "format/ascend_v1/v0_linears.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/pack.h"

namespace modelslim::ascend_v1 {
namespace {

// What a mode has besides its weight and its bias.
struct Parts {
  QuantMode mode;
  bool weight_scales = false;  // weight_scale and weight_offset
  bool input = false;          // input_scale, input_offset, quant_bias, deq_scale
};
constexpr Parts kParts[] = {{QuantMode::kW8A8, true, true},        {QuantMode::kW8A8Mix, true, true},
                            {QuantMode::kW8A8S, false, true},      {QuantMode::kW8A8Dynamic, true, false},
                            {QuantMode::kW8A16, true, false},      {QuantMode::kW4A16, true, false},
                            {QuantMode::kW4A8Dynamic, true, false}};

const Parts& PartsOf(const std::string& name, QuantMode mode) {
  const auto* found =
      std::find_if(std::begin(kParts), std::end(kParts), [&](const Parts& p) { return p.mode == mode; });
  if (found == std::end(kParts)) {
    throw Error(ErrorCode::kUnsupported,
                name + ": the files of modelslim_v0 have no form for " + std::string(QuantModeName(mode)),
                "use a modelslim_v1 recipe");
  }
  return *found;
}

bool IsTwoLevel(const PlannedLinear& linear) { return linear.mode == QuantMode::kW4A8Dynamic && linear.group_size > 0; }

void Require(bool fits, const PlannedLinear& linear, const std::string& what, int64_t found) {
  if (fits) return;
  throw Error(ErrorCode::kUnsupported,
              linear.name + ": " + std::string(QuantModeName(linear.mode)) + " needs " + what + ", found " +
                  std::to_string(found),
              "name this layer in calib_cfg.disable_names, or give it another type");
}

bool PacksRows(QuantMode mode, int64_t group_size) { return mode == QuantMode::kW4A8Dynamic || group_size > 0; }

void CheckShape(const PlannedLinear& linear) {
  if (linear.group_size > 0) {
    Require(linear.in % linear.group_size == 0, linear,
            "input features that the group size " + std::to_string(linear.group_size) + " divides", linear.in);
  }
  if (linear.mode != QuantMode::kW4A16 && linear.mode != QuantMode::kW4A8Dynamic) return;
  if (PacksRows(linear.mode, linear.group_size)) {
    Require(linear.out % 2 == 0, linear, "an even number of output features", linear.out);
  } else {
    Require(linear.in % 2 == 0, linear, "an even number of input features", linear.in);
  }
  if (linear.mode == QuantMode::kW4A8Dynamic && ScaleBiasShapeOf(linear.name) == ScaleBiasShape::kSixteenths) {
    Require(linear.in % kMaxTensorParallel == 0, linear, "input features that 16 divides", linear.in);
  }
}

Shape WeightShape(const PlannedLinear& linear) {
  if (linear.mode != QuantMode::kW4A16 && linear.mode != QuantMode::kW4A8Dynamic) return {linear.out, linear.in};
  if (PacksRows(linear.mode, linear.group_size)) return {linear.out / 2, linear.in};
  return {linear.out, linear.in / 2};
}

// The scale of a row over all its groups, such that a group's own lies between 0 and 1.
std::vector<float> RowScales(const ConstView& scales, int64_t rows) {
  const int64_t groups = scales.size() / rows;
  std::vector<float> largest(static_cast<size_t>(rows), 0.0f);
  for (int64_t i = 0; i < scales.size(); ++i) {
    largest[static_cast<size_t>(i / groups)] =
        std::max(largest[static_cast<size_t>(i / groups)], ElementAsF32(scales, i));
  }
  return largest;
}

// Even column in the low nibble.
Tensor PackInt4Columns(const ConstView& codes) {
  const Tensor packed = PackFp4Columns({codes.data, DType::kU8, codes.shape});
  return Tensor::Copy({packed.view().data, DType::kI8, packed.shape()});
}

class Writer {
 public:
  Writer(QuantizedLinear& linear, DType model_dtype, const TensorSink& sink)
      : linear_(linear), model_dtype_(model_dtype), sink_(sink) {}

  void Write() {
    const Parts& parts = PartsOf(linear_.name, linear_.mode);
    if (linear_.bias.data != nullptr) Put("bias", Tensor::Copy(linear_.bias));
    if (parts.input) Input();
    if (linear_.mode == QuantMode::kW4A8Dynamic) {
      Levels();
    } else if (parts.weight_scales) {
      Put("weight_scale", Column(linear_.weight.scale.view()));
      PutOffset("weight_offset", linear_.weight.scale.shape());
    }
    Put("weight", Packed());
  }

 private:
  void Put(const char* suffix, Tensor value) { sink_(linear_.name + "." + suffix, std::move(value)); }

  ConstView codes() const { return std::as_const(linear_.weight.codes).view(); }
  ConstView scales() const { return std::as_const(linear_.weight.scale).view(); }

  // Parameters as columns, in the model's type.
  Tensor Column(const ConstView& values) const {
    Tensor made = ConvertTo(values, model_dtype_);
    if (made.shape().size() < 2) made.Reshape({values.size(), 1});
    return made;
  }

  void PutOffset(const char* suffix, const Shape& like) {
    if (linear_.weight.offset) return Put(suffix, Column(std::as_const(linear_.weight.offset).view()));
    Tensor zeros = Tensor::Zeros(model_dtype_, like);
    if (zeros.shape().size() < 2) zeros.Reshape({zeros.size(), 1});
    Put(suffix, std::move(zeros));
  }

  Tensor Single(float value) const {
    Tensor made(DType::kF32, {1});
    *made.as<float>() = value;
    return ConvertTo(std::as_const(made).view(), model_dtype_);
  }

  void Input() {
    const AffineParams& input = *linear_.input;
    Put("input_scale", Single(input.scale));
    Put("input_offset", Single(input.offset));
    Put("quant_bias", QuantBias(codes(), input, scales(), linear_.bias));
    Put("deq_scale", DeqScaleForModel(DeqScale(input, scales()), model_dtype_));
  }

  // W4A8: what all groups of a row share, then what is left for each group.
  void Levels() {
    const int64_t rows = codes().rows(), groups = scales().size() / rows;
    const std::vector<float> largest = RowScales(scales(), rows);
    Tensor first(DType::kF32, {rows, 1}), second(DType::kF32, {rows, groups});
    for (int64_t row = 0; row < rows; ++row) first.as<float>()[row] = largest[static_cast<size_t>(row)];
    for (int64_t i = 0; i < scales().size(); ++i) {
      second.as<float>()[i] = ElementAsF32(scales(), i) / largest[static_cast<size_t>(i / groups)];
    }
    Put("scale_bias", GroupedScaleBias(groups));
    Put("weight_scale", Column(std::as_const(first).view()));
    Put("weight_offset", Tensor::Zeros(model_dtype_, {rows, 1}));
    Put("weight_scale_second", Column(std::as_const(second).view()));
    Put("weight_offset_second", Tensor::Zeros(model_dtype_, {rows, groups}));
  }

  // 8 * the sum of q * scale, over a row or over each sixteenth of it, every code with the scale of its group.
  Tensor GroupedScaleBias(int64_t groups) const {
    const int64_t rows = codes().rows(), cols = codes().cols(), width = cols / groups;
    const int64_t chunks = ScaleBiasShapeOf(linear_.name) == ScaleBiasShape::kSixteenths ? kMaxTensorParallel : 1;
    Tensor made(DType::kF32, {rows, chunks});
    const int8_t* const q = codes().as<int8_t>();
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        double sum = 0;
        for (int64_t c = chunk * cols / chunks; c < (chunk + 1) * cols / chunks; ++c) {
          sum += static_cast<double>(q[row * cols + c]) * ElementAsF32(scales(), row * groups + c / width);
        }
        made.as<float>()[row * chunks + chunk] = static_cast<float>(8 * sum);
      }
    }
    return made;
  }

  Tensor Packed() {
    if (linear_.mode != QuantMode::kW4A16 && linear_.mode != QuantMode::kW4A8Dynamic)
      return std::move(linear_.weight.codes);
    if (PacksRows(linear_.mode, linear_.weight.group_size)) return PackInt4Rows(codes());
    return PackInt4Columns(codes());
  }

  QuantizedLinear& linear_;
  DType model_dtype_;
  const TensorSink& sink_;
};

}  // namespace

std::vector<OutputTensor> V0LinearTensors(const PlannedLinear& linear, DType model_dtype) {
  std::vector<OutputTensor> tensors;
  const auto add = [&](std::string_view suffix, DType dtype, Shape shape, std::string_view type) {
    tensors.push_back({linear.name + "." + std::string(suffix), dtype, std::move(shape), std::string(type)});
  };
  const std::string_view type = QuantModeName(linear.mode);
  const std::string_view plain = QuantModeName(QuantMode::kFloat);
  if (linear.mode == QuantMode::kFloat) {
    add("weight", linear.weight_dtype, {linear.out, linear.in}, plain);
    if (linear.has_bias) add("bias", linear.bias_dtype, {linear.out}, plain);
    return tensors;
  }
  const Parts& parts = PartsOf(linear.name, linear.mode);
  CheckShape(linear);
  add("weight", DType::kI8, WeightShape(linear), type);
  if (linear.has_bias) add("bias", linear.bias_dtype, {linear.out}, plain);
  const int64_t columns = linear.group_size > 0 && !IsTwoLevel(linear) ? linear.in / linear.group_size : 1;
  if (parts.weight_scales) {
    add("weight_scale", model_dtype, {linear.out, columns}, type);
    add("weight_offset", model_dtype, {linear.out, columns}, type);
  }
  if (linear.mode == QuantMode::kW4A8Dynamic) {
    const int64_t groups = linear.group_size > 0 ? linear.in / linear.group_size : 1;
    add("weight_scale_second", model_dtype, {linear.out, groups}, type);
    add("weight_offset_second", model_dtype, {linear.out, groups}, type);
    const bool parallel = ScaleBiasShapeOf(linear.name) == ScaleBiasShape::kSixteenths;
    add("scale_bias", DType::kF32, {linear.out, parallel ? kMaxTensorParallel : 1}, type);
  }
  if (parts.input) {
    add("input_scale", model_dtype, {1}, type);
    add("input_offset", model_dtype, {1}, type);
    add("quant_bias", DType::kI32, {linear.out}, type);
    add("deq_scale", model_dtype == DType::kBF16 ? DType::kF32 : DType::kI64, {linear.out}, type);
  }
  return tensors;
}

void WriteV0Linear(QuantizedLinear linear, DType model_dtype, const TensorSink& sink) {
  Writer(linear, model_dtype, sink).Write();
}

}  // namespace modelslim::ascend_v1
