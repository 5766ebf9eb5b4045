// What a step has a server know beside the weights: ranges of caches and of attention, rotations. Typed and without the
// words of any output format; a format makes tensors, names and entries of them. Every fact exists twice: as planned,
// from shapes alone, and with its values.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "quant/numbers/affine.h"
#include "tensor/tensor.h"

namespace modelslim {

// Keys (as they enter the cache, after rotary embedding) and values: one scale and offset for each channel.
struct PlannedKvScales {
  std::string key, value;                                    // the projections whose outputs are cached
  int64_t keys = 0, values = 0;                              // channels
  DType key_dtype = DType::kF32, value_dtype = DType::kF32;  // of the parameters
};
struct KvScales {
  std::string key, value;
  AffineTable keys, values;
};

// What enters a latent attention in its absorbed form: queries by head, keys and values with one head; int8 without
// offsets.
struct PlannedFaScales {
  int64_t query_heads = 0;
};
struct FaScales {
  AffineTable query, key, value;
};

// Rotations that the model computes at run time.
enum class RotationRole : uint8_t {
  kHeads,           // x' = R' x over the heads of what enters the module
  kKroneckerLeft,   // x viewed as [m, n]: M' x N; this is M [m, m]
  kKroneckerRight,  // and this N [n, n]
  kSite,            // x R for every head at a place that the family names
};
struct PlannedRotation {
  RotationRole role = RotationRole::kHeads;
  std::string site;         // kSite: the family's name of the place
  int64_t size = 0;         // of the square matrix
  int64_t max_tp_size = 0;  // others: devices among which the module may be split without cutting through a block
};
struct OnlineRotation {
  RotationRole role = RotationRole::kHeads;
  std::string site;
  Tensor matrix;  // f32 [size, size]
};

// The rotation of the residual stream, for models that read hidden states of this one. Of the whole model.
struct PlannedGlobalRotation {
  int64_t size = 0;
};
struct GlobalRotation {
  Tensor matrix;  // f32 [size, size]
};

// The module of what is about the whole model.
inline constexpr const char* kWholeModel = "";

struct PlannedFact {
  std::string module;  // what it stands beside: a Linear, an attention, or kWholeModel
  std::variant<PlannedKvScales, PlannedFaScales, PlannedRotation, PlannedGlobalRotation> what;
};
using Fact = std::variant<KvScales, FaScales, OnlineRotation, GlobalRotation>;

// Whether there is one of a kind: HasFact<PlannedFaScales>(facts).
template <class Planned>
bool HasFact(const std::vector<PlannedFact>& facts) {
  for (const PlannedFact& fact : facts) {
    if (std::holds_alternative<Planned>(fact.what)) return true;
  }
  return false;
}

}  // namespace modelslim
