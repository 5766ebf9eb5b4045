#include "kernels/reference/reference_gemm.h"

#include "base/parallel.h"

namespace modelslim {
namespace {

void Store(const View& y, int64_t index, float value) {
  WithModelDType(y.dtype, [&](auto type) { y.as<decltype(type)>()[index] = From<decltype(type)>(value); });
}

class RefPackedB final : public PackedB {
 public:
  explicit RefPackedB(const ConstView& w) : w_(Tensor::Copy(w)) {}
  void Apply(const ConstView& x, const ConstView& bias, const View& y) const override {
    RefLinear(x, w_.view(), bias, y);
  }
  size_t bytes() const override { return w_.bytes(); }

 private:
  Tensor w_;
};

}  // namespace

void RefLinear(const ConstView& x, const ConstView& w, const ConstView& bias, const View& y) {
  const int64_t n = w.dim(0), k = w.dim(1);
  const Tensor wide_x = ConvertTo(x, DType::kF32), wide_w = ConvertTo(w, DType::kF32);
  const float *a = wide_x.as<float>(), *b = wide_w.as<float>();
  ParallelFor(x.rows(), [&](int64_t i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[j * k + p];
      if (bias.data != nullptr) sum += ElementAsF32(bias, j);
      Store(y, i * n + j, sum);
    }
  });
}

void RefMatMul(const ConstView& a, const ConstView& b, const View& c, const MatMulOptions& options) {
  const int64_t m = c.dim(0), n = c.dim(1), k = options.transpose_a ? a.dim(0) : a.dim(1);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += ElementAsF32(a, options.transpose_a ? p * m + i : i * k + p) *
               ElementAsF32(b, options.transpose_b ? j * k + p : p * n + j);
      }
      float& out = c.as<float>()[i * n + j];
      out = options.beta == 0 ? options.alpha * sum : options.alpha * sum + options.beta * out;
    }
  }
}

std::unique_ptr<PackedB> PackReference(const ConstView& w) { return std::make_unique<RefPackedB>(w); }

}  // namespace modelslim
