#include "quant/smoothing/smooth_apply.h"

#include <algorithm>
#include <string>

#include "base/parallel.h"
#include "quant/rotation/rotation_kernels.h"

namespace modelslim {
namespace {

constexpr int64_t kElementsAtOnce = 1 << 16;

[[noreturn]] void Refuse(const std::string& why) { throw Error(ErrorCode::kMisuse, "smoothing: " + why); }

// work(row index, f32 copy of the row), then back, rounded.
template <class Work>
void OverRows(const View& w, int64_t rows, int64_t cols, const Work& work) {
  if (rows == 0 || cols == 0) return;
  WithModelDType(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const data = w.as<T>();
    ParallelRanges(rows, std::max<int64_t>(1, kElementsAtOnce / cols), [&](int64_t begin, int64_t end) {
      std::vector<float> row(cols);
      for (int64_t r = begin; r < end; ++r) {
        rotation_kernels::ToF32(data + r * cols, row.data(), cols);
        work(r, row.data());
        rotation_kernels::FromF32(row.data(), data + r * cols, cols);
      }
    });
  });
}

void CheckLinear(const LinearParams& linear, const char* role) {
  if (linear.weight.shape.size() != 2) Refuse(std::string(role) + " has weight " + ShapeText(linear.weight.shape));
  if (linear.bias.data != nullptr && linear.bias.size() != linear.weight.rows()) {
    Refuse(std::string(role) + " has bias " + ShapeText(linear.bias.shape) + " beside weight " +
           ShapeText(linear.weight.shape));
  }
}

void CheckSize(int64_t found, int64_t expected, const char* what) {
  if (found != expected)
    Refuse(std::string(what) + " has " + std::to_string(found) + ", the scale " + std::to_string(expected));
}

// delta[o] = sum over c of shift[c] W[o, c] in f64, rounded to W's type; then b := b + delta.
void AddShift(const View& weight, const View& bias, const Channels& shift) {
  std::vector<float> delta(weight.rows());
  OverRows({weight.data, weight.dtype, weight.shape}, weight.rows(), weight.cols(), [&](int64_t r, const float* row) {
    double sum = 0;
    for (int64_t c = 0; c < weight.cols(); ++c) sum += static_cast<double>(shift.values[c]) * row[c];
    delta[r] = RoundTo(weight.dtype, static_cast<float>(sum));
  });
  OverRows(bias, 1, bias.size(), [&](int64_t, float* b) {
    for (int64_t r = 0; r < bias.size(); ++r) b[r] += delta[r];
  });
}

void SmoothNorm(const NormParams& norm, const Channels& scale, const Channels* shift,
                const SmoothApplyOptions& options) {
  const Channels inv = Reciprocal(scale);
  const bool has_bias = norm.bias.data != nullptr;
  if (has_bias && (shift != nullptr || options.divide_producer_bias)) ScaleRows(norm.bias, inv);
  if (has_bias && shift != nullptr && options.divide_shifted_norm_bias_twice) ScaleRows(norm.bias, inv);
  ScaleRows(norm.weight, inv);
  if (shift == nullptr) return;
  const DType wide = Promote(shift->dtype, inv.dtype);
  OverRows(norm.bias, 1, norm.bias.size(), [&](int64_t, float* beta) {
    for (int64_t c = 0; c < inv.size(); ++c) {
      beta[c] += RoundTo(norm.weight.dtype, RoundTo(wide, -shift->values[c] * inv.values[c]));
    }
  });
}

}  // namespace

Channels Reciprocal(const Channels& scale) {
  Channels inv = scale;
  for (float& v : inv.values) v = RoundTo(scale.dtype, 1.0f / v);
  return inv;
}

void ScaleColumns(const View& w, const Channels& scale) {
  CheckSize(w.cols(), scale.size(), "a weight's columns");
  OverRows(w, w.rows(), w.cols(),
           [&](int64_t, float* row) { rotation_kernels::ScaleUnits(row, scale.values.data(), scale.size(), 1); });
}

void ScaleRows(const View& w, const Channels& scale) {
  const bool vector = w.shape.size() == 1;
  const int64_t rows = vector ? w.size() : w.rows(), cols = vector ? 1 : w.cols();
  CheckSize(rows, scale.size(), "rows");
  if (vector) {
    return OverRows(w, 1, rows,
                    [&](int64_t, float* v) { rotation_kernels::ScaleUnits(v, scale.values.data(), rows, 1); });
  }
  OverRows(w, rows, cols, [&](int64_t r, float* row) { rotation_kernels::ScaleUnits(row, &scale.values[r], 1, cols); });
}

