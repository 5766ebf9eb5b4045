#include "quant/rotation/rotation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "quant/rotation/hadamard.h"
#include "quant/rotation/rotation_impl.h"
#include "quant/rotation/rotation_kernels.h"

namespace modelslim {

namespace {

using rotation_kernels::Mix;
using rotation_kernels::ScaleUnits;
using rotation_kernels::WalshHadamard;

using BlockPtr = std::shared_ptr<const RotationBlock>;

// y = B' x for the columns of x [size * repeat, width], in place.
void ApplyBlock(const RotationBlock& block, float* x, int64_t width) {
  const int64_t total = block.size * block.repeat;
  switch (block.kind) {
    case RotationBlock::Kind::kIdentity:
      return;
    case RotationBlock::Kind::kShift:
      std::rotate(x, x + (block.size - block.shift) * width, x + block.size * width);
      return;
    case RotationBlock::Kind::kDense:
      break;
    case RotationBlock::Kind::kHadamard:
      if (!block.diagonal_last) ScaleUnits(x, block.diagonal.data(), total, width);
      WalshHadamard(x, total * width, block.size / block.k, width);
      break;
  }
  if (block.k > 1 || block.kind == RotationBlock::Kind::kDense) {
    const int64_t count = block.size * width;
    for (int64_t r = 0; r < block.repeat; ++r) {
      Mix(x + r * count, block.base.data(), block.k, count / block.k);
    }
  }
  if (block.kind == RotationBlock::Kind::kHadamard && block.diagonal_last) {
    ScaleUnits(x, block.diagonal.data(), total, width);
  }
}

// Whether a single row is fast as it lies; else 16 rows are turned into a panel first.
bool FastOnRows(const RotationBlock& block) {
  if (block.kind == RotationBlock::Kind::kDense) return false;
  if (block.kind != RotationBlock::Kind::kHadamard) return true;
  return block.size * block.repeat % 16 == 0 && (block.k == 1 || block.size / block.k % 16 == 0);
}

}  // namespace

Rotation::Rotation(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Rotation Rotation::Make(int64_t size, const RotationOptions& options, const std::string& what) {
  const bool shifted = options.mode == RotationMode::kBlockHadamardShifted;
  const int64_t block = options.block_size != -1 ? options.block_size : (shifted ? 32 : std::max<int64_t>(size, 1));
  auto impl = std::make_shared<Impl>();
  impl->size = size;
  impl->factors = HadamardFactors(size, block, options, what);
  return Rotation(std::move(impl));
}

Rotation Rotation::Identity(int64_t size) {
  auto impl = std::make_shared<Impl>();
  impl->size = size;
  impl->factors = {{IdentityBlock(size)}};
  return Rotation(std::move(impl));
}

Rotation Rotation::FromMatrix(const ConstView& matrix) {
  MODELSLIM_CHECK(matrix.dtype == DType::kF32 && matrix.shape.size() == 2 && matrix.dim(0) == matrix.dim(1));
  auto block = std::make_shared<RotationBlock>();
  block->kind = RotationBlock::Kind::kDense;
  block->size = block->k = matrix.dim(0);
  block->base.resize(block->size * block->size);
  for (int64_t i = 0; i < block->size; ++i) {  // columns are turned by the transposed matrix
    for (int64_t j = 0; j < block->size; ++j)
      block->base[j * block->size + i] = matrix.as<float>()[i * block->size + j];
  }
  auto impl = std::make_shared<Impl>();
  impl->size = block->size;
  impl->factors = {{std::move(block)}};
  return Rotation(std::move(impl));
}

Rotation Rotation::BlockDiagonal(const std::vector<Rotation>& parts) {
  auto impl = std::make_shared<Impl>();
  for (const Rotation& part : parts) {
    impl->factors.resize(std::max(impl->factors.size(), part.impl_->factors.size()));
  }
  for (const Rotation& part : parts) {
    impl->size += part.size();
    for (size_t f = 0; f < impl->factors.size(); ++f) {
      if (f < part.impl_->factors.size()) {
        const RotationFactor& blocks = part.impl_->factors[f];
        impl->factors[f].insert(impl->factors[f].end(), blocks.begin(), blocks.end());
      } else {
        impl->factors[f].push_back(IdentityBlock(part.size()));
      }
    }
  }
  return Rotation(std::move(impl));
}

int64_t Rotation::size() const { return impl_->size; }

Tensor Rotation::Dense() const {
  const int64_t n = size();
  Tensor dense = Tensor::Zeros(DType::kF32, {n, n});
  float* const data = dense.as<float>();
  ParallelRanges(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) data[i * n + i] = 1.0f;
    ApplyRows(data + begin * n, end - begin, n);
  });
  return dense;
}

