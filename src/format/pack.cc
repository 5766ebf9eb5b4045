#include "format/pack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/multiversion.h"
#include "quant/numbers/affine_kernels.h"
#include "quant/numbers/mx.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

int64_t RowGrain(int64_t cols) { return std::max<int64_t>(1, 131072 / std::max<int64_t>(1, cols)); }

void CheckCodes(const ConstView& codes, DType dtype) {
  MODELSLIM_CHECK(codes.shape.size() == 2 && codes.dtype == dtype);
}

std::vector<float> AsF32(const ConstView& values) {
  std::vector<float> wide(values.size());
  LoadRun(values.data, values.dtype, values.size(), wide.data());
  return wide;
}

MODELSLIM_MULTIVERSION int32_t SumOfRun(const int8_t* q, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

// Sum of n integers as f32. Exact: |sum| < 2^24 up to 131072 columns, and beyond that rounded once.
float SumOf(const int8_t* q, int64_t n) {
  constexpr int64_t kRun = 1 << 20;  // no overflow
  int64_t sum = 0;
  for (int64_t begin = 0; begin < n; begin += kRun) sum += SumOfRun(q + begin, std::min(kRun, n - begin));
  return static_cast<float>(sum);
}

MODELSLIM_MULTIVERSION void JoinNibbles(const uint8_t* low, const uint8_t* high, int64_t n, uint8_t* __restrict out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<uint8_t>((low[i] & 15u) | (high[i] << 4));
}

int32_t ToI32(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<int32_t>(std::clamp(static_cast<double>(RoundHalfEven(value)), -2147483648.0, 2147483647.0));
}

[[noreturn]] void Odd(std::string_view what, int64_t found) {
  throw Error(ErrorCode::kUnsupported,
              std::string(what) + " need an even number of them, found " + std::to_string(found),
              "exclude the layer, or quantize it to 8 bits");
}

}  // namespace

Tensor DeqScale(const AffineParams& input, const ConstView& weight_scale) {
  const int64_t out = weight_scale.size();
  const DType promoted = Promote(input.dtype, weight_scale.dtype);
  const std::vector<float> scale = AsF32(weight_scale);
  Tensor made(DType::kF32, {out});
  for (int64_t i = 0; i < out; ++i) made.as<float>()[i] = RoundTo(promoted, input.scale * scale[i]);
  return made;
}

Tensor DeqScaleForModel(Tensor deq_scale, DType model_dtype) {
  if (model_dtype == DType::kBF16) return deq_scale;
  Tensor wide(DType::kI64, deq_scale.shape());
  for (int64_t i = 0; i < wide.size(); ++i) wide.as<int64_t>()[i] = std::bit_cast<int32_t>(deq_scale.as<float>()[i]);
  return wide;
}

Tensor DeqScaleFromModel(const ConstView& stored) {
  if (stored.dtype == DType::kF32) return Tensor::Copy(stored);
  if (stored.dtype != DType::kI64) {
    throw Error(ErrorCode::kInvalidModel,
                "deq_scale: expected F32 or I64, found " + std::string(DTypeName(stored.dtype)));
  }
  Tensor made(DType::kF32, stored.shape);
  for (int64_t i = 0; i < made.size(); ++i) {
    made.as<float>()[i] = std::bit_cast<float>(static_cast<int32_t>(stored.as<int64_t>()[i]));
  }
  return made;
}

Tensor QuantBias(const ConstView& codes, const AffineParams& input, const ConstView& weight_scale,
                 const ConstView& bias) {
  CheckCodes(codes, DType::kI8);
  const int64_t rows = codes.rows(), cols = codes.cols();
  MODELSLIM_CHECK(weight_scale.size() == rows && (bias.data == nullptr || bias.size() == rows));
  const Tensor deq = DeqScale(input, weight_scale);
  const DType deq_dtype = Promote(input.dtype, weight_scale.dtype);
  const std::vector<float> added = bias.data == nullptr ? std::vector<float>(rows, 0.0f) : AsF32(bias);
  const DType quotient_dtype = bias.data == nullptr ? DType::kF32 : Promote(bias.dtype, deq_dtype);
  Tensor made(DType::kI32, {rows});
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float correction = SumOf(codes.as<int8_t>() + row * cols, cols) * input.offset;
      const float quotient = bias.data == nullptr ? 0.0f : RoundTo(quotient_dtype, added[row] / deq.as<float>()[row]);
      made.as<int32_t>()[row] = ToI32(quotient - correction);
    }
  });
  return made;
}

ScaleBiasShape ScaleBiasShapeOf(std::string_view module) {
  const auto has = [&](std::string_view part) { return module.find(part) != std::string_view::npos; };
  for (const char* part : {"up_proj", "gate_proj", "q_proj", "k_proj", "v_proj", "w1", "w3"}) {
    if (has(part)) return ScaleBiasShape::kRow;
  }
  for (const char* part : {"down_proj", "o_proj", "w2"}) {
    if (has(part)) return ScaleBiasShape::kSixteenths;
  }
  return ScaleBiasShape::kOther;
}

