#include "quant/activations/activation.h"

#include <cstring>
#include <string>

#include "base/parallel.h"
#include "quant/activations/activation_fake.h"
#include "quant/activations/activation_histogram.h"
#include "quant/numbers/mx.h"
#include "quant/numbers/range_scan.h"

namespace modelslim {
namespace {

bool IsBlockScope(ActivationScope scope) {
  return scope == ActivationScope::kPerBlock || scope == ActivationScope::kDualScale;
}

[[noreturn]] void Refuse(const std::string& what, const std::string& tip) {
  throw Error(ErrorCode::kUnsupported, "activation quantizer: " + what, tip);
}

void CopyRows(const ConstView& x, const View& out) {
  if (out.data == nullptr || out.data == x.data) return;
  MODELSLIM_CHECK(out.dtype == x.dtype && out.size() == x.size());
  constexpr int64_t kPiece = 1 << 20;
  ParallelRanges(static_cast<int64_t>(x.bytes()), kPiece, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<std::byte*>(out.data) + begin, static_cast<const std::byte*>(x.data) + begin,
                static_cast<size_t>(end - begin));
  });
}

}  // namespace

bool IsDataFree(const ActivationSpec& spec) {
  return spec.scope == ActivationScope::kPerToken || IsBlockScope(spec.scope);
}

void CheckActivationSpec(const ActivationSpec& spec) {
  const bool mx = spec.format == ElementFormat::kMxFp8 || spec.format == ElementFormat::kMxFp4;
  const bool fp8 = spec.format == ElementFormat::kFp8E4M3, block = IsBlockScope(spec.scope);
  if (mx != block)
    Refuse("MX formats have scope per_block or dual_scale, and nothing else has", "change scope or dtype");
  if (block && !spec.symmetric) Refuse("MX formats are symmetric", "set symmetric: true");
  if (fp8 && !spec.symmetric) Refuse("fp8 is symmetric", "set symmetric: true");
  if (spec.scope == ActivationScope::kPdMix && (spec.symmetric || spec.format != ElementFormat::kInt8)) {
    Refuse("scope pd_mix is int8 and asymmetric", "set dtype: int8 and symmetric: false");
  }
  if (spec.method == ActivationMethod::kHistogram &&
      (spec.scope != ActivationScope::kPerTensor || spec.format != ElementFormat::kInt8)) {
    Refuse("method histogram works on int8 per_tensor only", "use method minmax");
  }
  if (spec.scope == ActivationScope::kDualScale) {
    if (spec.format != ElementFormat::kMxFp4) Refuse("scope dual_scale works on mxfp4 only", "set dtype: mxfp4");
    if (spec.dual_block_size <= 0 || spec.dual_block_size % kMxBlock != 0) {
      throw Error(ErrorCode::kSchema,
                  "activation quantizer: dual_block_size must be a positive multiple of 32, found " +
                      std::to_string(spec.dual_block_size));
    }
  }
}

struct ActivationQuantizer::Impl {
  ActivationSpec spec;
  int64_t samples = 0;
  DType dtype = DType::kF32;
  Range running;
  double sum_min = 0.0, sum_max = 0.0, count = 0.0;  // Aggregation::kMean
  Histogram histogram;
  AffineParams last;    // kPerTensor with a histogram: those of the last sample
  AffineTable columns;  // kPerChannel: those of the last sample

  void CalibrateTensor(const ConstView& x, std::span<const int64_t> offsets, const View& out);
  void CalibrateHistogram(const ConstView& x, std::span<const int64_t> offsets, const View& out);
  void CalibrateColumns(const ConstView& x, std::span<const int64_t> offsets, const View& out);
  std::vector<Range> Scan(const std::vector<Range>& ranges);
};

// Running ranges after each sample.
std::vector<Range> ActivationQuantizer::Impl::Scan(const std::vector<Range>& ranges) {
  std::vector<Range> scanned(ranges.size());
  if (spec.aggregation == Aggregation::kMax) {
    for (size_t i = 0; i < ranges.size(); ++i) scanned[i] = running = Merge(running, ranges[i]);
    return scanned;
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (!ranges[i].empty()) {
      sum_min += ranges[i].min;
      sum_max += ranges[i].max;
      count += 1.0;
    }
    if (count > 0.0) {
      running.min = RoundTo(dtype, static_cast<float>(sum_min / count));
      running.max = RoundTo(dtype, static_cast<float>(sum_max / count));
    }
    scanned[i] = running;
  }
  return scanned;
}

void ActivationQuantizer::Impl::CalibrateTensor(const ConstView& x, std::span<const int64_t> offsets, const View& out) {
  const std::vector<Range> ranges = SampleRanges(x, offsets);
  const bool per_sample = spec.scope != ActivationScope::kPerTensor;
  if (spec.scope != ActivationScope::kPerToken) {
    const std::vector<Range> scanned = Scan(ranges);
    if (!per_sample && out.data != nullptr) {
      std::vector<SampleParams> params(scanned.size());
      for (size_t i = 0; i < scanned.size(); ++i) {
        if (scanned[i].empty()) continue;
        params[i].affine = ParamsForRange(scanned[i], x.dtype, spec.format, spec.symmetric);
      }
      FakeQuantizeSamples(x, offsets, params, spec.format, out);
    }
  }
  for (const Range& range : ranges) samples += range.empty() ? 0 : 1;
  if (!per_sample || out.data == nullptr) return;
  const bool symmetric = spec.scope == ActivationScope::kPdMix || spec.symmetric;
  std::vector<SampleParams> params(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (!ranges[i].empty()) params[i].affine = ParamsForRange(ranges[i], x.dtype, spec.format, symmetric);
  }
  FakeQuantizeSamples(x, offsets, params, spec.format, out);
}

