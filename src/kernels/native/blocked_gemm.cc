#include "kernels/native/blocked_gemm.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "kernels/finish.h"
#include "kernels/native/transpose.h"
#include "kernels/scratch.h"

namespace modelslim {
namespace {

// An output tile: its rows of `a` for one block of k and its sums stay in the second-level cache while the panels of
// `b` pass through the first. Multiples of what every micro kernel takes at once.
constexpr int64_t kTileColumns = 384;
int64_t TileRows(DType compute) { return compute == DType::kBF16 ? 96 : 240; }

int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// In f32 blocks of equal length, at least two: sums of few elements gain from restarting as well. Products of two bf16
// matrices stay one chain as long as they can, as in the kernel for bf16, and no pair of them is cut apart.
int64_t BlockDepth(DType compute, int64_t k, bool bf16_pairs) {
  if (compute == DType::kBF16) return kDepthBF16;
  const int64_t blocks = std::max<int64_t>(bf16_pairs ? 1 : 2, (k + kDepthF32 - 1) / kDepthF32);
  return RoundUp(std::max<int64_t>(1, (k + blocks - 1) / blocks), bf16_pairs ? 2 : 1);
}

// Conversion that copies equal types bit by bit and widens the others.
template <class To, class From>
inline To Cast(From value) {
  if constexpr (std::is_same_v<To, From>)
    return value;
  else
    return modelslim::From<To>(ToF32(value));
}

// A strip of values of at most 64 rows, as the kernel's type: in place when it has it, else converted into `buffer`.
constexpr int64_t kStrip = 32, kStripRows = 64;
template <class To, class From>
const To* StripOf(const From* in, int64_t rows, int64_t row_stride, int64_t count, bool swap, To* buffer,
                  int64_t* stride) {
  if constexpr (std::is_same_v<To, From>) {
    *stride = row_stride;
    return in;
  } else {
    *stride = kStrip;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < count; ++j) {
        buffer[i * kStrip + j] = Cast<To>(in[i * row_stride + (swap && (j ^ 1) < count ? j ^ 1 : j)]);
      }
    }
    return buffer;
  }
}

// out[i][j] = in[i * row_stride + j * k_stride] for i < rows, j < count; the rest of every row up to padded is zero.
// `swap` (k_stride 1 only): every pair of columns 2j, 2j + 1 changes places.
template <class To, class From>
void CopyBlock(const From* in, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t count, int64_t padded,
               bool swap, To* out) {
  for (int64_t i = 0; i < rows; ++i) std::fill(out + i * padded + count, out + (i + 1) * padded, To{});
  if (k_stride == 1 && swap) {
    for (int64_t i = 0; i < rows; ++i) {
      const From* const row = in + i * row_stride;
      To* const to = out + i * padded;
      for (int64_t j = 0; j + 1 < count; j += 2) to[j] = Cast<To>(row[j + 1]), to[j + 1] = Cast<To>(row[j]);
      if (count % 2 != 0) to[count - 1] = Cast<To>(row[count - 1]);
    }
    return;
  }
  if (k_stride == 1) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < count; ++j) out[i * padded + j] = Cast<To>(in[i * row_stride + j]);
    }
    return;
  }
  if constexpr (sizeof(To) == 4) {
    if (row_stride == 1) {
      To buffer[kStripRows * kStrip];
      for (int64_t j0 = 0; j0 < count; j0 += kStripRows) {
        for (int64_t i0 = 0; i0 < rows; i0 += kStrip) {
          const int64_t js = std::min(kStripRows, count - j0), is = std::min(kStrip, rows - i0);
          int64_t stride;
          const To* strip = StripOf(in + j0 * k_stride + i0, js, k_stride, is, false, buffer, &stride);
          Transpose32(strip, stride * 4, js, is, reinterpret_cast<uint32_t*>(out + i0 * padded + j0), padded);
        }
      }
      return;
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < count; ++j) out[i * padded + j] = Cast<To>(in[i * row_stride + j * k_stride]);
  }
}