int64_t ScaleBiasColumns(ScaleBiasShape shape, int64_t in) {
  if (shape == ScaleBiasShape::kOther) return in;
  return shape == ScaleBiasShape::kSixteenths ? kMaxTensorParallel : 1;
}

Tensor ScaleBias(const ConstView& codes, const ConstView& weight_scale, ScaleBiasShape shape) {
  CheckCodes(codes, DType::kI8);
  const int64_t rows = codes.rows(), cols = codes.cols();
  const std::vector<float> scale = AsF32(weight_scale);
  if (shape == ScaleBiasShape::kSixteenths && cols % kMaxTensorParallel != 0) {
    throw Error(
        ErrorCode::kUnsupported,
        "scale_bias of a down or o projection: expected a multiple of 16 input columns, found " + std::to_string(cols),
        "exclude the layer from int4, or quantize it to 8 bits");
  }
  const int64_t chunks = ScaleBiasColumns(shape, cols);
  const int64_t width = chunks == 0 ? 0 : cols / chunks;
  const float factor = shape == ScaleBiasShape::kOther ? 1.0f : 8.0f;
  Tensor made(DType::kF32, {rows, chunks});
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * chunks; i < end * chunks; ++i) {
      const int64_t row = i / chunks;
      // scale is common to the sum: one product of the exact integer sum is closer to the truth than a sum of products.
      made.as<float>()[i] = factor * (SumOf(codes.as<int8_t>() + i * width, width) * scale[row]);
    }
  });
  return made;
}

Tensor PackInt4Rows(const ConstView& codes) {
  CheckCodes(codes, DType::kI8);
  const int64_t rows = codes.rows(), cols = codes.cols();
  if (rows % 2 != 0) Odd("int4 weights are packed by pairs of output rows and", rows);
  Tensor packed(DType::kI8, {rows / 2, cols});
  ParallelRanges(rows / 2, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* low = static_cast<const uint8_t*>(codes.data) + 2 * row * cols;
      JoinNibbles(low, low + cols, cols, packed.as<uint8_t>() + row * cols);
    }
  });
  return packed;
}

Tensor UnpackInt4Rows(const ConstView& packed) {
  CheckCodes(packed, DType::kI8);
  const int64_t rows = packed.rows(), cols = packed.cols();
  Tensor codes(DType::kI8, {2 * rows, cols});
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int8_t* in = packed.as<int8_t>() + row * cols;
      int8_t* low = codes.as<int8_t>() + 2 * row * cols;
      for (int64_t i = 0; i < cols; ++i) {
        low[i] = static_cast<int8_t>(static_cast<int8_t>(static_cast<uint8_t>(in[i]) << 4) >> 4);
        low[cols + i] = static_cast<int8_t>(in[i] >> 4);
      }
    }
  });
  return codes;
}

Tensor PackFp4Columns(const ConstView& codes) {
  CheckCodes(codes, DType::kU8);
  const int64_t rows = codes.rows(), cols = codes.cols();
  if (cols % 2 != 0) Odd("fp4 weights are packed by pairs of input columns and", cols);
  Tensor packed(DType::kU8, {rows, cols / 2});
  const uint8_t* in = codes.as<uint8_t>();
  uint8_t* out = packed.as<uint8_t>();
  ParallelRanges(packed.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<uint8_t>((in[2 * i] & 15u) | (in[2 * i + 1] << 4));
  });
  return packed;
}

Tensor UnpackFp4Columns(const ConstView& packed) {
  CheckCodes(packed, DType::kU8);
  Tensor codes(DType::kU8, {packed.rows(), 2 * packed.cols()});
  const uint8_t* in = packed.as<uint8_t>();
  uint8_t* out = codes.as<uint8_t>();
  ParallelRanges(packed.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      out[2 * i] = in[i] & 15u;
      out[2 * i + 1] = static_cast<uint8_t>(in[i] >> 4);
    }
  });
  return codes;
}

Tensor Fp4AsE4M3(const ConstView& codes) {
  CheckCodes(codes, DType::kU8);
  uint8_t table[16];
  for (int code = 0; code < 16; ++code) table[code] = F32ToE4M3(MxCodeValue(static_cast<uint8_t>(code), true));
  Tensor made(DType::kF8E4M3, codes.shape);
  for (int64_t i = 0; i < made.size(); ++i) made.as<uint8_t>()[i] = table[codes.as<uint8_t>()[i] & 15];
  return made;
}

Tensor WeightScaleColumn(const ConstView& scale) {
  Tensor made = ConvertTo(scale, DType::kF32);
  if (scale.shape.size() < 2) made.Reshape({scale.size(), 1});
  return made;
}

}  // namespace modelslim
