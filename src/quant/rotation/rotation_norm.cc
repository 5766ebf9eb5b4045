#include "quant/rotation/rotation_norm.h"

#include <algorithm>
#include <string>

#include "base/parallel.h"
#include "quant/rotation/rotation_kernels.h"

namespace modelslim {
namespace {

constexpr int64_t kElementsAtOnce = 1 << 16;

[[noreturn]] void Refuse(const std::string& why) { throw Error(ErrorCode::kMisuse, "fusing a norm: " + why); }

std::vector<float> Concatenated(std::span<const NormParams> norms, View NormParams::*part) {
  std::vector<float> all;
  for (const NormParams& norm : norms) {
    for (int64_t i = 0; i < (norm.*part).size(); ++i) all.push_back(ElementAsF32(norm.*part, i));
  }
  return all;
}

void Fill(const View& tensor, float value) {
  WithModelDType(tensor.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::fill_n(tensor.as<T>(), tensor.size(), From<T>(value));
  });
}

bool FoldsBias(std::span<const NormParams> norms, const FuseNormOptions& options) {
  const bool all = std::ranges::all_of(norms, [](const NormParams& norm) { return norm.bias.data != nullptr; });
  return all && (norms.size() > 1 || options.fold_single_bias);
}

// W[:, c] *= gamma[c]; with `beta`, product[r] = sum over c of W_before[r, c] beta[c], in f64.
template <class T>
void ScaleAndMultiply(const View& weight, const std::vector<float>& gamma, const std::vector<float>* beta,
                      std::vector<double>* product) {
  const int64_t cols = weight.cols();
  T* const data = weight.as<T>();
  ParallelRanges(weight.rows(), std::max<int64_t>(1, kElementsAtOnce / cols), [&](int64_t begin, int64_t end) {
    std::vector<float> row(cols);
    for (int64_t r = begin; r < end; ++r) {
      rotation_kernels::ToF32(data + r * cols, row.data(), cols);
      if (beta != nullptr) {
        double sum = 0;
        for (int64_t c = 0; c < cols; ++c) sum += static_cast<double>(row[c]) * (*beta)[c];
        (*product)[r] = sum;
      }
      rotation_kernels::ScaleUnits(row.data(), gamma.data(), cols, 1);
      rotation_kernels::FromF32(row.data(), data + r * cols, cols);
    }
  });
}

void CheckShapes(std::span<const NormParams> norms, std::span<const LinearParams> linears) {
  int64_t channels = 0;
  for (const NormParams& norm : norms) {
    if (norm.weight.shape.size() != 1)
      Refuse("its weight has shape " + ShapeText(norm.weight.shape) + ", expected [C]");
    if (norm.bias.data != nullptr && norm.bias.size() != norm.weight.size()) {
      Refuse("its bias has shape " + ShapeText(norm.bias.shape) + " beside a weight of " +
             ShapeText(norm.weight.shape));
    }
    channels += norm.weight.size();
  }
  for (const LinearParams& linear : linears) {
    if (linear.weight.shape.size() != 2 || linear.weight.cols() != channels) {
      Refuse("a linear has weight " + ShapeText(linear.weight.shape) + ", expected [out, " + std::to_string(channels) +
             "]");
    }
    if (linear.bias.data != nullptr && linear.bias.size() != linear.weight.rows()) {
      Refuse("a linear has bias " + ShapeText(linear.bias.shape) + " beside a weight of " +
             ShapeText(linear.weight.shape));
    }
  }
}

}  // namespace

std::vector<Tensor> FuseNorm(std::span<const NormParams> norms, std::span<const LinearParams> linears,
                             const FuseNormOptions& options) {
  CheckShapes(norms, linears);
  const std::vector<float> gamma = Concatenated(norms, &NormParams::weight);
  std::vector<float> beta;
  if (FoldsBias(norms, options)) beta = Concatenated(norms, &NormParams::bias);
  // A single norm's bias of zeros, as the symmetric smoothers leave behind, folds to nothing: no new biases for it.
  if (norms.size() == 1 && std::ranges::all_of(beta, [](float b) { return b == 0.0f; })) beta.clear();
  std::vector<Tensor> created(linears.size());
  for (size_t l = 0; l < linears.size(); ++l) {
    const View& weight = linears[l].weight;
    std::vector<double> product(beta.empty() ? 0 : weight.rows());
    WithModelDType(weight.dtype, [&](auto tag) {
      ScaleAndMultiply<decltype(tag)>(weight, gamma, beta.empty() ? nullptr : &beta, &product);
    });
    if (beta.empty()) continue;
    View bias = linears[l].bias;
    if (bias.data == nullptr) {
      created[l] = Tensor::Zeros(weight.dtype, {weight.rows()});
      bias = created[l].view();
    }
    for (int64_t r = 0; r < bias.size(); ++r) {
      const float sum = static_cast<float>(ElementAsF32(bias, r) + product[r]);
      WithModelDType(bias.dtype, [&](auto tag) { bias.as<decltype(tag)>()[r] = From<decltype(tag)>(sum); });
    }
  }
  for (const NormParams& norm : norms) {
    Fill(norm.weight, 1.0f);
    if (norm.bias.data != nullptr) Fill(norm.bias, 0.0f);
  }
  return created;
}

}  // namespace modelslim
