// Plain loops: what the fast kernels are compared with, and what runs when none of them can.
#pragma once

#include "kernels/backend.h"
#include "kernels/gemm.h"

namespace modelslim {

// Linear() and MatMul() of gemm.h, one f32 chain per element in the order of k. RefLinear runs on the compute pool.
void RefLinear(const ConstView& x, const ConstView& w, const ConstView& bias, const View& y);
void RefMatMul(const ConstView& a, const ConstView& b, const View& c, const MatMulOptions& options);

std::unique_ptr<PackedB> PackReference(const ConstView& w);

}  // namespace modelslim
