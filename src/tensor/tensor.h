// Dense row-major tensors: a view (somebody else's memory) and an owner (its own) are different types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/float16.h"

namespace modelslim {

using Shape = std::vector<int64_t>;

int64_t NumElements(const Shape& shape);    // 1 for the empty shape
std::string ShapeText(const Shape& shape);  // "[2, 3]"

// Read-only view. Whoever keeps one says what must outlive it.
struct ConstView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t size() const { return NumElements(shape); }
  size_t bytes() const { return static_cast<size_t>(size()) * DTypeSize(dtype); }
  int64_t dim(int axis) const { return shape[axis < 0 ? shape.size() + axis : axis]; }
  // All axes but the last flattened: [rows, cols]. A 1-D tensor is one row.
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : size() / cols(); }
  // The elements as T, which must be the type of the tensor (int8_t for I8 ...; checked by size only).
  template <class T>
  const T* as() const {
    MODELSLIM_CHECK(sizeof(T) == DTypeSize(dtype));
    return static_cast<const T*>(data);
  }
  // Rows [begin, end) of the flattened matrix, as a 2-D view.
  ConstView Rows(int64_t begin, int64_t end) const;
};

struct View {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  operator ConstView() const { return {data, dtype, shape}; }
  int64_t size() const { return NumElements(shape); }
  size_t bytes() const { return static_cast<size_t>(size()) * DTypeSize(dtype); }
  int64_t dim(int axis) const { return shape[axis < 0 ? shape.size() + axis : axis]; }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : size() / cols(); }
  template <class T>
  T* as() const {
    MODELSLIM_CHECK(sizeof(T) == DTypeSize(dtype));
    return static_cast<T*>(data);
  }
  View Rows(int64_t begin, int64_t end) const;
};

// Owner of 64-byte aligned memory. Move-only; copying is spelled Clone(). Large buffers are used again (see buffers.h).
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);  // uninitialized
  static Tensor Zeros(DType dtype, Shape shape);
  static Tensor Copy(const ConstView& source);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return NumElements(shape_); }
  size_t bytes() const { return static_cast<size_t>(size()) * DTypeSize(dtype_); }
  ConstView view() const { return {data_.get(), dtype_, shape_}; }
  View view() { return {data_.get(), dtype_, shape_}; }
  template <class T>
  const T* as() const {
    return view().as<T>();
  }
  template <class T>
  T* as() {
    return view().as<T>();
  }
  Tensor Clone() const { return Copy(view()); }
  // The same elements under another shape of equal size.
  void Reshape(Shape shape);

 private:
  struct Free {
    size_t capacity;
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_{nullptr, Free{0}};
  DType dtype_ = DType::kF32;
  Shape shape_;
};

// A read-only tensor together with what keeps its memory: a Tensor of its own, or the mapping it lies in. Copies share.
// For whoever keeps a tensor beyond the call that gave it to him; a bare view cannot become one.
class SharedTensor {
 public:
  SharedTensor() = default;
  SharedTensor(Tensor owned);  // NOLINT(google-explicit-constructor): giving a Tensor away is the usual case
  // `view` lies in memory that `keeper`, which must not be null, keeps alive and unchanged.
  SharedTensor(std::shared_ptr<const void> keeper, ConstView view);

  explicit operator bool() const { return keeper_ != nullptr; }
  DType dtype() const { return view_.dtype; }
  const Shape& shape() const { return view_.shape; }
  size_t bytes() const { return view_.bytes(); }
  // Valid as long as this object or a copy of it; so not to be had from a temporary.
  const ConstView& view() const& { return view_; }
  const ConstView& view() && = delete;

 private:
  std::shared_ptr<const void> keeper_;
  ConstView view_;
};

// Elementwise conversion among f32, bf16 and f16 (nearest even), also from f64 and the fp8 types to them. `to` has the
// shape of `from`. Threads: runs on the compute pool.
void Convert(const ConstView& from, const View& to);
Tensor ConvertTo(const ConstView& from, DType dtype);
// Element `index` of a float tensor as f32.
float ElementAsF32(const ConstView& tensor, int64_t index);

}  // namespace modelslim
