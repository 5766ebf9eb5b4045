// Words of the recipe protocol that several folders use.
#pragma once

#include <cstdint>

namespace modelslim {

// Kinds of smoothing groups, in the order in which a block's groups are processed (26.1.0).
enum class SubgraphType : uint8_t { kUpDown, kOv, kLinearLinear, kNormLinear };

// How a static range is made from those of the samples: their extremes, or their mean.
enum class Aggregation : uint8_t { kMax, kMean };

}  // namespace modelslim