void ActivationQuantizer::Impl::CalibrateHistogram(const ConstView& x, std::span<const int64_t> offsets,
                                                   const View& out) {
  const std::vector<SampleParams> params = HistogramParams(x, offsets, spec.symmetric, &histogram);
  for (size_t i = 0; i < params.size(); ++i) {
    if (offsets[i] == offsets[i + 1]) continue;
    last = params[i].affine;
    running = {params[i].low, params[i].high};
    ++samples;
  }
  if (out.data != nullptr) FakeQuantizeSamples(x, offsets, params, spec.format, out);
}

void ActivationQuantizer::Impl::CalibrateColumns(const ConstView& x, std::span<const int64_t> offsets,
                                                 const View& out) {
  const std::vector<ColumnRanges> ranges = SampleColumnRanges(x, offsets);
  std::vector<AffineTable> tables(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (offsets[i] == offsets[i + 1]) continue;
    if (spec.format == ElementFormat::kFp8E4M3) {
      tables[i] = {ParamAxis::kColumn, x.dtype, {}, {}, 0};
      for (size_t c = 0; c < ranges[i].min.size(); ++c) {
        const Range range{ranges[i].min[c], ranges[i].max[c]};
        tables[i].scale.push_back(ParamsForRange(range, x.dtype, spec.format, true).scale);
      }
    } else {
      tables[i] =
          TableFromRanges(ranges[i].min, ranges[i].max, x.dtype, IntFormat{8, spec.symmetric}, ParamAxis::kColumn);
    }
    columns = tables[i];
    ++samples;
  }
  if (out.data != nullptr) FakeQuantizeSampleColumns(x, offsets, tables, spec.format, out);
}

ActivationQuantizer::ActivationQuantizer(const ActivationSpec& spec) : impl_(std::make_unique<Impl>()) {
  CheckActivationSpec(spec);
  impl_->spec = spec;
}
ActivationQuantizer::~ActivationQuantizer() = default;
ActivationQuantizer::ActivationQuantizer(ActivationQuantizer&&) noexcept = default;
ActivationQuantizer& ActivationQuantizer::operator=(ActivationQuantizer&&) noexcept = default;

const ActivationSpec& ActivationQuantizer::spec() const { return impl_->spec; }
int64_t ActivationQuantizer::samples() const { return impl_->samples; }
Range ActivationQuantizer::range() const { return impl_->running; }

void ActivationQuantizer::Calibrate(const ConstView& x, std::span<const int64_t> offsets, const View& out) {
  CheckOffsets(x, offsets);
  impl_->dtype = x.dtype;
  if (IsBlockScope(impl_->spec.scope)) {
    for (size_t i = 0; i + 1 < offsets.size(); ++i) impl_->samples += offsets[i] == offsets[i + 1] ? 0 : 1;
    return CopyRows(x, out);
  }
  if (impl_->spec.scope == ActivationScope::kPerChannel) return impl_->CalibrateColumns(x, offsets, out);
  if (impl_->spec.method == ActivationMethod::kHistogram) return impl_->CalibrateHistogram(x, offsets, out);
  impl_->CalibrateTensor(x, offsets, out);
}

bool ActivationQuantizer::Pool(std::span<const ActivationQuantizer* const> others) {
  MODELSLIM_CHECK(impl_->samples == 0);
  for (const ActivationQuantizer* const other : others) {
    if (other->samples() == 0) continue;
    impl_->running = Merge(impl_->running, other->range());
    impl_->samples += other->samples();
    impl_->dtype = other->impl_->dtype;
  }
  if (impl_->samples == 0) return false;
  // A histogram's clipped range is no element of the data any more, and so its parameters are not rounded to its type.
  const bool histogram = impl_->spec.method == ActivationMethod::kHistogram;
  if (histogram && impl_->dtype == DType::kBF16) impl_->dtype = DType::kF32;
  if (histogram) impl_->last = ParamsForRange(impl_->running, impl_->dtype, impl_->spec.format, impl_->spec.symmetric);
  return true;
}

std::optional<AffineTable> ActivationQuantizer::params() const {
  if (impl_->samples == 0 || IsDataFree(impl_->spec)) return std::nullopt;
  if (impl_->spec.scope == ActivationScope::kPerChannel) return impl_->columns;
  if (impl_->spec.method == ActivationMethod::kHistogram) return AffineTable::Single(impl_->last);
  return AffineTable::Single(ParamsForRange(impl_->running, impl_->dtype, impl_->spec.format, impl_->spec.symmetric));
}

}  // namespace modelslim
