#include "kernels/attention.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "base/parallel.h"
#include "kernels/native/blocked_gemm.h"
#include "kernels/scratch.h"
#include "kernels/softmax.h"

namespace modelslim {
namespace {

// Query rows of a task, and keys taken between two corrections of the running maximum. The latter is part of the
// definition of the result. A multiple of the columns of every micro kernel that may be chosen for it.
constexpr int64_t kQueries = 48, kKeys = 512;
// Keys and values packed at a time; sequences beyond that wait for their turn.
constexpr size_t kPackedBytes = 64 << 20;

int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

struct Inputs {
  const AttentionShape& shape;
  const ConstView &q, &k, &v;
  const View& out;
  const MicroKernel *score_kernel, *value_kernel;
  float scale() const { return shape.scale; }
};

// Head `head` of the rows [begin, begin + rows) of x [T, heads * dim], as the rows of an operand.
Operand HeadRows(const ConstView& x, int64_t begin, int64_t rows, int64_t head, int64_t dim) {
  const int64_t cols = x.cols();
  return {static_cast<const std::byte*>(x.data) + (begin * cols + head * dim) * DTypeSize(x.dtype),
          x.dtype,
          rows,
          dim,
          cols,
          1};
}

// Keys and values of one head of one sequence, packed.
struct PackedHead {
  std::unique_ptr<Panels> k, v;
};

void PackHead(const Inputs& in, int64_t begin, int64_t length, int64_t kv_head, PackedHead* packed) {
  packed->k = std::make_unique<Panels>(*in.score_kernel, HeadRows(in.k, begin, length, kv_head, in.shape.dim));
  Operand v = HeadRows(in.v, begin, length, kv_head, in.shape.v_dim);
  std::swap(v.rows, v.k);
  std::swap(v.row_stride, v.k_stride);
  packed->v = std::make_unique<Panels>(*in.value_kernel, v);
}

// The block of queries of one task, with its running sums.
struct QueryBlock {
  TypedRows q;
  int64_t first, rows;  // positions within the sequence
  float* scores;        // [rows, kKeys]
  void* p;              // [rows, kKeys] of the value kernel's type
  float* sums;          // [rows, sums_stride]
  int64_t sums_stride;
  RowState state[kQueries];
};

// scores[i][j] = q[i] . k[key + j] for the keys that a row group can see.
void ScoreKeys(const Inputs& in, const Panels& k, int64_t key, int64_t padded_dim, const QueryBlock& block) {
  const MicroKernel& kernel = *in.score_kernel;
  for (int64_t i = 0; i < block.rows; i += kernel.rows) {
    const int64_t rows = std::min<int64_t>(kernel.rows, block.rows - i);
    const int64_t keys = std::min(kKeys, block.first + i + rows - key);
    for (int64_t j = 0; j < keys; j += kernel.cols) {
      kernel.run({.depth = padded_dim,
                  .rows = static_cast<int>(rows),
                  .a = static_cast<const std::byte*>(block.q.data) + i * block.q.stride * DTypeSize(kernel.compute),
                  .a_stride = block.q.stride,
                  .b = k.At((key + j) / kernel.cols, 0),
                  .c = block.scores + i * kKeys + j,
                  .c_stride = kKeys,
                  .add = false,
                  .alpha = 1.0f});
    }
  }
}

// sums[i] += p[i] * v over the keys [key, key + keys), as far as a row group can see.
void AddValues(const Inputs& in, const Panels& v, int64_t key, const QueryBlock& block) {
  const MicroKernel& kernel = *in.value_kernel;
  const size_t size = DTypeSize(kernel.compute);
  for (int64_t i = 0; i < block.rows; i += kernel.rows) {
    const int64_t rows = std::min<int64_t>(kernel.rows, block.rows - i);
    const int64_t keys = std::min(kKeys, block.first + i + rows - key);
    if (keys <= 0) continue;
    for (int64_t panel = 0; panel < v.count(); ++panel) {
      kernel.run({.depth = kernel.compute == DType::kBF16 ? RoundUp(keys, 2) : keys,
                  .rows = static_cast<int>(rows),
                  .a = static_cast<const std::byte*>(block.p) + i * kKeys * size,
                  .a_stride = kKeys,
                  .b = v.At(panel, key),
                  .c = block.sums + i * block.sums_stride + panel * kernel.cols,
                  .c_stride = block.sums_stride,
                  .add = key > 0,
                  .alpha = 1.0f});
    }
  }
}

// Turns the scores of one block of keys into probabilities, and what was summed before to the new maximum.
void Softmax(const Inputs& in, int64_t key, QueryBlock& block) {
  const DType p_dtype = in.value_kernel->compute;
  const int64_t padded = std::min(kKeys, RoundUp(block.first + block.rows - key, 2));
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t valid = std::min(kKeys, block.first + i + 1 - key);
    std::byte* p = static_cast<std::byte*>(block.p) + i * kKeys * DTypeSize(p_dtype);
    if (valid <= 0) {
      std::fill(p, p + padded * DTypeSize(p_dtype), std::byte{0});
      continue;
    }
    const float correction =
        SoftmaxStep(block.scores + i * kKeys, valid, padded, in.scale(), in.v.dtype, p_dtype, p, &block.state[i]);
    if (key == 0 || correction == 1.0f) continue;
    float* sums = block.sums + i * block.sums_stride;
    for (int64_t j = 0; j < block.sums_stride; ++j) sums[j] *= correction;
  }
}

// `begin`: first packed row of the sequence. The block's rows are [begin + first, begin + first + rows).
void AttendBlock(const Inputs& in, const PackedHead& packed, int64_t begin, int64_t head, int64_t first, int64_t rows) {
  const AttentionShape& shape = in.shape;
  const DType compute = in.score_kernel->compute;
  const int64_t padded_dim = compute == DType::kBF16 ? RoundUp(shape.dim, 2) : shape.dim;
  QueryBlock block;
  block.q =
      TakeRows(HeadRows(in.q, begin + first, rows, head, shape.dim), compute, 0, rows, 0, shape.dim, padded_dim, false);
  block.first = first, block.rows = rows;
  block.sums_stride = packed.v->count() * in.value_kernel->cols;
  const size_t square = kQueries * kKeys * sizeof(float);
  std::byte* scratch = static_cast<std::byte*>(
      ThreadScratch(ScratchUse::kAttention, 2 * square + kQueries * block.sums_stride * sizeof(float)));
  block.scores = reinterpret_cast<float*>(scratch);
  block.p = scratch + square;
  block.sums = reinterpret_cast<float*>(scratch + 2 * square);
  for (int64_t i = 0; i < rows; ++i) block.state[i] = {-std::numeric_limits<float>::infinity(), 0.0f};

  for (int64_t key = 0; key < first + rows; key += kKeys) {
    ScoreKeys(in, *packed.k, key, padded_dim, block);
    Softmax(in, key, block);
    AddValues(in, *packed.v, key, block);
  }
  for (int64_t i = 0; i < rows; ++i) {
    std::byte* out = static_cast<std::byte*>(in.out.data) +
                     ((begin + first + i) * in.out.cols() + head * shape.v_dim) * DTypeSize(in.out.dtype);
    StoreScaled(block.sums + i * block.sums_stride, 1.0f / block.state[i].sum, shape.v_dim, in.out.dtype, out);
  }
}

// All heads of the sequences [s0, s1).
void AttendSequences(const Inputs& in, std::span<const int64_t> offsets, size_t s0, size_t s1) {
  struct Task {
    size_t sequence;
    int64_t head, first;
  };
  const int64_t kv_heads = in.shape.kv_heads, group = in.shape.heads / kv_heads;
  const int64_t sequences = static_cast<int64_t>(s1 - s0);
  std::vector<PackedHead> packed(static_cast<size_t>(sequences * kv_heads));
  ParallelFor(sequences * kv_heads, [&](int64_t i) {
    const size_t s = s0 + i / kv_heads;
    PackHead(in, offsets[s], offsets[s + 1] - offsets[s], i % kv_heads, &packed[i]);
  });
  std::vector<Task> tasks;
  for (size_t s = s0; s < s1; ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    for (int64_t head = 0; head < in.shape.heads; ++head) {
      // The longest first, so that the threads end together.
      for (int64_t first = (length - 1) / kQueries * kQueries; first >= 0 && length > 0; first -= kQueries) {
        tasks.push_back({s, head, first});
      }
    }
  }
  ParallelFor(static_cast<int64_t>(tasks.size()), [&](int64_t t) {
    const Task& task = tasks[t];
    const int64_t begin = offsets[task.sequence], length = offsets[task.sequence + 1] - begin;
    AttendBlock(in, packed[static_cast<int64_t>(task.sequence - s0) * kv_heads + task.head / group], begin, task.head,
                task.first, std::min(kQueries, length - task.first));
  });
}

// The product of two types: by the bf16 kernel when both are bf16 and the machine has one.
const MicroKernel* KernelFor(bool bf16, int64_t columns) {
  const MicroKernel* kernel = bf16 ? BestMicroKernelFor(DType::kBF16, columns) : nullptr;
  return kernel != nullptr ? kernel : BestMicroKernelFor(DType::kF32, columns);
}

// Of keys and values of a row, at most.
size_t PackedRowBytes(const AttentionShape& shape) {
  return static_cast<size_t>(shape.kv_heads * (shape.dim + shape.v_dim)) * sizeof(float);
}

}  // namespace

