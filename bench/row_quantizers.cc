// Row quantizers against the memory: bytes read and written per second by one thread, and the ratio to a plain copy of
// as many bytes. Weights are larger than the caches.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "quant/numbers/mx.h"
#include "quant/weights/row_kernels.h"
#include "ratio.h"
#include "thread_seconds.h"

namespace modelslim {
namespace {

constexpr int64_t kBatch = 64;  // rows per call
constexpr int kRepeats = 7;

struct Spread {
  double best, median;
};

Spread Rate(double bytes, const std::function<void()>& work) {
  std::vector<double> rates;
  work();  // touches the pages
  for (int i = 0; i < kRepeats; ++i) rates.push_back(bytes / SecondsOf(work) / 1e9);
  std::sort(rates.begin(), rates.end());
  return {rates.back(), rates[rates.size() / 2]};
}

Tensor Weights(DType dtype, int64_t rows, int64_t cols) {
  Tensor w(dtype, {rows, cols});
  uint64_t state = 88172645463325252u;
  for (int64_t i = 0; i < w.size(); ++i) {
    float sum = 0.0f;  // nearly normal
    for (int k = 0; k < 4; ++k) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      sum += static_cast<float>(state >> 40) * 0x1p-24f - 0.5f;
    }
    const float value = 0.03f * sum;
    if (dtype == DType::kBF16)
      w.as<BF16>()[i] = ToBF16(value);
    else
      w.as<float>()[i] = value;
  }
  return w;
}

struct Kernel {
  const char* name;
  double written_per_element;                                       // codes, without scales
  std::function<void(const ConstView&, uint8_t*, std::byte*)> run;  // rows, codes, scales
};

void Mx(const ConstView& rows, bool fp4, uint8_t* codes, uint8_t* exponents) {
  QuantizeRowsMx(rows, MxRule{fp4}, MxMinMaxTable(rows.dtype, fp4, false), codes, exponents);
}

void Measure(DType dtype, int64_t cols) {
  const int64_t size = static_cast<int64_t>(DTypeSize(dtype)),
                rows = (int64_t{256} << 20) / (cols * size) / kBatch * kBatch;
  const Tensor w = Weights(dtype, rows, cols);
  Tensor codes(DType::kU8, {rows, cols}), copy(dtype, w.shape());
  std::vector<float> scales(rows * (cols / kMxBlock));
  const double read = static_cast<double>(w.bytes());
  const Spread plain = Rate(2.0 * read, [&] { std::memcpy(copy.view().data, w.view().data, w.bytes()); });
  std::printf("%-6s %-8s %7.2f GB/s (median %.2f)\n", std::string(DTypeName(dtype)).c_str(), "copy", plain.best,
              plain.median);
  const std::vector<Kernel> kernels = {
      {"int8", 1.0,
       [](const ConstView& x, uint8_t* q, std::byte* s) {
         QuantizeRowsMinMax(x, 8, reinterpret_cast<int8_t*>(q), reinterpret_cast<float*>(s));
       }},
      {"fp8", 1.0,
       [](const ConstView& x, uint8_t* q, std::byte* s) { QuantizeRowsFp8(x, q, reinterpret_cast<float*>(s)); }},
      {"mxfp8", 1.0 + 1.0 / 32,
       [](const ConstView& x, uint8_t* q, std::byte* s) { Mx(x, false, q, reinterpret_cast<uint8_t*>(s)); }},
      {"mxfp4", 0.5 + 1.0 / 32,
       [](const ConstView& x, uint8_t* q, std::byte* s) { Mx(x, true, q, reinterpret_cast<uint8_t*>(s)); }},
  };
  for (const Kernel& kernel : kernels) {
    const double bytes = read + kernel.written_per_element * static_cast<double>(w.size());
    const Spread rate = Rate(bytes, [&] {
      for (int64_t row = 0; row < rows; row += kBatch) {
        kernel.run(w.view().Rows(row, row + kBatch), codes.as<uint8_t>() + row * cols,
                   reinterpret_cast<std::byte*>(scales.data()));
      }
    });
    std::printf("%-6s %-8s %7.2f GB/s (median %.2f), ratio to copy %.2f (median %.2f)\n",
                std::string(DTypeName(dtype)).c_str(), kernel.name, rate.best, rate.median, rate.best / plain.best,
                rate.median / plain.median);
    PrintRatio("rows of " + std::string(DTypeName(dtype)) + " to " + kernel.name + ": bytes a second / memcpy's",
               rate.best / plain.best, "at least 0.6");
  }
}

}  // namespace
}  // namespace modelslim

// bench_row_quantizers [COLUMNS]
int main(int argc, char** argv) {
  const int64_t cols = argc > 1 ? std::max<int64_t>(32, std::atoll(argv[1]) / 32 * 32) : 4096;
  modelslim::Measure(modelslim::DType::kBF16, cols);
  modelslim::Measure(modelslim::DType::kF32, cols);
}
