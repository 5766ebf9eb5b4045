// How the ops touch memory: a piece of a tensor is widened to f32, worked on there, rounded where the operation says,
// and stored. Inside ops/ only.
#pragma once

#include <cstdint>
#include <functional>

#include "tensor/tensor.h"

namespace modelslim {

// Elements taken at a time by elementwise operations: a few buffers of them fit in the first-level cache.
inline constexpr int64_t kPiece = 1024;

// Elements [begin, begin + count) of x as f32: x's own memory when it is f32, else `buffer`, filled.
const float* LoadF32(const ConstView& x, int64_t begin, int64_t count, float* buffer);
// Stores f32 values as elements [begin, begin + count) of y, rounded to its type.
void StoreF32(const float* values, int64_t count, const View& y, int64_t begin);
// Rounds values to bf16 or f16 in place; nothing for f32.
void RoundF32(DType dtype, float* values, int64_t count);

// Calls body(begin, count) for pieces of at most kPiece elements, on the compute pool.
void ForPieces(int64_t size, const std::function<void(int64_t, int64_t)>& body);
// Calls body(first row, row after the last) for groups of rows worth about 64 K elements, on the compute pool.
void ForRows(int64_t rows, int64_t cols, const std::function<void(int64_t, int64_t)>& body);

}  // namespace modelslim
