#include "kernels/backend.h"

#include "kernels/native/blocked_gemm.h"
#include "kernels/onednn/onednn_gemm.h"
#include "kernels/reference/reference_gemm.h"

namespace modelslim {
namespace {

std::string NativeBF16Declines(DType x_dtype, DType w_dtype) {
  if (x_dtype != DType::kBF16 || w_dtype != DType::kBF16) return "takes bf16 inputs and weights only";
  if (BestMicroKernel(DType::kBF16) == nullptr) return "this machine has no AVX512_BF16";
  return "";
}

constexpr GemmBackend kBackends[] = {
    {"onednn", true, OneDnnDeclines, PackOneDnn},
    {"native_bf16", true, NativeBF16Declines,
     [](const ConstView& w, DType) { return PackNative(*BestMicroKernel(DType::kBF16), w, false); }},
    {"native_f32", false, [](DType, DType) { return std::string(); },
     [](const ConstView& w, DType x_dtype) {
       const bool pairs = x_dtype == DType::kBF16 && w.dtype == DType::kBF16;
       return PackNative(*BestMicroKernelFor(DType::kF32, w.dim(0)), w, pairs);
     }},
    {"reference", false, [](DType, DType) { return std::string(); },
     [](const ConstView& w, DType) { return PackReference(w); }},
};

}  // namespace

std::span<const GemmBackend> GemmBackends() { return kBackends; }

}  // namespace modelslim
