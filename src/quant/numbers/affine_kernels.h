// The inner loops of quant/numbers/affine.h on short runs of f32 values: what they were rounded to before is the
// caller's business.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace modelslim {

// Elements that a caller should hand over at once: a run stays in the first-level cache.
inline constexpr int64_t kAffineRun = 1024;

void LoadRun(const void* source, DType dtype, int64_t n, float* values);   // widens
void StoreRun(const float* values, DType dtype, int64_t n, void* target);  // rounds
void RoundRun(float* values, int64_t n, DType dtype);                      // to dtype, still as f32

// Parameters of a run: one for all (step 0) or one per element (step 1). offset may be null: 0.
struct RunParams {
  const float* scale;
  const float* offset;
  int step;
  DType dtype;       // of scale and offset
  DType data_dtype;  // of the values before they were widened
  float lowest, highest;
};

void QuantizeRun(const float* values, int64_t n, const RunParams& params, int8_t* q);
void DequantizeRun(const int8_t* q, int64_t n, const RunParams& params, float* values);
void FakeQuantizeRun(float* values, int64_t n, const RunParams& params);  // in place

}  // namespace modelslim
