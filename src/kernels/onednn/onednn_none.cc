#include "kernels/onednn/onednn_gemm.h"

namespace modelslim {

std::string OneDnnCannot(DType, DType) { return "this build has no oneDNN (MODELSLIM_WITH_ONEDNN=OFF)"; }
std::string OneDnnDeclines(DType x_dtype, DType w_dtype) { return OneDnnCannot(x_dtype, w_dtype); }

std::unique_ptr<PackedB> PackOneDnn(const ConstView&, DType) { MODELSLIM_CHECK(false); }

}  // namespace modelslim