// One panel: out[k / group][column][k % group] = in(column, k); group 2 for bf16, 1 for f32.
template <class To, class From>
void PackPanel(const From* in, const Operand& b, int64_t columns, int panel_columns, int64_t padded_k, bool swap,
               To* out) {
  constexpr int64_t kGroup = sizeof(To) == 2 ? 2 : 1;
  if (columns < panel_columns || padded_k > b.k) std::fill(out, out + padded_k * panel_columns, To{});
  const int64_t whole = b.k / kGroup * kGroup;
  if (b.k_stride == 1) {
    To buffer[kStripRows * kStrip];
    for (int64_t k = 0; k < whole; k += kStrip) {
      const int64_t count = std::min(kStrip, whole - k);
      int64_t stride;
      const To* strip = StripOf(in + k, columns, b.row_stride, count, swap, buffer, &stride);
      Transpose32(strip, stride * static_cast<int64_t>(sizeof(To)), columns, count / kGroup,
                  reinterpret_cast<uint32_t*>(out + k * panel_columns), panel_columns);
    }
  } else {
    for (int64_t k = 0; k < whole; k += kGroup) {
      const From* const first = in + k * b.k_stride;
      for (int64_t j = 0; j < columns; ++j) {
        for (int64_t g = 0; g < kGroup; ++g) {
          out[k * panel_columns + j * kGroup + g] = Cast<To>(first[j * b.row_stride + g * b.k_stride]);
        }
      }
    }
  }
  for (int64_t j = 0; j < columns && whole < b.k; ++j) {
    out[whole * panel_columns + j * kGroup] = Cast<To>(in[j * b.row_stride + whole * b.k_stride]);
  }
}

template <class F>
void WithComputeType(DType compute, F&& f) {
  if (compute == DType::kBF16)
    f(BF16{});
  else
    f(float{});
}

}  // namespace

TypedRows TakeRows(const Operand& a, DType compute, int64_t begin, int64_t rows, int64_t k, int64_t depth,
                   int64_t padded_depth, bool swap) {
  const int64_t offset = begin * a.row_stride + k * a.k_stride;
  if (a.dtype == compute && a.k_stride == 1 && depth == padded_depth) {
    return {static_cast<const std::byte*>(a.data) + offset * DTypeSize(a.dtype), a.row_stride};
  }
  void* copy = ThreadScratch(ScratchUse::kRowsOfA, rows * padded_depth * DTypeSize(compute));
  WithComputeType(compute, [&](auto to) {
    WithModelDType(a.dtype, [&](auto from) {
      CopyBlock(static_cast<const decltype(from)*>(a.data) + offset, a.row_stride, a.k_stride, rows, depth,
                padded_depth, swap, static_cast<decltype(to)*>(copy));
    });
  });
  return {copy, padded_depth};
}

namespace {

struct Tile {
  int64_t row, rows, panel, panels;
};

// The sums of one tile into c, whose first element is that of the tile. Columns beyond b.rows() are not written.
void ComputeTile(const Operand& a, const Panels& b, const Tile& tile, float alpha, bool add, float* c,
                 int64_t c_stride) {
  const MicroKernel& kernel = b.kernel();
  const int64_t block = BlockDepth(kernel.compute, b.k(), b.bf16_pairs());
  alignas(64) float edge[16 * 64];
  for (int64_t k = 0; k < b.k(); k += block) {
    const int64_t depth = std::min(block, b.k() - k);
    const int64_t padded = kernel.compute == DType::kBF16 ? RoundUp(depth, 2) : depth;
    const TypedRows rows = TakeRows(a, kernel.compute, tile.row, tile.rows, k, depth, padded, b.bf16_pairs());
    for (int64_t p = 0; p < tile.panels; ++p) {
      const int64_t columns = std::min<int64_t>(kernel.cols, b.rows() - (tile.panel + p) * kernel.cols);
      MicroKernel::Call call{.depth = padded,
                             .rows = 0,
                             .a = nullptr,
                             .a_stride = rows.stride,
                             .b = b.At(tile.panel + p, k),
                             .c = nullptr,
                             .c_stride = c_stride,
                             .add = add || k > 0,
                             .alpha = alpha};
      for (int64_t i = 0; i < tile.rows; i += kernel.rows) {
        call.rows = static_cast<int>(std::min<int64_t>(kernel.rows, tile.rows - i));
        call.a = static_cast<const std::byte*>(rows.data) + i * rows.stride * DTypeSize(kernel.compute);
        float* target = c + i * c_stride + p * kernel.cols;
        if (columns == kernel.cols) {
          call.c = target;
          kernel.run(call);
          continue;
        }
        MicroKernel::Call edge_call = call;
        edge_call.c = edge, edge_call.c_stride = kernel.cols;
        for (int r = 0; r < call.rows && call.add; ++r) {
          std::memcpy(edge + r * kernel.cols, target + r * c_stride, static_cast<size_t>(columns) * sizeof(float));
        }
        kernel.run(edge_call);
        for (int r = 0; r < call.rows; ++r) {
          std::memcpy(target + r * c_stride, edge + r * kernel.cols, static_cast<size_t>(columns) * sizeof(float));
        }
      }
    }
  }
}

// Cuts [rows x panels] into tiles small enough to keep every thread busy; results do not depend on the cut.
template <class Body>
void ForTiles(int64_t rows, const Panels& b, const Body& body) {
  if (rows == 0 || b.count() == 0) return;
  int64_t tile_rows = TileRows(b.kernel().compute), tile_panels = std::max<int64_t>(1, kTileColumns / b.kernel().cols);
  const auto tiles = [&] {
    return ((rows + tile_rows - 1) / tile_rows) * ((b.count() + tile_panels - 1) / tile_panels);
  };
  const int64_t wanted = 4 * ComputeThreads();
  while (tiles() < wanted && tile_panels > 1) tile_panels = (tile_panels + 1) / 2;
  while (tiles() < wanted && tile_rows > 24) tile_rows = RoundUp(tile_rows / 2, 24);
  const int64_t down = (rows + tile_rows - 1) / tile_rows;
  ParallelFor(tiles(), [&](int64_t index) {
    const int64_t row = index % down * tile_rows, panel = index / down * tile_panels;
    body(Tile{row, std::min(tile_rows, rows - row), panel, std::min(tile_panels, b.count() - panel)});
  });
}

class NativePackedB final : public PackedB {
 public:
  NativePackedB(const MicroKernel& kernel, const ConstView& w, bool bf16_pairs)
      : panels_(kernel, RowMajor(w), bf16_pairs) {}
  void Apply(const ConstView& x, const ConstView& bias, const View& y) const override {
    MultiplyInto(RowMajor(x), panels_, bias, y.data, y.dtype, panels_.rows());
  }
  size_t bytes() const override { return panels_.bytes(); }