RowRanges FusedQkvValueRows(int64_t in_features, int64_t out_features, const HeadLayout& layout) {
  CheckHeadLayout(layout, in_features, "fused qkv smoothing");
  const int64_t d = in_features / layout.heads, q = layout.heads * d, kv = layout.kv_heads * d;
  if (out_features != q + 2 * kv) {
    Refuse("a fused qkv projection has " + std::to_string(out_features) + " rows, expected " +
           std::to_string(q + 2 * kv));
  }
  return {{q + kv, q + 2 * kv}};
}

RowRanges FusedKvValueRows(int64_t out_features, int64_t heads, int64_t nope_dim, int64_t v_dim) {
  if (heads < 1 || nope_dim < 0 || v_dim < 1 || out_features % heads != 0 || out_features / heads != nope_dim + v_dim) {
    Refuse("a fused kv projection has " + std::to_string(out_features) + " rows, expected " + std::to_string(heads) +
           " heads of " + std::to_string(nope_dim) + " + " + std::to_string(v_dim));
  }
  RowRanges ranges;
  const int64_t head = nope_dim + v_dim;
  for (int64_t h = 0; h < heads; ++h) ranges.emplace_back(h * head + nope_dim, (h + 1) * head);
  return ranges;
}

std::vector<Tensor> ApplyNormLinear(const NormParams& norm, std::span<const LinearParams> consumers,
                                    const Channels& scale, const Channels* shift, const SmoothApplyOptions& options) {
  CheckSize(norm.weight.size(), scale.size(), "a norm");
  if (norm.bias.data != nullptr) CheckSize(norm.bias.size(), scale.size(), "a norm's bias");
  if (shift != nullptr) {
    CheckSize(shift->size(), scale.size(), "the shift");
    if (norm.bias.data == nullptr) Refuse("a norm without a bias cannot take a shift");
  }
  for (const LinearParams& consumer : consumers) {
    CheckLinear(consumer, "a consumer");
    CheckSize(consumer.weight.cols(), scale.size(), "a consumer's columns");
  }
  std::vector<Tensor> created(consumers.size());
  for (size_t i = 0; i < consumers.size(); ++i) {
    const LinearParams& consumer = consumers[i];
    if (shift != nullptr) {
      View bias = consumer.bias;
      if (bias.data == nullptr) {
        created[i] = Tensor::Zeros(consumer.weight.dtype, {consumer.weight.rows()});
        bias = created[i].view();
      }
      AddShift(consumer.weight, bias, *shift);
    }
    ScaleColumns(consumer.weight, scale);
  }
  SmoothNorm(norm, scale, shift, options);
  return created;
}

void ApplyLinearLinear(const LinearParams& producer, const LinearParams& consumer, const Channels& scale,
                       const SmoothApplyOptions& options) {
  ApplyOv(producer, consumer, {scale, scale}, std::nullopt, options);
}

void ApplyOv(const LinearParams& value, const LinearParams& output, const OvScale& scale,
             const std::optional<RowRanges>& value_rows, const SmoothApplyOptions& options) {
  CheckLinear(value, "the producer");
  CheckLinear(output, "the consumer");
  CheckSize(output.weight.cols(), scale.output.size(), "the consumer's columns");
  Channels inv = Reciprocal(scale.value);
  if (value_rows) {
    Channels all{inv.dtype, std::vector<float>(value.weight.rows(), 1.0f)};
    int64_t next = 0;
    for (const auto& [begin, end] : *value_rows) {
      if (begin < 0 || end < begin || end > all.size() || next + end - begin > inv.size())
        Refuse("value rows do not fit");
      std::copy_n(inv.values.begin() + next, end - begin, all.values.begin() + begin);
      next += end - begin;
    }
    CheckSize(next, inv.size(), "value rows");
    inv = std::move(all);
  }
  CheckSize(value.weight.rows(), inv.size(), "the producer's rows");
  ScaleColumns(output.weight, scale.output);
  ScaleRows(value.weight, inv);
  if (value.bias.data != nullptr && options.divide_producer_bias) {
    ScaleRows({value.bias.data, value.bias.dtype, {value.bias.size()}}, inv);
  }
}

}  // namespace modelslim
