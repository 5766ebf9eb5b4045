#include "quant/moments/cholesky.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "kernels/multiversion.h"

namespace modelslim {
namespace {

constexpr int64_t kBlock = 256;

// A lower triangular matrix as panels of kBlock columns, each contiguous over the rows from its diagonal block on, so
// that blocks of rows of a panel are ordinary matrices for our products. Panel p holds columns [p * kBlock, ...).
class Panels {
 public:
  explicit Panels(int64_t n) : n_(n) {
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      panels_.emplace_back(DType::kF32, Shape{n - begin, std::min(kBlock, n - begin)});
    }
  }
  int64_t count() const { return static_cast<int64_t>(panels_.size()); }
  int64_t begin(int64_t p) const { return p * kBlock; }
  int64_t end(int64_t p) const { return std::min(n_, (p + 1) * kBlock); }
  int64_t n() const { return n_; }
  View Rows(int64_t p, int64_t first, int64_t last) {
    return panels_[p].view().Rows(first - begin(p), last - begin(p));
  }
  // The block of rows of panel `row_block` in panel p.
  View Block(int64_t row_block, int64_t p) { return Rows(p, begin(row_block), end(row_block)); }
  View Below(int64_t row_block, int64_t p) { return Rows(p, end(row_block), n_); }

 private:
  int64_t n_;
  std::vector<Tensor> panels_;
};

struct Pivot {
  int64_t index = -1;
  double value = 0;
};

// y -= factor * x
MODELSLIM_MULTIVERSION void TakeAway(double* y, const double* x, double factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] -= factor * x[i];
}

// Dense lower Cholesky factor of a diagonal block, in f64; what lies above the diagonal becomes 0. A bad pivot is
// returned.
Pivot FactorBlock(const View& block) {
  const int64_t n = block.rows();
  std::vector<double> a(block.as<float>(), block.as<float>() + n * n), column(n);
  for (int64_t j = 0; j < n; ++j) {
    const double d = a[j * n + j];
    if (!(d > 0) || !std::isfinite(d)) return {j, d};
    const double root = std::sqrt(d);
    a[j * n + j] = root;
    for (int64_t i = j + 1; i < n; ++i) column[i] = a[i * n + j] /= root;
    for (int64_t i = j + 1; i < n; ++i) TakeAway(&a[i * n + j + 1], &column[j + 1], column[i], i - j);
  }
  float* const out = block.as<float>();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) out[i * n + j] = j <= i ? static_cast<float>(a[i * n + j]) : 0.0f;
  }
  return {};
}

// Inverse of a lower triangular block, in f64.
Tensor InvertBlock(const ConstView& block) {
  const int64_t n = block.rows();
  const float* const l = block.as<float>();
  std::vector<double> x(n * n, 0.0);
  for (int64_t i = 0; i < n; ++i) {
    double* const row = &x[i * n];
    for (int64_t k = 0; k < i; ++k) TakeAway(row, &x[k * n], l[i * n + k], k + 1);
    for (int64_t j = 0; j < i; ++j) row[j] /= l[i * n + i];
    row[i] = 1.0 / l[i * n + i];
  }
  Tensor inverse(DType::kF32, {n, n});
  std::transform(x.begin(), x.end(), inverse.as<float>(), [](double v) { return static_cast<float>(v); });
  return inverse;
}

// h with both axes reversed (or as it is), lower triangle only, with the diagonal given (or its own).
Panels LowerPanels(const ConstView& h, std::span<const float> diagonal, bool reversed) {
  const int64_t n = h.rows();
  const float* const from = h.as<float>();
  Panels panels(n);
  for (int64_t p = 0; p < panels.count(); ++p) {
    const int64_t first = panels.begin(p), width = panels.end(p) - first;
    float* const to = panels.Rows(p, first, n).as<float>();
    std::fill_n(to, width * width, 0.0f);  // the diagonal block, whose upper half nothing below writes
    // Of the lower triangle of h only: (r, c) and (c, r) are the same number. Reversing turns rows into columns, hence
    // strips.
    ParallelRanges(n - first, 64, [&](int64_t begin, int64_t end) {
      for (int64_t strip = first; strip < first + width; strip += 16) {
        for (int64_t i = first + begin; i < first + end; ++i) {
          for (int64_t j = strip; j < std::min({i + 1, strip + 16, first + width}); ++j) {
            const int64_t r = reversed ? n - 1 - j : i, c = reversed ? n - 1 - i : j;
            to[(i - first) * width + j - first] = from[r * n + c];
          }
        }
      }
    });
    for (int64_t i = 0; i < width && !diagonal.empty(); ++i) {
      to[i * width + i] = diagonal[reversed ? n - 1 - first - i : first + i];
    }
  }
  return panels;
}