 private:
  Panels panels_;
};

}  // namespace

Operand RowMajor(const ConstView& matrix) {
  const int64_t rows = matrix.shape.size() == 2 ? matrix.dim(0) : matrix.rows();  // rows() knows none when cols() is 0
  return {matrix.data, matrix.dtype, rows, matrix.cols(), matrix.cols(), 1};
}

Operand Transposed(const ConstView& matrix) {
  return {matrix.data, matrix.dtype, matrix.cols(), RowMajor(matrix).rows, 1, matrix.cols()};
}

Panels::Panels(const MicroKernel& kernel, const Operand& b, bool bf16_pairs)
    : kernel_(&kernel),
      bf16_pairs_(bf16_pairs),
      rows_(b.rows),
      k_(b.k),
      padded_k_(kernel.compute == DType::kBF16 ? RoundUp(b.k, 2) : b.k),
      panels_((b.rows + kernel.cols - 1) / kernel.cols),
      data_(kernel.compute, {panels_, padded_k_, kernel.cols}) {
  MODELSLIM_CHECK(kernel.cols <= kStripRows);
  void* const packed = data_.view().data;
  start_ = static_cast<const std::byte*>(packed);
  ParallelFor(panels_, [&](int64_t p) {
    WithComputeType(kernel.compute, [&](auto to) {
      WithModelDType(b.dtype, [&](auto from) {
        PackPanel(static_cast<const decltype(from)*>(b.data) + p * kernel.cols * b.row_stride, b,
                  std::min<int64_t>(kernel.cols, b.rows - p * kernel.cols), kernel.cols, padded_k_, bf16_pairs_,
                  static_cast<decltype(to)*>(packed) + p * padded_k_ * kernel.cols);
      });
    });
  });
}

void MultiplyInto(const Operand& a, const Panels& b, const ConstView& bias, void* y, DType y_dtype, int64_t y_stride) {
  MODELSLIM_CHECK(a.k == b.k());
  const int cols = b.kernel().cols;
  ForTiles(a.rows, b, [&](const Tile& tile) {
    const int64_t stride = tile.panels * cols;
    const int64_t column = tile.panel * cols, columns = std::min(stride, b.rows() - column);
    float* sums = static_cast<float*>(ThreadScratch(ScratchUse::kSums, tile.rows * stride * sizeof(float)));
    if (b.k() == 0) std::fill(sums, sums + tile.rows * stride, 0.0f);
    ComputeTile(a, b, tile, 1.0f, false, sums, stride);
    FinishTile({.sums = sums,
                .sums_stride = stride,
                .bias = bias,
                .column = column,
                .rows = tile.rows,
                .columns = columns,
                .y = static_cast<std::byte*>(y) + (tile.row * y_stride + column) * DTypeSize(y_dtype),
                .y_dtype = y_dtype,
                .y_stride = y_stride});
  });
}

void MultiplyAdd(const Operand& a, const Panels& b, float alpha, bool lower_only, float* c, int64_t c_stride) {
  MODELSLIM_CHECK(a.k == b.k());
  ForTiles(a.rows, b, [&](const Tile& tile) {
    if (lower_only && tile.row + tile.rows <= tile.panel * b.kernel().cols) return;
    ComputeTile(a, b, tile, alpha, true, c + tile.row * c_stride + tile.panel * b.kernel().cols, c_stride);
  });
}

std::unique_ptr<PackedB> PackNative(const MicroKernel& kernel, const ConstView& w, bool bf16_pairs) {
  return std::make_unique<NativePackedB>(kernel, w, bf16_pairs);
}

}  // namespace modelslim
