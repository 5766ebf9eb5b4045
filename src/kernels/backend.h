// What an implementation of Linear provides. Inside kernels/ and its tests only; everybody else uses gemm.h.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace modelslim {

// A weight [N,K] in the layout of one implementation, for inputs of one type. Immutable; threads may share it.
class PackedB {
 public:
  virtual ~PackedB() = default;
  // y[M,N] = x[M,K] * w^T + bias, as Linear() of gemm.h says. x has the type given to Pack. Shapes are already checked.
  virtual void Apply(const ConstView& x, const ConstView& bias, const View& y) const = 0;
  virtual size_t bytes() const = 0;
};

struct GemmBackend {
  std::string_view name;
  bool narrow;  // packs two bytes for an element, not four
  // Why it cannot multiply these types on this machine; "" when it can.
  std::string (*declines)(DType x_dtype, DType w_dtype);
  std::unique_ptr<PackedB> (*pack)(const ConstView& w, DType x_dtype);
};

// In the order in which they are tried; the last one never declines.
std::span<const GemmBackend> GemmBackends();

}  // namespace modelslim
