#include "kernels/gemm.h"

#include <algorithm>

#include "base/parallel.h"
#include "kernels/backend.h"
#include "kernels/native/blocked_gemm.h"

namespace modelslim {
namespace {

// Weights that are not packed beforehand are packed a slice at a time, so that a vocabulary-sized one costs little
// memory.
constexpr int64_t kSliceBytes = 32 << 20;

const GemmBackend& Choose(DType x_dtype, DType w_dtype) {
  for (const GemmBackend& backend : GemmBackends()) {
    if (backend.declines(x_dtype, w_dtype).empty()) return backend;
  }
  CheckFailed("a kernel for every model type", __FILE__, __LINE__);
}

int64_t SliceOf(int64_t k) { return std::max<int64_t>(768, kSliceBytes / std::max<int64_t>(1, k * 4) / 48 * 48); }

// Elements of the inner dimension that are packed at a time for MatMul. A multiple of the kernels' block of k, so that
// the sums are cut where they would be without slices.
int64_t DepthOf(int64_t n) {
  return kDepthF32 * std::max<int64_t>(1, kSliceBytes * 2 / 4 / kDepthF32 / std::max<int64_t>(1, n));
}

void CheckLinear(const ConstView& x, int64_t n, int64_t k, const ConstView& bias, const View& y) {
  MODELSLIM_CHECK(IsModelDType(x.dtype) && IsModelDType(y.dtype));
  MODELSLIM_CHECK(x.cols() == k && y.cols() == n && y.size() == x.rows() * n);
  MODELSLIM_CHECK(bias.data == nullptr || (bias.size() == n && IsModelDType(bias.dtype)));
}

// c = beta * c, the start of the sums.
void ScaleBy(float beta, const View& c) {
  if (beta == 1) return;
  ParallelRanges(c.size(), 1 << 18, [&](int64_t begin, int64_t end) {
    float* values = c.as<float>();
    if (beta == 0) return std::fill(values + begin, values + end, 0.0f);
    for (int64_t i = begin; i < end; ++i) values[i] *= beta;
  });
}

// c[i][j] = c[j][i] for i < j.
void MirrorLower(const View& c) {
  const int64_t n = c.dim(0);
  float* const values = c.as<float>();
  constexpr int64_t kBlock = 64;
  ParallelRanges(n, kBlock, [&](int64_t i0, int64_t i1) {
    for (int64_t j0 = i0; j0 < n; j0 += kBlock) {
      for (int64_t i = i0; i < i1; ++i) {
        for (int64_t j = std::max(i + 1, j0); j < std::min(n, j0 + kBlock); ++j) values[i * n + j] = values[j * n + i];
      }
    }
  });
}

}  // namespace

struct PackedWeight::Impl {
  std::unique_ptr<PackedB> packed;
  DType x_dtype;
  int64_t n, k;
};

PackedWeight::PackedWeight(const ConstView& w, DType x_dtype) {
  MODELSLIM_CHECK(w.shape.size() == 2 && IsModelDType(w.dtype) && IsModelDType(x_dtype));
  impl_ = std::make_unique<Impl>(Impl{Choose(x_dtype, w.dtype).pack(w, x_dtype), x_dtype, w.dim(0), w.dim(1)});
}

PackedWeight::~PackedWeight() = default;
PackedWeight::PackedWeight(PackedWeight&&) noexcept = default;
PackedWeight& PackedWeight::operator=(PackedWeight&&) noexcept = default;

void PackedWeight::Apply(const ConstView& x, const ConstView& bias, const View& y) const {
  CheckLinear(x, impl_->n, impl_->k, bias, y);
  MODELSLIM_CHECK(x.dtype == impl_->x_dtype);
  impl_->packed->Apply(x, bias, y);
}

size_t PackedWeight::bytes() const { return impl_->packed->bytes(); }

size_t PackedBytes(int64_t n, int64_t k, DType x_dtype, DType w_dtype) {
  constexpr int64_t kWidest = 64;  // columns of a panel
  const size_t element = Choose(x_dtype, w_dtype).narrow ? 2 : sizeof(float);
  return static_cast<size_t>((n + kWidest - 1) / kWidest * kWidest * (k + 1)) * element;
}

size_t LinearScratch(int64_t rows, int64_t n, int64_t k, DType x_dtype, DType w_dtype, DType y_dtype) {
  const int64_t slice = SliceOf(k);
  if (n <= slice) return PackedBytes(n, k, x_dtype, w_dtype);
  return PackedBytes(slice, k, x_dtype, w_dtype) + static_cast<size_t>(rows * slice) * DTypeSize(y_dtype);
}

size_t MatMulScratch(int64_t n, int64_t k) { return PackedBytes(n, std::min(k, DepthOf(n)), DType::kF32, DType::kF32); }

void Linear(const ConstView& x, const ConstView& w, const ConstView& bias, const View& y) {
  MODELSLIM_CHECK(w.shape.size() == 2 && IsModelDType(w.dtype));
  CheckLinear(x, w.dim(0), w.dim(1), bias, y);
  const GemmBackend& backend = Choose(x.dtype, w.dtype);
  const int64_t n = w.dim(0), slice = SliceOf(w.dim(1));
  if (n <= slice) {
    backend.pack(w, x.dtype)->Apply(x, bias, y);
    return;
  }
  // Slices go to a matrix of their own and are copied over: backends write whole rows.
  const int64_t m = x.rows();
  const size_t size = DTypeSize(y.dtype);
  for (int64_t begin = 0; begin < n; begin += slice) {
    const int64_t count = std::min(slice, n - begin);
    ConstView part;
    if (bias.data != nullptr) {
      part = {static_cast<const std::byte*>(bias.data) + begin * DTypeSize(bias.dtype), bias.dtype, {count}};
    }
    Tensor columns(y.dtype, {m, count});
    backend.pack(w.Rows(begin, begin + count), x.dtype)->Apply(x, part, columns.view());
    ParallelRanges(m, 64, [&](int64_t r0, int64_t r1) {
      for (int64_t r = r0; r < r1; ++r) {
        const std::byte* from = static_cast<const std::byte*>(columns.view().data) + r * count * size;
        std::copy(from, from + count * size, static_cast<std::byte*>(y.data) + (r * n + begin) * size);
      }
    });
  }
}

void MatMul(const ConstView& a, const ConstView& b, const View& c, const MatMulOptions& options) {
  MODELSLIM_CHECK(a.shape.size() == 2 && b.shape.size() == 2 && c.shape.size() == 2 && c.dtype == DType::kF32);
  MODELSLIM_CHECK(IsModelDType(a.dtype) && IsModelDType(b.dtype));
  const Operand left = options.transpose_a ? Transposed(a) : RowMajor(a);
  const Operand right = options.transpose_b ? RowMajor(b) : Transposed(b);
  MODELSLIM_CHECK(left.k == right.k && c.dim(0) == left.rows && c.dim(1) == right.rows);
  // A matrix times its own transpose: both halves have the same bits, so one is computed.
  const bool symmetric = a.data == b.data && a.dtype == b.dtype && a.shape == b.shape &&
                         options.transpose_a != options.transpose_b && options.beta == 0;
  ScaleBy(options.beta, c);
  const MicroKernel& kernel = *BestMicroKernelFor(DType::kF32, right.rows);
  const int64_t depth = DepthOf(right.rows);
  const auto offset = [](Operand operand, int64_t k, int64_t count) {
    operand.data = static_cast<const std::byte*>(operand.data) + k * operand.k_stride * DTypeSize(operand.dtype);
    operand.k = count;
    return operand;
  };
  for (int64_t k = 0; k < left.k; k += depth) {
    const int64_t count = std::min(depth, left.k - k);
    const Panels panels(kernel, offset(right, k, count));
    MultiplyAdd(offset(left, k, count), panels, options.alpha, symmetric, c.as<float>(), c.dim(1));
  }
  if (symmetric) MirrorLower(c);
}

std::vector<KernelChoice> GemmKernels(DType x_dtype, DType w_dtype) {
  std::vector<KernelChoice> choices;
  for (const GemmBackend& backend : GemmBackends()) {
    choices.push_back({std::string(backend.name), backend.declines(x_dtype, w_dtype)});
  }
  return choices;
}

}  // namespace modelslim
