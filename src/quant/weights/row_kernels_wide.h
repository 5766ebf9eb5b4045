// The inner loops of the row kernels for machines with 512-bit integer vectors. Same bits as the portable loops.
#pragma once

#include <cstdint>

#include "quant/numbers/mx.h"

namespace modelslim {

struct WideRowKernels {
  // The largest magnitude of n 16- or 32-bit floats, as bits.
  uint16_t (*largest_16)(const uint16_t* x, int64_t n);
  uint32_t (*largest_32)(const uint32_t* x, int64_t n);
  // e4m3 of n values; the bf16 scale lies below 2^-7 (see fp8_rows.cc), the f32 one is finite.
  void (*fp8_bf16)(const uint16_t* x, int64_t n, float reciprocal, uint8_t* codes);
  void (*fp8_f32)(const float* x, int64_t n, float scale, uint8_t* codes);
  // At most 64 blocks of 32 columns with the minmax rule of `table`; fp4 packed. Returns a bit for each block it could
  // not do (NaN, infinity, exponents at the ends): those are left to the caller.
  uint64_t (*mxfp4_bf16)(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed,
                         uint8_t* stored);
  uint64_t (*mxfp8_bf16)(const uint16_t* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes,
                         uint8_t* stored);
  uint64_t (*mxfp4_f32)(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* packed, uint8_t* stored);
  uint64_t (*mxfp8_f32)(const float* x, int64_t blocks, const MxExponentTable& table, uint8_t* codes, uint8_t* stored);
};

// Null when this machine has no such vectors.
const WideRowKernels* FindWideRowKernels();

// What the row kernels use: FindWideRowKernels(), unless a test has asked for the portable loops.
const WideRowKernels* Wide();
void UsePortableRowKernels(bool portable);

}  // namespace modelslim
