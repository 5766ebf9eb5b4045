#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "tensor/buffers.h"
#include "tensor/fp8.h"

namespace modelslim {
int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t n : shape) count *= n;
  return count;
}

std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i != 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

ConstView ConstView::Rows(int64_t begin, int64_t end) const {
  const size_t stride = static_cast<size_t>(cols()) * DTypeSize(dtype);
  return {static_cast<const std::byte*>(data) + begin * stride, dtype, {end - begin, cols()}};
}

View View::Rows(int64_t begin, int64_t end) const {
  const size_t stride = static_cast<size_t>(cols()) * DTypeSize(dtype);
  return {static_cast<std::byte*>(data) + begin * stride, dtype, {end - begin, cols()}};
}

void Tensor::Free::operator()(std::byte* data) const { GiveBuffer(data, capacity); }

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  const size_t need = std::max<size_t>(bytes(), 1);  // an empty tensor is still a tensor
  size_t capacity = 0;
  std::byte* const data = TakeBuffer(need, &capacity);
  if (data == nullptr) {
    throw Error(
        ErrorCode::kUnexpected,
        "out of memory: cannot allocate " + std::to_string(need) + " bytes for a tensor of shape " + ShapeText(shape_),
        "give a smaller --memory, which makes the run use less at once");
  }
  data_ = std::unique_ptr<std::byte, Free>(data, Free{capacity});
}

Tensor Tensor::Zeros(DType dtype, Shape shape) {
  Tensor made(dtype, std::move(shape));
  std::memset(made.data_.get(), 0, made.bytes());
  return made;
}

Tensor Tensor::Copy(const ConstView& source) {
  Tensor made(source.dtype, source.shape);
  const size_t total = made.bytes();
  constexpr size_t kPiece = 4 << 20;
  ParallelRanges(static_cast<int64_t>(total), kPiece, [&](int64_t begin, int64_t end) {
    std::memcpy(made.data_.get() + begin, static_cast<const std::byte*>(source.data) + begin,
                static_cast<size_t>(end - begin));
  });
  return made;
}

void Tensor::Reshape(Shape shape) {
  MODELSLIM_CHECK(NumElements(shape) == size());
  shape_ = std::move(shape);
}

SharedTensor::SharedTensor(Tensor owned) {
  auto keeper = std::make_shared<const Tensor>(std::move(owned));
  view_ = keeper->view();
  keeper_ = std::move(keeper);
}

SharedTensor::SharedTensor(std::shared_ptr<const void> keeper, ConstView view)
    : keeper_(std::move(keeper)), view_(std::move(view)) {
  MODELSLIM_CHECK(keeper_ != nullptr);
}

namespace {

template <class From, class To>
void ConvertRange(const From* from, To* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) to[i] = modelslim::From<To>(ToF32(from[i]));
}

}  // namespace

void Convert(const ConstView& from, const View& to) {
  MODELSLIM_CHECK(from.size() == to.size() && IsModelDType(to.dtype));
  constexpr int64_t kGrain = 1 << 18;
  if (from.dtype == to.dtype) {
    ParallelRanges(static_cast<int64_t>(from.bytes()), kGrain * 4, [&](int64_t begin, int64_t end) {
      std::memcpy(static_cast<std::byte*>(to.data) + begin, static_cast<const std::byte*>(from.data) + begin,
                  static_cast<size_t>(end - begin));
    });
    return;
  }
  WithModelDType(to.dtype, [&](auto to_tag) {
    using To = decltype(to_tag);
    ParallelRanges(from.size(), kGrain, [&](int64_t begin, int64_t end) {
      switch (from.dtype) {
        case DType::kF32:
          return ConvertRange(from.as<float>(), to.as<To>(), begin, end);
        case DType::kBF16:
          return ConvertRange(from.as<BF16>(), to.as<To>(), begin, end);
        case DType::kF16:
          return ConvertRange(from.as<F16>(), to.as<To>(), begin, end);
        default:
          for (int64_t i = begin; i < end; ++i) to.as<To>()[i] = From<To>(ElementAsF32(from, i));
      }
    });
  });
}

Tensor ConvertTo(const ConstView& from, DType dtype) {
  Tensor made(dtype, from.shape);
  Convert(from, made.view());
  return made;
}

float ElementAsF32(const ConstView& tensor, int64_t index) {
  switch (tensor.dtype) {
    case DType::kF32:
      return tensor.as<float>()[index];
    case DType::kBF16:
      return ToF32(tensor.as<BF16>()[index]);
    case DType::kF16:
      return ToF32(tensor.as<F16>()[index]);
    case DType::kF64:
      return static_cast<float>(tensor.as<double>()[index]);
    case DType::kF8E4M3:
      return E4M3ToF32(tensor.as<uint8_t>()[index]);
    default:
      break;
  }
  throw Error(ErrorCode::kUnsupported,
              "expected a tensor of real numbers, found " + std::string(DTypeName(tensor.dtype)));
}

}  // namespace modelslim
