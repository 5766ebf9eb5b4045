#include "kernels/onednn/onednn_gemm.h"

namespace modelslim {

std::string OneDnnDeclines(DType, DType) { return "this build has no oneDNN (MODELSLIM_WITH_ONEDNN=OFF)"; }

std::unique_ptr<PackedB> PackOneDnn(const ConstView&, DType) { MODELSLIM_CHECK(false); }

}  // namespace modelslim
