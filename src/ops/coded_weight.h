// Weights that a checkpoint holds as codes and scales, back to floats.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim {

enum class WeightCode : uint8_t {
  kFp8,   // F8_E4M3 [out, in]
  kInt8,  // I8 [out, in]
  kInt4,  // I32 [out, ceil(in / 8)], nibble k of word j is column 8j + k, stored as value + 8
  kFp4,   // E2M1, two to a byte, the low nibble first: any one-byte type [out, in / 2]
};

// value[o, i] = number(code[o, i]) * scale[o / block_rows, i / block_cols]. All views must outlive the calls.
struct CodedWeight {
  WeightCode code = WeightCode::kFp8;
  ConstView codes;
  // [ceil(out / block_rows), ceil(in / block_cols)]: multipliers in f32, bf16 or f16, or exponents (U8, F8_E8M0) of
  // which 127 stands for 1.
  ConstView scales;
  // Of kInt4; null data: 0. I32 [ceil(out / 8), columns of scales], nibble k of word j is that of row 8j + k, stored as
  // value + 8; or I8 [out, columns of scales], as it is. number = code - zero.
  ConstView zeros = {};
  int64_t in = 0, block_rows = 1, block_cols = 1;
};

// to[k, :] = row `first` + k * `step` of the weight, rounded from the f32 product to the type of `to` (f32, bf16 or
// f16). A code or scale that is no number gives NaN. On the compute pool.
void DecodeRows(const CodedWeight& weight, int64_t first, int64_t step, const View& to);

// to[k, :] = from[first + k * step, :], of any type, the same for both. On the compute pool.
void CopyRowsBy(const ConstView& from, int64_t first, int64_t step, const View& to);

// to[k, i] = from[i, first + k * step]: rows of the transposed matrix. On the compute pool.
void CopyColumnsAsRows(const ConstView& from, int64_t first, int64_t step, const View& to);

}  // namespace modelslim
