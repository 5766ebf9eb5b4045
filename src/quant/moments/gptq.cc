#include "quant/moments/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "kernels/gemm.h"
#include "quant/moments/gptq_tile.h"
#include "quant/numbers/affine.h"
#include "quant/numbers/affine_kernels.h"

namespace modelslim {
namespace {

constexpr int64_t kRowsAtOnce = 32;
constexpr int64_t kColumnsTogether = 512;

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Error(ErrorCode::kMisuse, "gptq of " + what + ": " + why);
}

void Check(const ConstView& weight, const GptqOptions& options, const std::string& what) {
  const auto refuse = [&](const std::string& why) { Refuse(what, why); };
  if (weight.shape.size() != 2 || !IsModelDType(weight.dtype)) refuse("weight has shape " + ShapeText(weight.shape));
  const int64_t in = weight.cols();
  if (options.bits != 4 && options.bits != 8) refuse("bits is " + std::to_string(options.bits) + ", expected 4 or 8");
  if (options.block_size < 1) refuse("block_size is " + std::to_string(options.block_size) + ", expected at least 1");
  if (!(options.percdamp >= 0)) refuse("percdamp is " + std::to_string(options.percdamp) + ", expected at least 0");
  if (options.group_size < 0 || (options.group_size > 0 && in % options.group_size != 0)) {
    refuse("group_size " + std::to_string(options.group_size) + " does not divide the " + std::to_string(in) +
           " input channels");
  }
}

class Solver {
 public:
  Solver(const ConstView& weight, const GptqFactor& factor, const GptqOptions& options)
      : options_(options),
        dtype_(weight.dtype),
        rows_(weight.rows()),
        cols_(weight.cols()),
        groups_(options.group_size > 0 ? cols_ / options.group_size : 1),
        params_(options.group_size > 0 ? DType::kF32 : weight.dtype),
        format_{options.bits, options.symmetric},
        work_(ConvertTo(weight, DType::kF32)),
        rounded_(weight.dtype, {rows_, cols_}),
        errors_(DType::kF32, {weight.dtype == DType::kF32 ? cols_ : 0, rows_}),
        groups_fit_(options.group_size == 0 || options.block_size % options.group_size == 0),
        factor_(factor.upper()),
        scale_(rows_ * groups_),
        offset_(rows_ * groups_) {
    if (options_.group_size == 0) Ranges(work_.view(), 0, cols_, 0);  // of the weight as it was given
    float* const w = work_.as<float>();
    for (const int64_t column : factor.unseen()) {
      for (int64_t r = 0; r < rows_; ++r) w[r * cols_ + column] = 0.0f;
    }
  }

  GptqResult Run() {
    double loss = 0;
    for (int64_t begin = 0; begin < cols_; begin += options_.block_size) {
      loss += RunBlock(begin, std::min(cols_, begin + options_.block_size));
    }
    return Finish(loss);
  }