// Lower Cholesky factor in place, left-looking: a panel is updated by all panels before it, factored, and its lower
// rows multiplied by the inverse of its diagonal block. `inverses` gets those inverses.
void Factor(Panels* l, std::vector<Tensor>* inverses, bool reversed, const std::string& what) {
  for (int64_t p = 0; p < l->count(); ++p) {
    const View rest = l->Rows(p, l->begin(p), l->n());
    for (int64_t k = 0; k < p; ++k) {
      MatMul(l->Rows(k, l->begin(p), l->n()), l->Block(p, k), rest,
             {.transpose_b = true, .alpha = -1.0f, .beta = 1.0f});
    }
    const Pivot bad = FactorBlock(l->Block(p, p));
    if (bad.index >= 0) {
      const int64_t column = l->begin(p) + bad.index;
      throw Error(ErrorCode::kUnexpected,
                  what + " is not positive definite: pivot " + std::to_string(reversed ? l->n() - 1 - column : column) +
                      " is " + std::to_string(bad.value),
                  "more calibration data, or a larger percdamp, makes it so");
    }
    inverses->push_back(InvertBlock(l->Block(p, p)));
    const View below = l->Below(p, p);
    if (below.rows() == 0) continue;
    const Tensor right = Tensor::Copy(below);
    MatMul(right.view(), inverses->back().view(), below, {.transpose_b = true});
  }
}

// Inverse of the lower triangular l, panel by panel: X_pj is final once all block rows before p have been taken away.
Panels InvertFactor(Panels* l, const std::vector<Tensor>& inverses) {
  Panels x(l->n());
  for (int64_t j = 0; j < l->count(); ++j) {
    Convert(inverses[j].view(), x.Block(j, j));
    for (int64_t p = j; p < l->count(); ++p) {
      if (p > j) {
        const Tensor sum = Tensor::Copy(x.Block(p, j));
        MatMul(inverses[p].view(), sum.view(), x.Block(p, j));
      }
      if (l->Below(p, p).rows() == 0) continue;
      MatMul(l->Below(p, p), x.Block(p, j), x.Below(p, j), {.alpha = -1.0f, .beta = p == j ? 0.0f : 1.0f});
    }
  }
  return x;
}

void CheckSquare(const ConstView& h, const std::string& what) {
  if (h.dtype != DType::kF32 || h.shape.size() != 2 || h.dim(0) != h.dim(1)) {
    throw Error(ErrorCode::kMisuse, what + ": expected a square F32 matrix, found " + ShapeText(h.shape) + " of " +
                                        std::string(DTypeName(h.dtype)));
  }
}

Panels InverseLowerFactor(const ConstView& h, std::span<const float> diagonal, bool reversed, const std::string& what) {
  CheckSquare(h, what);
  Panels l = LowerPanels(h, diagonal, reversed);
  std::vector<Tensor> inverses;
  Factor(&l, &inverses, reversed, what);
  return InvertFactor(&l, inverses);
}

// Rows [begin, end) of U from the rows of X = L^-1 that become them when both axes are reversed.
template <class T>
void ReverseRows(Panels* x, int64_t begin, int64_t end, T* u) {
  const int64_t n = x->n();
  for (int64_t p = 0; p < x->count(); ++p) {
    const int64_t first = x->begin(p), last = x->end(p);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t i = n - 1 - r;  // the row of X
      T* const to = u + r * n;
      const int64_t known = std::clamp(i + 1, first, last);
      std::fill(to + n - last, to + n - known, T{});
      if (known == first) continue;
      const float* const from = x->Rows(p, i, i + 1).as<float>();
      for (int64_t j = first; j < known; ++j) to[n - 1 - j] = From<T>(from[j - first]);
    }
  }
}

}  // namespace

uint64_t InverseFactorBytes(int64_t n) {
  const auto panels = static_cast<uint64_t>(n * (n + kBlock) * 2) * sizeof(float) / 2;  // diagonal blocks are square
  const auto columns = static_cast<uint64_t>(3 * n * kBlock) * sizeof(float);           // inverses, a panel's copy
  return panels + columns + MatMulScratch(kBlock, n);
}

// With J the reversal of an axis and J H J = L L', L lower, R = J L J is upper with H = R R'. So U = R^-1 = J L^-1 J.
Tensor InverseUpperFactor(const ConstView& h, const std::string& what, const FactorOptions& options) {
  Panels x = InverseLowerFactor(h, options.diagonal, true, what);
  const int64_t n = x.n();
  Tensor u(options.dtype, {n, n});
  WithModelDType(options.dtype, [&](auto tag) {
    auto* const to = u.as<decltype(tag)>();
    ParallelRanges(n, 64, [&](int64_t begin, int64_t end) { ReverseRows(&x, begin, end, to); });
  });
  return u;
}

// H = L L' gives H^-1 = X' X with X = L^-1; block (i, j) sums over the rows of X from block max(i, j) on.
Tensor InversePositiveDefinite(const ConstView& h, const std::string& what) {
  Panels x = InverseLowerFactor(h, {}, false, what);
  const int64_t n = x.n();
  Tensor inverse(DType::kF32, {n, n});
  float* const to = inverse.as<float>();
  for (int64_t i = 0; i < x.count(); ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const int64_t rows = x.end(i) - x.begin(i), cols = x.end(j) - x.begin(j);
      Tensor block(DType::kF32, {rows, cols});
      MatMul(x.Rows(i, x.begin(i), n), x.Rows(j, x.begin(i), n), block.view(), {.transpose_a = true});
      const float* const from = block.as<float>();
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          if (i == j && c > r) continue;
          const float v = from[r * cols + c];
          to[(x.begin(i) + r) * n + x.begin(j) + c] = v;
          to[(x.begin(j) + c) * n + x.begin(i) + r] = v;
        }
      }
    }
  }
  return inverse;
}

}  // namespace modelslim
