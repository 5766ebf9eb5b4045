// Whether numbers are numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/tensor.h"

namespace modelslim {

// The first element, in row-major order, that is NaN or infinite; nothing when all are finite. x may be of any type
// (integers are finite) and need not be aligned. Runs on the compute pool.
std::optional<int64_t> FirstNotFinite(const ConstView& x);

// "NaN", "infinity" or "-infinity" for element `index` of x, which is none of the finite ones.
std::string_view NotFiniteName(const ConstView& x, int64_t index);

}  // namespace modelslim
