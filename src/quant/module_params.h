// The parameters of norms and linears that smoothing and rotation change in place.
#pragma once

#include "tensor/tensor.h"

namespace modelslim {

struct NormParams {
  View weight;  // gamma, [C]
  View bias;    // beta, [C], or null data
};
struct LinearParams {
  View weight;  // [out, in]
  View bias;    // [out], or null data
};

}  // namespace modelslim
