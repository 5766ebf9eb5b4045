// Matrix products by oneDNN. A build without it has onednn_none.cc instead, which declines everything.
#pragma once

#include "kernels/backend.h"

namespace modelslim {

// Why oneDNN cannot multiply these types on this machine; "" when it can.
std::string OneDnnCannot(DType x_dtype, DType w_dtype);
// Why it should not: also where the native kernels are measured to be at least as fast, which is everywhere but on
// processors with AMX tiles.
std::string OneDnnDeclines(DType x_dtype, DType w_dtype);

// One primitive for tiles of a fixed number of rows, padded where there are fewer: so no row depends on how many come
// with it.
std::unique_ptr<PackedB> PackOneDnn(const ConstView& w, DType x_dtype);

}  // namespace modelslim