 private:
  // Parameters of all rows for columns [begin, end) of `from` [rows, ..], into group `group`.
  void Ranges(const ConstView& from, int64_t begin, int64_t end, int64_t group) {
    ParallelRanges(rows_, kRowsAtOnce, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const float* const row = static_cast<const float*>(from.data) + r * from.cols();
        float min = row[begin], max = row[begin];
        for (int64_t c = begin; c < end; ++c) {
          min = row[c] < min || std::isnan(row[c]) ? row[c] : min;
          max = row[c] > max || std::isnan(row[c]) ? row[c] : max;
        }
        // The values have the weight's type even where they are kept, and used, as f32 (per group).
        const AffineParams params = ParamsFromRange(min, max, dtype_, format_);
        scale_[r * groups_ + group] = params.scale;
        offset_[r * groups_ + group] = params.offset;
      }
    });
  }

  int64_t GroupOf(int64_t column) const { return options_.group_size > 0 ? column / options_.group_size : 0; }

  // Columns [begin, end) of a row-major matrix, contiguous.
  static Tensor ColumnsOf(const ConstView& matrix, int64_t first_row, int64_t last_row, int64_t begin, int64_t end) {
    Tensor part(matrix.dtype, {last_row - first_row, end - begin});
    const size_t element = DTypeSize(matrix.dtype), bytes = static_cast<size_t>(end - begin) * element;
    const int64_t cols = matrix.cols();
    ParallelRanges(last_row - first_row, 64, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        std::memcpy(
            static_cast<std::byte*>(part.view().data) + static_cast<size_t>(r) * bytes,
            static_cast<const std::byte*>(matrix.data) + static_cast<size_t>((first_row + r) * cols + begin) * element,
            bytes);
      }
    });
    return part;
  }

  // A block's columns are brought up to date when their turn comes, with the errors of all columns before. Only a group
  // that reaches beyond its block needs later columns to be up to date already.
  double RunBlock(int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    Tensor block = groups_fit_ ? UpToDate(begin, end) : ColumnsOf(work_.view(), 0, rows_, begin, end);
    for (int64_t c = begin; options_.group_size > 0 && c < end; ++c) {
      // A group takes its range from the weight as the last finished block left it, even when it starts inside this
      // one.
      if (c % options_.group_size != 0) continue;
      const ConstView from = groups_fit_ ? block.view() : ConstView(work_.view());
      const int64_t at = groups_fit_ ? c - begin : c;
      Ranges(from, at, at + options_.group_size, GroupOf(c));
    }
    const Tensor u = ConvertTo(ColumnsOf(factor_, begin, end, begin, end).view(), DType::kF32);
    if (dtype_ != DType::kF32) block_errors_.emplace_back(dtype_, Shape{rows_, count});
    std::vector<double> losses((rows_ + kGptqLanes - 1) / kGptqLanes * kGptqLanes, 0.0);
    ParallelRanges(rows_, kGptqLanes,
                   [&](int64_t first, int64_t last) { RunTile(block, first, last - first, begin, u, &losses[first]); });
    if (!groups_fit_ && end < cols_) PushUpdates(begin, end);
    double loss = 0;
    for (const double row : losses) loss += row;
    return loss;
  }

  // Rows [first, first + rows) of the block that starts at column `begin`.
  void RunTile(const Tensor& block, int64_t first, int64_t rows, int64_t begin, const Tensor& u, double* loss) {
    const int64_t count = u.view().rows(), size = count * kGptqLanes;
    thread_local std::vector<float> buffer;
    buffer.assign(5 * size, 0.0f);
    float *const w = buffer.data(), *const scale = w + size, *const offset = w + 2 * size, *const dq = w + 3 * size,
                 *const err = w + 4 * size;
    std::fill_n(scale, size, 1.0f);  // of the lanes without a row
    for (int64_t j = 0; j < count; ++j) {
      const int64_t group = GroupOf(begin + j);
      for (int64_t r = 0; r < rows; ++r) {
        scale[j * kGptqLanes + r] = scale_[(first + r) * groups_ + group];
        offset[j * kGptqLanes + r] = offset_[(first + r) * groups_ + group];
      }
    }
    ToLanes(block.as<float>() + first * count, count, rows, count, w);
    WalkGptqTile({w, u.as<float>(), scale, offset, dq, err, loss, count}, {format_.lowest(), format_.highest()}, dtype_,
                 params_);
    FromLanes(dq, count, rows, count, w);  // which has done its part
    StoreRows(w, rows, count, rounded_.view(), first, begin);
    if (dtype_ != DType::kF32) {
      FromLanes(err, count, rows, count, w);
      return StoreRows(w, rows, count, block_errors_.back().view(), first, 0);
    }
    float* const to = errors_.as<float>() + begin * rows_ + first;
    for (int64_t j = 0; j < count; ++j) std::copy_n(err + j * kGptqLanes, rows, to + j * rows_);
  }

  // `from` [rows, count] into rows and columns of `to` from (row, column) on.
  static void StoreRows(const float* from, int64_t rows, int64_t count, const View& to, int64_t row, int64_t column) {
    const int64_t cols = to.cols(), element = static_cast<int64_t>(DTypeSize(to.dtype));
    auto* const target = static_cast<std::byte*>(to.data) + (row * cols + column) * element;
    for (int64_t r = 0; r < rows; ++r) StoreRun(from + r * count, to.dtype, count, target + r * cols * element);
  }

  // The block's columns with the errors of all columns before taken away: first for several blocks together, which
  // makes for larger products, then for the block alone.
  Tensor UpToDate(int64_t begin, int64_t end) {
    const int64_t span = std::max<int64_t>(kColumnsTogether / options_.block_size, 1) * options_.block_size;
    const int64_t first = begin / span * span, last = std::min(cols_, first + span);
    if (begin == first) {
      together_ = ColumnsOf(work_.view(), 0, rows_, first, last);
      PullUpdates(&together_, 0, first, first, last);
    }
    Tensor block = ColumnsOf(together_.view(), 0, rows_, begin - first, end - first);
    PullUpdates(&block, first, begin, begin, end);
    return block;
  }

  // columns [begin, end) -= Err[:, from:to] U[from:to, begin:end]. In half precision block after block, since each
  // product and each difference is rounded; f32 needs no such steps.
  void PullUpdates(Tensor* columns, int64_t from, int64_t to, int64_t begin, int64_t end) {
    if (from == to) return;
    if (dtype_ == DType::kF32) {
      const Tensor u = ColumnsOf(factor_, from, to, begin, end);
      MatMul(errors_.view().Rows(from, to), u.view(), columns->view(),
             {.transpose_a = true, .alpha = -1.0f, .beta = 1.0f});
      return;
    }
    Tensor product(DType::kF32, columns->shape());
    for (int64_t first = from; first < to; first += options_.block_size) {
      BlockUpdate(first, begin, end, product.view());
      float* const w = columns->as<float>();
      const float* const p = product.as<float>();
      ParallelRanges(columns->size(), 1 << 15, [&](int64_t i, int64_t j) { SubtractRow(w + i, p + i, j - i, dtype_); });
    }
  }

  // product = Err[:, block] U[block, begin:end] for the block of half precision that starts at column `first`. Errors
  // lie row by row, and U is turned: then the product reads and writes every number once.
  void BlockUpdate(int64_t first, int64_t begin, int64_t end, const View& product) {
    const Tensor& errors = block_errors_[first / options_.block_size];
    const int64_t count = errors.view().cols();
    Tensor turned(DType::kF32, {end - begin, count});
    WithModelDType(dtype_, [&](auto tag) {
      const auto* const u = factor_.as<decltype(tag)>();
      float* const to = turned.as<float>();
      ParallelRanges(end - begin, 64, [&](int64_t n0, int64_t n1) {
        for (int64_t k = 0; k < count; ++k) {
          const auto* const row = u + (first + k) * cols_ + begin;
          for (int64_t n = n0; n < n1; ++n) to[n * count + k] = ToF32(row[n]);
        }
      });
    });
    Linear(errors.view(), std::as_const(turned).view(), {}, product);
  }

  // The same at once for all columns behind the block, in strips.
  void PushUpdates(int64_t begin, int64_t end) {
    constexpr int64_t kStrip = 512;
    for (int64_t first = end; first < cols_; first += kStrip) {
      const int64_t last = std::min(cols_, first + kStrip), width = last - first;
      Tensor product(DType::kF32, {rows_, width});
      if (dtype_ == DType::kF32) {
        const Tensor u = ColumnsOf(factor_, begin, end, first, last);
        MatMul(errors_.view().Rows(begin, end), u.view(), product.view(), {.transpose_a = true});
      } else {
        BlockUpdate(begin, first, last, product.view());
      }
      ParallelRanges(rows_, kRowsAtOnce, [&](int64_t from, int64_t to) {
        float* const w = work_.as<float>();
        const float* const p = product.as<float>();
        for (int64_t r = from; r < to; ++r) {
          SubtractRow(w + r * cols_ + first, p + r * width, width, dtype_);
        }
      });
    }
  }

  GptqResult Finish(double loss) {
    GptqResult result;
    result.loss = loss;
    result.dequantized = std::move(rounded_);
    result.q = Tensor(DType::kI8, {rows_, cols_});
    AffineTable table{options_.group_size > 0 ? ParamAxis::kGroup : ParamAxis::kRow, params_, scale_, offset_,
                      options_.group_size};
    Quantize(result.dequantized.view(), table, format_, result.q.view());
    const Shape shape = {rows_, groups_};
    result.scale = ConvertTo({scale_.data(), DType::kF32, shape}, params_);
    result.offset = ConvertTo({offset_.data(), DType::kF32, shape}, params_);
    return result;
  }

  GptqOptions options_;
  DType dtype_;
  int64_t rows_, cols_, groups_;
  DType params_;
  IntFormat format_;
  Tensor work_;                       // the weight being worked on: f32 holding values of its type
  Tensor rounded_;                    // what its columns were rounded to
  Tensor errors_;                     // of a weight of f32: transposed [in, out]
  std::vector<Tensor> block_errors_;  // else, of every block: [out, columns], in the weight's type
  bool groups_fit_;                   // into blocks
  Tensor together_;                   // see UpToDate
  ConstView factor_;                  // U, in the weight's type
  std::vector<float> scale_, offset_;
};

}  // namespace