Rotation Rotation::CastTo(DType dtype) const {
  if (dtype == DType::kF32) return *this;
  const bool single = impl_->factors.size() == 1;
  if (!single) {
    Tensor dense = Dense();
    Tensor rounded = dense.Clone();
    rotation_kernels::RoundTo(dtype, rounded.as<float>(), rounded.size());
    if (std::memcmp(dense.as<float>(), rounded.as<float>(), dense.bytes()) == 0) return *this;
    return FromMatrix(rounded.view());
  }
  auto impl = std::make_shared<Impl>(*impl_);
  for (BlockPtr& block : impl->factors[0]) {
    auto cast = std::make_shared<RotationBlock>(*block);
    rotation_kernels::RoundTo(dtype, cast->diagonal.data(), static_cast<int64_t>(cast->diagonal.size()));
    rotation_kernels::RoundTo(dtype, cast->base.data(), static_cast<int64_t>(cast->base.size()));
    block = std::move(cast);
  }
  return Rotation(std::move(impl));
}

Rotation Rotation::Transposed() const {
  auto impl = std::make_shared<Impl>();
  impl->size = size();
  for (auto factor = impl_->factors.rbegin(); factor != impl_->factors.rend(); ++factor) {
    impl->factors.push_back(TransposedFactor(*factor));
  }
  return Rotation(std::move(impl));
}

void Rotation::ApplyColumns(float* panel, int64_t width) const {
  for (const RotationFactor& factor : impl_->factors) {
    float* x = panel;
    for (const BlockPtr& block : factor) {
      ApplyBlock(*block, x, width);
      x += block->size * block->repeat * width;
    }
  }
}

void Rotation::ApplyRows(float* rows, int64_t count, int64_t stride) const {
  const bool fast = std::ranges::all_of(impl_->factors, [](const RotationFactor& factor) {
    return std::ranges::all_of(factor, [](const BlockPtr& block) { return FastOnRows(*block); });
  });
  if (fast) {
    for (int64_t r = 0; r < count; ++r) ApplyColumns(rows + r * stride, 1);
    return;
  }
  constexpr int64_t kWidth = 16;
  const int64_t n = size();
  std::vector<float> panel(n * kWidth);
  for (int64_t begin = 0; begin < count; begin += kWidth) {
    const int64_t width = std::min(kWidth, count - begin);
    std::ranges::fill(panel, 0.0f);
    for (int64_t r = 0; r < width; ++r) {
      for (int64_t i = 0; i < n; ++i) panel[i * kWidth + r] = rows[(begin + r) * stride + i];
    }
    ApplyColumns(panel.data(), kWidth);
    for (int64_t r = 0; r < width; ++r) {
      for (int64_t i = 0; i < n; ++i) rows[(begin + r) * stride + i] = panel[i * kWidth + r];
    }
  }
}

const RotationBlock* Rotation::OnlyDense() const {
  if (impl_->factors.size() != 1 || impl_->factors[0].size() != 1) return nullptr;
  const RotationBlock* block = impl_->factors[0][0].get();
  return block->kind == RotationBlock::Kind::kDense ? block : nullptr;
}

}  // namespace modelslim
