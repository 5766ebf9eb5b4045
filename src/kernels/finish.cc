#include "kernels/finish.h"

#include "kernels/multiversion.h"
#include "kernels/scratch.h"

namespace modelslim {
namespace {

#define MODELSLIM_DEFINE_STORE(name, Type)                                                                    \
  MODELSLIM_MULTIVERSION void name(const float* __restrict sums, const float* __restrict bias, int64_t count, \
                                   Type* __restrict y) {                                                      \
    for (int64_t j = 0; j < count; ++j) y[j] = From<Type>(sums[j] + bias[j]);                                 \
  }
MODELSLIM_DEFINE_STORE(StoreRow, float)
MODELSLIM_DEFINE_STORE(StoreRowBF16, BF16)
MODELSLIM_DEFINE_STORE(StoreRowF16, F16)
#undef MODELSLIM_DEFINE_STORE

void Store(const float* sums, const float* bias, int64_t count, float* y) { StoreRow(sums, bias, count, y); }
void Store(const float* sums, const float* bias, int64_t count, BF16* y) { StoreRowBF16(sums, bias, count, y); }
void Store(const float* sums, const float* bias, int64_t count, F16* y) { StoreRowF16(sums, bias, count, y); }

}  // namespace

void FinishTile(const FinishCall& call) {
  float* bias = static_cast<float*>(ThreadScratch(ScratchUse::kBias, call.columns * sizeof(float)));
  for (int64_t j = 0; j < call.columns; ++j) {
    // -0 leaves every sum as it is, also -0.
    bias[j] = call.bias.data != nullptr ? ElementAsF32(call.bias, call.column + j) : -0.0f;
  }
  WithModelDType(call.y_dtype, [&](auto type) {
    for (int64_t i = 0; i < call.rows; ++i) {
      Store(call.sums + i * call.sums_stride, bias, call.columns,
            static_cast<decltype(type)*>(call.y) + i * call.y_stride);
    }
  });
}

}  // namespace modelslim
