#include "kernels/onednn/onednn_gemm.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "base/parallel.h"
#include "kernels/finish.h"
#include "kernels/scratch.h"

namespace modelslim {
namespace {

// Rows and columns of one call. The rows are a compromise: AMX likes many, an expert of a mixture may see few.
constexpr int64_t kRows = 64, kColumns = 512;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type Type(DType dtype) {
  return dtype == DType::kBF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// oneDNN must not start threads of its own beside ours: with more than one it may split sums over k, which would make
// results depend on their number.
void StayOnThisThread() {
  thread_local const bool once = (omp_set_num_threads(1), true);
  static_cast<void>(once);
}

// oneDNN's errors say little; add what was asked.
template <class F>
decltype(auto) Translated(const std::string& what, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    throw Error(ErrorCode::kUnexpected,
                "oneDNN failed to " + what + ": " + error.what() + " (status " + std::to_string(error.status) + ")",
                "build with -DMODELSLIM_WITH_ONEDNN=OFF to go on without it, and report this");
  }
}

// Columns [begin, begin + count) of the output.
struct Block {
  int64_t begin, count;
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
  dnnl::memory weights;
  Tensor storage;
};

class OneDnnPackedB final : public PackedB {
 public:
  OneDnnPackedB(const ConstView& w, DType x_dtype) : n_(w.dim(0)), k_(w.dim(1)), x_dtype_(x_dtype) {
    blocks_.resize(static_cast<size_t>((n_ + kColumns - 1) / kColumns));
    ParallelFor(static_cast<int64_t>(blocks_.size()), [&](int64_t b) {
      StayOnThisThread();
      Translated("pack a weight of shape " + ShapeText(w.shape), [&] { Pack(w, b * kColumns, &blocks_[b]); });
    });
  }

  void Apply(const ConstView& x, const ConstView& bias, const View& y) const override {
    const int64_t m = x.rows(), down = (m + kRows - 1) / kRows;
    ParallelFor(down * static_cast<int64_t>(blocks_.size()), [&](int64_t task) {
      StayOnThisThread();
      const Block& block = blocks_[task / down];
      const int64_t row = task % down * kRows, rows = std::min(kRows, m - row);
      float* sums = static_cast<float*>(ThreadScratch(ScratchUse::kSums, kRows * block.count * sizeof(float)));
      Translated("multiply by a weight of shape " + ShapeText({n_, k_}),
                 [&] { Multiply(block, RowsOf(x, row, rows), sums); });
      FinishTile({.sums = sums,
                  .sums_stride = block.count,
                  .bias = bias,
                  .column = block.begin,
                  .rows = rows,
                  .columns = block.count,
                  .y = static_cast<std::byte*>(y.data) + (row * n_ + block.begin) * DTypeSize(y.dtype),
                  .y_dtype = y.dtype,
                  .y_stride = n_});
    });
  }

  size_t bytes() const override {
    size_t total = 0;
    for (const Block& block : blocks_) total += block.storage.bytes();
    return total;
  }

 private:
  using Tag = dnnl::memory::format_tag;

  void Pack(const ConstView& w, int64_t begin, Block* block) const {
    block->begin = begin, block->count = std::min(kColumns, n_ - begin);
    const dnnl::memory::desc x({kRows, k_}, Type(x_dtype_), Tag::ab);
    const dnnl::memory::desc any({k_, block->count}, Type(w.dtype), Tag::any);
    const dnnl::memory::desc y({kRows, block->count}, dnnl::memory::data_type::f32, Tag::ab);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    block->description = dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, any, y), attributes, Engine());
    block->primitive = dnnl::matmul(block->description);
    const dnnl::memory::desc packed = block->description.weights_desc();
    block->storage = Tensor(DType::kU8, {static_cast<int64_t>(packed.get_size())});
    block->weights = dnnl::memory(packed, Engine(), block->storage.view().data);
    // oneDNN takes a pointer to mutable memory also for what it only reads.
    void* const source = const_cast<void*>(w.Rows(begin, begin + block->count).data);
    dnnl::memory plain({{k_, block->count}, Type(w.dtype), Tag::ba}, Engine(), source);
    dnnl::stream stream(Engine());
    dnnl::reorder(plain, block->weights).execute(stream, plain, block->weights);
    stream.wait();
  }

  // Rows [row, row + rows) of x, filled up with zeros to kRows.
  void* RowsOf(const ConstView& x, int64_t row, int64_t rows) const {
    const ConstView part = x.Rows(row, row + rows);
    if (rows == kRows) return const_cast<void*>(part.data);
    const size_t all = static_cast<size_t>(kRows * k_) * DTypeSize(x_dtype_);
    std::byte* padded = static_cast<std::byte*>(ThreadScratch(ScratchUse::kRowsOfA, all));
    std::memcpy(padded, part.data, part.bytes());
    std::memset(padded + part.bytes(), 0, all - part.bytes());
    return padded;
  }

  void Multiply(const Block& block, void* rows, float* sums) const {
    thread_local dnnl::stream stream(Engine());
    const dnnl::memory::desc scratch_desc = block.description.scratchpad_desc();
    void* scratch = ThreadScratch(ScratchUse::kOneDnn, scratch_desc.get_size());
    block.primitive.execute(stream, {{DNNL_ARG_SRC, {block.description.src_desc(), Engine(), rows}},
                                     {DNNL_ARG_WEIGHTS, block.weights},
                                     {DNNL_ARG_DST, {block.description.dst_desc(), Engine(), sums}},
                                     {DNNL_ARG_SCRATCHPAD, {scratch_desc, Engine(), scratch}}});
    stream.wait();
  }

  int64_t n_, k_;
  DType x_dtype_;
  std::vector<Block> blocks_;
};

}  // namespace

std::string OneDnnCannot(DType x_dtype, DType w_dtype) {
  if (x_dtype != w_dtype || x_dtype == DType::kF16) return "takes f32 with f32 and bf16 with bf16 only";
  if (x_dtype == DType::kBF16 && dnnl::get_effective_cpu_isa() < dnnl::cpu_isa::avx512_core) {
    return "has no bf16 below AVX-512";
  }
  return "";
}

std::string OneDnnDeclines(DType x_dtype, DType w_dtype) {
  if (std::string reason = OneDnnCannot(x_dtype, w_dtype); !reason.empty()) return reason;
  const bool amx = dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
  if (x_dtype != DType::kBF16 || !amx) return "is no faster than the native kernels without AMX";
  return "";
}

std::unique_ptr<PackedB> PackOneDnn(const ConstView& w, DType x_dtype) {
  return std::make_unique<OneDnnPackedB>(w, x_dtype);
}

}  // namespace modelslim
