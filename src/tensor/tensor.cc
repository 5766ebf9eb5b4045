#include "tensor/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "base/parallel.h"
#include "tensor/fp8.h"

namespace modelslim {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kRecycleFrom = SIZE_MAX;  // nothing is recycled, so that a use of freed memory shows
#else
constexpr size_t kRecycleFrom = 1 << 20;
#endif
constexpr size_t kAlignment = 64, kKeepAtMost = size_t{256} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

// Freed buffers of at least kRecycleFrom bytes wait here for the next taker of about their size. Bounded, so that what
// is kept never matters beside the memory limit: the sizes that nobody asked for longest give way.
class Recycler {
 public:
  std::byte* Take(size_t bytes, size_t* capacity) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found == free_.end() || found->first > bytes + bytes / 8) return nullptr;
    *capacity = found->first;
    return Remove(found);
  }

  bool Give(std::byte* data, size_t capacity) {
    if (capacity > kKeepAtMost) return false;
    const std::lock_guard lock(mutex_);
    while (kept_ + capacity > kKeepAtMost) {
      std::free(Remove(std::ranges::min_element(free_, {}, [](const auto& entry) { return entry.second.given; })));
    }
    kept_ += capacity;
    free_.emplace(capacity, Buffer{data, ++given_});
    return true;
  }

 private:
  struct Buffer {
    std::byte* data;
    uint64_t given;  // when, counted in buffers
  };

  std::byte* Remove(std::multimap<size_t, Buffer>::iterator entry) {
    std::byte* const data = entry->second.data;
    kept_ -= entry->first;
    free_.erase(entry);
    return data;
  }

  std::mutex mutex_;
  std::multimap<size_t, Buffer> free_;
  size_t kept_ = 0;
  uint64_t given_ = 0;
};

// Large buffers ask for huge pages: a fault for every 2 MiB instead of every 4 KiB.
std::byte* Allocate(size_t bytes) {
  if (bytes < 2 * kHugePage) return static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes));
  auto* const data = static_cast<std::byte*>(std::aligned_alloc(kHugePage, bytes));
#ifdef MADV_HUGEPAGE
  if (data != nullptr) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // refused: slower, no more
#endif
  return data;
}

Recycler& TheRecycler() {
  static Recycler* const recycler = new Recycler;  // outlives tensors with static storage
  return *recycler;
}

}  // namespace

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

void Tensor::Free::operator()(std::byte* data) const {
  if (capacity < kRecycleFrom || !TheRecycler().Give(data, capacity)) std::free(data);
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  const size_t need =
      (bytes() + kAlignment) / kAlignment * kAlignment;  // never zero: an empty tensor is still a tensor
  size_t capacity = need;
  std::byte* data = need >= kRecycleFrom ? TheRecycler().Take(need, &capacity) : nullptr;
  if (data == nullptr) data = Allocate(need);
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
