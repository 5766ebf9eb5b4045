// The int8 product of a smoothing trial, fused with the error it is made for. Inside quant/ only.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace modelslim::smooth_int8 {

inline constexpr int64_t kTileRows = 12;       // activation rows of one tile
inline constexpr int64_t kPanelRows = 32;      // weight rows of one panel
inline constexpr int64_t kMaxColumns = 65536;  // beyond, int32 sums could overflow

// Whether this machine has the instructions (AVX-512 VNNI). Elsewhere the other functions must not be called.
bool Available();

// Integers within -128 .. 127, given in f32, as bytes; returns their sum.
int32_t ToBytes(const float* q, int64_t count, int8_t* out);

// Interleaves `rows` rows of K int8 values, each `stride` after the one before, into quads: [K/4][width][4] bytes.
// Missing rows and columns are zero. For weights 128 is added to every byte. width is kTileRows or kPanelRows.
struct ByteRows {
  const int8_t* q;
  int64_t rows, columns, stride;
};
void PackTile(const ByteRows& from, int64_t quads, int8_t* out);
void PackPanel(const ByteRows& from, int64_t quads, uint8_t* out);

struct TileOperands {
  const int8_t* a;       // one tile of activations
  const float* a_scale;  // [rows]
  const int32_t* a_sum;  // [rows], sums of the tile's integers over K
  int64_t rows;          // 1 .. kTileRows
  const uint8_t* b;      // one panel of weights
  const float* b_scale;  // [columns]
  int64_t columns;       // 1 .. kPanelRows
  int64_t quads;         // K / 4
};
// p = (a b') a_scale b_scale, rounded to the type of g; the sum of round(round(p - g)^2) over the tile.
// g: first element of the tile in the reference product, rows `g_stride` elements apart.
double TileError(const TileOperands& operands, const void* g, DType dtype, int64_t g_stride);

}  // namespace modelslim::smooth_int8
