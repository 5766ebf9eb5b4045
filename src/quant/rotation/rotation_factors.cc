#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <string_view>

#include "base/error.h"
#include "quant/rotation/hadamard.h"
#include "quant/rotation/rotation_impl.h"

namespace modelslim {
namespace {

using BlockPtr = std::shared_ptr<const RotationBlock>;

constexpr int64_t kMaxSize = int64_t{1} << 22;  // far beyond any model's; keeps sizes from a file from being allocated

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

}  // namespace

BlockPtr IdentityBlock(int64_t size) {
  auto block = std::make_shared<RotationBlock>();
  block->size = size;
  return block;
}

RotationFactor TransposedFactor(const RotationFactor& factor) {
  RotationFactor turned;
  for (const BlockPtr& block : factor) turned.push_back(TransposedBlock(*block));
  return turned;
}

std::vector<RotationFactor> HadamardFactors(int64_t size, int64_t block, const RotationOptions& options,
                                            const std::string& what) {
  CheckOptions(size, block, options, what);
  if (options.mode == RotationMode::kBlockHadamardShifted) return ShiftedFactors(size, block, options, what);
  return {BlockFactor(size, block, InverseRoot(block, options), options, what)};
}

}  // namespace modelslim
