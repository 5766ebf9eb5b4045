// Weights to codes: every weight quantizer that looks at the weight alone (GPTQ and AutoRound are elsewhere).
// A weight is [out, in], f32, bf16 or f16; all arithmetic is rounded step by step to that dtype.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

enum class ElementFormat : uint8_t { kInt8, kInt4, kFp8E4M3, kMxFp8, kMxFp4 };
enum class WeightScope : uint8_t { kPerChannel, kPerBlock, kDualScale };
// kMinMax: every format. kSsz: int8, int4. kMseRound: mxfp8. kCeilX, kFourOverSix, kDualScale: mxfp4. kOutliers...:
// int8 (see outlier_rows.h).
enum class WeightMethod : uint8_t {
  kMinMax,
  kSsz,
  kMseRound,
  kCeilX,
  kFourOverSix,
  kDualScale,
  kOutliersOfMatrix,
  kOutliersOfRow,
  kOutliersBySigma
};

// The divisors that kCeilX tries: min, min + step, ..., as many as fit into the range by the reference's count (rounded
// to the nearest, halves to even, so that the last may lie beyond max).
struct CeilXSearch {
  double min = 6.0, max = 12.0, step = 0.25;
  std::vector<float> Candidates() const;
};

struct WeightSpec {
  WeightScope scope = WeightScope::kPerChannel;
  ElementFormat format = ElementFormat::kInt8;
  WeightMethod method = WeightMethod::kMinMax;
  // kMinMax of integers: with offsets; columns that share a scale and an offset (0: all of a row; else it divides
  // `in`).
  bool symmetric = true;
  int64_t group_size = 0;
  int ssz_steps = 50;
  // The type of dequantized values while SSZ measures its error: f32 when the weight is quantized without a forward
  // pass, the dtype of the layer's input when the first calibration forward triggers it.
  DType ssz_float_type = DType::kF32;
  float ceil_x = 7.25f;  // kCeilX: what the largest magnitude of a block is divided by
  // Instead of it: the first candidate whose error of the whole matrix (the mean of squares, in the weight's dtype) is
  // smallest.
  std::optional<CeilXSearch> ceil_x_search = std::nullopt;
  double outlier_fraction = 0.01;  // kOutliersOfMatrix, kOutliersOfRow
  int64_t dual_block_size = 0;     // kDualScale: columns that share an outer scale; a multiple of 32 that divides `in`
  bool december_2025 = false;      // exponent and element rules of MX, and SSZ's denominator, as of December 2025
  bool keep_fp8_values = false;    // fp8: keep the values before their rounding to 8 bits (see QuantizedWeight::values)
};

// Throws Error(kUnsupported) when scope, format and method do not belong together, Error(kSchema) when a number is out
// of range; `in` (0: not known yet) is checked against the block sizes.
void CheckWeightSpec(const WeightSpec& spec, int64_t in = 0);

struct QuantizedWeight {
  ElementFormat format = ElementFormat::kInt8;
  DType source_dtype = DType::kF32;  // of the float weight
  Tensor codes;       // [out, in]: I8 integers (int4 unpacked), F8_E4M3 bytes (fp8, mxfp8), or U8 fp4 codes, one a byte
  Tensor scale;       // source_dtype [out] (or [out, groups]); MX: U8 [out, ceil(in/32)], exponent + 127, 255 for NaN
  Tensor offset;      // like scale; empty when symmetric
  Tensor dual_scale;  // kDualScale: f32 [out, in / dual_block_size]; else empty
  // fp8 with keep_fp8_values: x / scale in source_dtype, not rounded to e4m3. The reference rounds only when it writes
  // the file, so forward passes of the run see these.
  Tensor values;
  int64_t group_size = 0;  // columns that share a scale; 0: all of a row
};

// Runs on the compute pool; same bytes at any thread count. Throws as CheckWeightSpec, and Error(kInvalidModel) when w
// is not a float matrix. NaN or infinity in a weight does not throw: see HasBadScale.
QuantizedWeight QuantizeWeight(const ConstView& w, const WeightSpec& spec);

// Bytes of what it makes of a weight of so many elements, and of the most that it holds meanwhile, that included.
uint64_t QuantizedBytes(int64_t elements, DType dtype, const WeightSpec& spec);
uint64_t QuantizingBytes(int64_t elements, DType dtype, const WeightSpec& spec);

// What a forward pass multiplies with. Integers and fp8: the product is rounded to the scale's dtype, then converted to
// `out` (f32 in deployed layers, the input's dtype while calibrating). MX: always exact in the dtype of the weight,
// then converted.
void Dequantize(const QuantizedWeight& weight, const View& out);
Tensor Dequantize(const QuantizedWeight& weight, DType out);

// The first row whose scale is NaN, infinite or zero (the weight held NaN or infinity), or -1.
int64_t HasBadScale(const QuantizedWeight& weight);

}  // namespace modelslim