uint64_t GptqBytes(int64_t out, int64_t in, DType dtype) {
  const auto elements = static_cast<uint64_t>(out * in);
  const size_t size = DTypeSize(dtype);  // of what the columns are rounded to, and of their errors
  const auto columns = static_cast<uint64_t>(kColumnsTogether * (3 * out + in)) * sizeof(float);
  return elements * (sizeof(float) + 2 * size) + columns + MatMulScratch(kColumnsTogether, in);
}

GptqResult Gptq(const ConstView& weight, const GptqFactor& factor, const GptqOptions& options,
                const std::string& what) {
  Check(weight, options, what);
  if (factor.channels() != weight.cols() || factor.dtype() != weight.dtype || factor.percdamp() != options.percdamp) {
    Refuse(what, "weight " + ShapeText(weight.shape) + " of " + std::string(DTypeName(weight.dtype)) +
                     " beside a factor for " + std::to_string(factor.channels()) + " channels of " +
                     std::string(DTypeName(factor.dtype())) + ", or of another percdamp");
  }
  return Solver(weight, factor, options).Run();
}

GptqResult Gptq(const ConstView& weight, const ConstView& hessian, const GptqOptions& options,
                const std::string& what) {
  Check(weight, options, what);
  if (hessian.shape != Shape{weight.cols(), weight.cols()}) {
    Refuse(what, "weight " + ShapeText(weight.shape) + " beside a Hessian " + ShapeText(hessian.shape));
  }
  return Gptq(weight, GptqFactor(hessian, options.percdamp, weight.dtype, what), options, what);
}

}  // namespace modelslim
