// The tensors and names that ascendV1 has for typed facts.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/format.h"

namespace modelslim::ascend_v1 {

// Types that are no modes of linears.
inline constexpr std::string_view kCacheType = "C8", kAttentionType = "FAQuant";
// Ends of the names of online rotations; they are not listed in the description.
inline constexpr std::string_view kHeadsRotation = "heads_rotation", kKroneckerLeft = "kronecker_rotation_m",
                                  kKroneckerRight = "kronecker_rotation_n";
// Those at places that a family names, below an attention: the indexer of DeepSeek-V3.2 has all there are.
inline constexpr std::string_view kSites[] = {"indexer.q_rot", "indexer.k_rot"};
// Where the global rotation is, and its only tensor.
inline constexpr std::string_view kRotationFile = "optional/quarot.safetensors", kRotationTensor = "global_rotation";

std::vector<OutputTensor> PlanFact(const PlannedFact& fact);
// Ends of the names of parameters.
inline constexpr const char *kCacheScale = "kv_cache_scale", *kCacheOffset = "kv_cache_offset";

void WriteFact(const std::string& module, Fact fact, const TensorSink& sink);

}  // namespace modelslim::ascend_v1
