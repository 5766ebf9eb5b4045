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

constexpr int64_t kMaxSize = int64_t{1} << 22;  // far beyond any model's; keeps sizes from a file from being allocated

using BlockPtr = std::shared_ptr<const RotationBlock>;

BlockPtr IdentityBlock(int64_t size) {
  auto block = std::make_shared<RotationBlock>();
  block->size = size;
  return block;
}

BlockPtr HadamardBlock(int64_t size, int64_t repeat, uint32_t seed, float scale, const std::string& what) {
  const auto base = HadamardBaseOrder(size);
  if (!base) {
    throw Error(ErrorCode::kUnsupported,
                what + ": no Hadamard matrix of order " + std::to_string(size) +
                    " is known (expected a power of two, or one times " +
                    "12, 20, 28, 36, 40, 52, 60, 76, 108, 136, 140, 156, 160, 172 or 200)",
                "give a block_size, a power of two that divides every rotated size");
  }
  auto block = std::make_shared<RotationBlock>();
  block->kind = RotationBlock::Kind::kHadamard;
  block->size = size;
  block->repeat = repeat;
  block->k = *base;
  const std::vector<int8_t> table = BaseHadamard(*base);
  block->base.assign(table.begin(), table.end());
  block->diagonal = RandomSigns(size, seed);
  for (float& d : block->diagonal) d *= scale;
  for (int64_t r = 1; r < repeat; ++r) {
    block->diagonal.insert(block->diagonal.end(), block->diagonal.begin(), block->diagonal.begin() + size);
  }
  return block;
}

BlockPtr ShiftBlock(int64_t size, int64_t shift) {
  auto block = std::make_shared<RotationBlock>();
  block->kind = RotationBlock::Kind::kShift;
  block->size = size;
  block->shift = ((shift % size) + size) % size;
  return block;
}

BlockPtr TransposedBlock(const RotationBlock& block) {
  auto turned = std::make_shared<RotationBlock>(block);
  turned->diagonal_last = !block.diagonal_last;
  turned->shift = (block.size - block.shift) % block.size;
  for (int64_t i = 0; i < block.k; ++i) {
    for (int64_t j = 0; j < block.k; ++j) turned->base[j * block.k + i] = block.base[i * block.k + j];
  }
  return turned;
}

// One factor of the shifted mode, with the chosen blocks replaced by the identity.
RotationFactor BlockFactor(int64_t size, int64_t block, float scale, const RotationOptions& options,
                           const std::string& what) {
  std::vector<int64_t> identity = options.identity_blocks;
  std::ranges::sort(identity);
  RotationFactor factor;
  int64_t next = 0;
  const auto hadamards_until = [&](int64_t end) {
    if (end > next) factor.push_back(HadamardBlock(block, end - next, options.seed, scale, what));
  };
  for (const int64_t i : identity) {
    hadamards_until(i);
    factor.push_back(IdentityBlock(block));
    next = i + 1;
  }
  hadamards_until(size / block);
  return factor;
}

// The reference shifts by 16 whatever the block size.
constexpr int64_t kShift = 16;

RotationFactor TransposedFactor(const RotationFactor& factor) {
  RotationFactor turned;
  for (const BlockPtr& block : factor) turned.push_back(TransposedBlock(*block));
  return turned;
}

float InverseRoot(int64_t block, const RotationOptions& options) {
  return 1.0f / RoundTo(options.root_dtype, std::sqrt(static_cast<float>(block)));
}

// M P M, M P M P' M' or M P M P' M' P M P' M'. Pairs of M have the exact scale 1 / block where every block is a
// Hadamard.
std::vector<RotationFactor> ShiftedFactors(int64_t size, int64_t block, const RotationOptions& options,
                                           const std::string& what) {
  static constexpr std::string_view kWords[] = {"MPM", "MPMpm", "MPMpmPMpm"};
  const std::string_view word = kWords[options.rot_step - 1];
  const float root = InverseRoot(block, options);
  const bool exact_pairs = options.identity_blocks.empty() && options.root_dtype == DType::kF32;
  int64_t left = std::ranges::count_if(word, [](char c) { return c == 'M' || c == 'm'; });
  bool second = false;
  std::vector<RotationFactor> factors;
  for (const char c : word) {
    if (c == 'P' || c == 'p') {
      factors.push_back({ShiftBlock(size, c == 'P' ? kShift : -kShift)});
      continue;
    }
    float scale = root;
    if (exact_pairs && second) scale = 1.0f / static_cast<float>(block);
    if (exact_pairs && !second && left > 1) scale = 1.0f;
    second = !second && left > 1;
    --left;
    const RotationFactor m = BlockFactor(size, block, scale, options, what);
    factors.push_back(c == 'M' ? m : TransposedFactor(m));
  }
  return factors;
}

void CheckOptions(int64_t size, int64_t block, const RotationOptions& options, const std::string& what) {
  const auto refuse = [&](const std::string& why) { throw Error(ErrorCode::kMisuse, what + ": " + why); };
  if (size < 1 || size > kMaxSize)
    refuse("size " + std::to_string(size) + " is not between 1 and " + std::to_string(kMaxSize));
  if (options.block_size != -1 && options.block_size < 1) {
    refuse("block_size " + std::to_string(options.block_size) + " is neither -1 nor positive");
  }
  if (size % block != 0) {
    throw Error(
        ErrorCode::kMisuse,
        what + ": block_size " + std::to_string(block) + " does not divide the rotated size " + std::to_string(size),
        "use a block_size that divides every rotated size (hidden size, head size, intermediate size)");
  }
  if (options.rot_step < 1 || options.rot_step > 3) refuse("rot_step must be 1, 2 or 3");
  std::vector<int64_t> identity = options.identity_blocks;
  std::ranges::sort(identity);
  for (size_t i = 0; i < identity.size(); ++i) {
    if (identity[i] < 0 || identity[i] >= size / block || (i > 0 && identity[i] == identity[i - 1])) {
      refuse("identity block " + std::to_string(identity[i]) + " is not one of " + std::to_string(size / block) +
             " blocks or is named twice");
    }
  }
}

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
  CheckOptions(size, block, options, what);
  auto impl = std::make_shared<Impl>();
  impl->size = size;
  if (shifted) {
    impl->factors = ShiftedFactors(size, block, options, what);
  } else {
    impl->factors = {BlockFactor(size, block, InverseRoot(block, options), options, what)};
  }
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
