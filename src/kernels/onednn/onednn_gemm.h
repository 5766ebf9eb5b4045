// Matrix products by oneDNN. A build without it has onednn_none.cc instead, which declines everything.
#pragma once

#include "kernels/backend.h"

namespace modelslim {

// Why oneDNN is not used for these types on this machine; "" when it is.
std::string OneDnnDeclines(DType x_dtype, DType w_dtype);
std::unique_ptr<PackedB> PackOneDnn(const ConstView& w, DType x_dtype);

}  // namespace modelslim
