#include "ops/columns.h"

#include <cstring>

#include "base/parallel.h"

namespace modelslim {
namespace {

template <class From, class To>
void CopyConverted(const From* in, To* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = modelslim::From<To>(ToF32(in[i]));
}

}  // namespace

void CopyColumns(const ConstView& source, const View& target, const std::vector<ColumnCopy>& copies) {
  MODELSLIM_CHECK(source.rows() == target.rows());
  const int64_t in_stride = source.cols(), out_stride = target.cols();
  WithModelDType(source.dtype, [&](auto from_tag) {
    WithModelDType(target.dtype, [&](auto to_tag) {
      const auto* const in = source.as<decltype(from_tag)>();
      auto* const out = target.as<decltype(to_tag)>();
      ParallelRanges(source.rows(), 16, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          for (const ColumnCopy& copy : copies) {
            CopyConverted(in + t * in_stride + copy.from, out + t * out_stride + copy.to, copy.count);
          }
        }
      });
    });
  });
}

Tensor TakeColumns(const ConstView& source, int64_t first, int64_t count) {
  Tensor made(source.dtype, {source.rows(), count});
  CopyColumns(source, made.view(), {{first, 0, count}});
  return made;
}

}  // namespace modelslim