size_t AttentionScratch(const AttentionShape& shape, int64_t rows, int64_t longest, DType qk_dtype, DType v_dtype) {
  const auto fitting = static_cast<int64_t>(kPackedBytes / std::max<size_t>(PackedRowBytes(shape), 1));
  const int64_t packed = std::min(rows, std::max(fitting, longest));
  const auto bytes = [&](bool bf16, int64_t width) {
    return static_cast<size_t>(shape.kv_heads * width) * DTypeSize(KernelFor(bf16, kKeys)->compute);
  };
  return static_cast<size_t>(packed) *
         (bytes(qk_dtype == DType::kBF16, shape.dim) + bytes(v_dtype == DType::kBF16, shape.v_dim));
}

void CausalAttention(const AttentionShape& shape, const ConstView& q, const ConstView& k, const ConstView& v,
                     std::span<const int64_t> offsets, const View& out) {
  MODELSLIM_CHECK(shape.heads > 0 && shape.kv_heads > 0 && shape.dim > 0 && shape.v_dim > 0);
  MODELSLIM_CHECK(shape.heads % shape.kv_heads == 0 && !offsets.empty());
  MODELSLIM_CHECK(q.cols() == shape.heads * shape.dim && k.cols() == shape.kv_heads * shape.dim);
  MODELSLIM_CHECK(v.cols() == shape.kv_heads * shape.v_dim && out.cols() == shape.heads * shape.v_dim);
  MODELSLIM_CHECK(std::is_sorted(offsets.begin(), offsets.end()) && offsets.front() >= 0 && offsets.back() <= q.rows());
  MODELSLIM_CHECK(k.rows() == q.rows() && v.rows() == q.rows() && out.rows() == q.rows());
  for (const DType dtype : {q.dtype, k.dtype, v.dtype, out.dtype}) MODELSLIM_CHECK(IsModelDType(dtype));
  const bool bf16 = q.dtype == DType::kBF16 && k.dtype == DType::kBF16;
  const Inputs in{shape, q, k, v, out, KernelFor(bf16, kKeys), KernelFor(v.dtype == DType::kBF16, shape.v_dim)};
  MODELSLIM_CHECK(kKeys % in.score_kernel->cols == 0);
  const size_t row_bytes = PackedRowBytes(shape);
  for (size_t s0 = 0, s1 = 0; s0 + 1 < offsets.size(); s0 = s1) {
    for (s1 = s0 + 1; s1 + 1 < offsets.size(); ++s1) {
      if ((offsets[s1 + 1] - offsets[s0]) * row_bytes > kPackedBytes) break;
    }
    AttendSequences(in, offsets, s0, s1);
  }
}

}  // namespace modelslim
