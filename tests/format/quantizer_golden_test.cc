// Weights of small models, and what msModelSlim 26.1.0 (or of December 2025, "-old") made of them.
// tools/pack_quantizer_golden.py made the file.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "../quant/reference.h"
#include "format/pack.h"
#include "quant/weights/weight_quantizer.h"

namespace modelslim {
namespace {

using Module = std::map<std::string, Tensor>;  // source, weight, weight_scale, ...

Shape ParseShape(const std::string& text) {
  Shape shape;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, 'x');) shape.push_back(std::stoll(part));
  return shape;
}

std::map<std::string, Module> ReadModules(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::map<std::string, Module> modules;
  std::string key, dtype, dims;
  while (file >> key >> dtype >> dims) {
    file.get();
    Tensor tensor(ParseDType(dtype).value(), ParseShape(dims));
    file.read(static_cast<char*>(tensor.view().data), static_cast<std::streamsize>(tensor.bytes()));
    const size_t slash = key.rfind('/');
    modules[key.substr(0, slash)].emplace(key.substr(slash + 1), std::move(tensor));
  }
  return modules;
}

WeightSpec SpecOf(const std::string& text) {
  WeightSpec spec;
  std::istringstream stream(text);
  std::string format, method;
  stream >> format >> method;
  if (format == "int4") spec.format = ElementFormat::kInt4;
  if (format == "fp8") spec.format = ElementFormat::kFp8E4M3;
  if (format == "mxfp8") spec.format = ElementFormat::kMxFp8;
  if (format == "mxfp4" || format == "mxfp4-old") spec.format = ElementFormat::kMxFp4;
  if (format.starts_with("mx")) spec.scope = WeightScope::kPerBlock;
  spec.december_2025 = format == "mxfp4-old";
  if (method == "ssz") spec.method = WeightMethod::kSsz;
  if (method == "ceil_x") spec.method = WeightMethod::kCeilX;
  if (method == "fouroversix") spec.method = WeightMethod::kFourOverSix;
  if (method == "mse_round") spec.method = WeightMethod::kMseRound;
  if (method == "dualscale-64") {
    spec.scope = WeightScope::kDualScale;
    spec.method = WeightMethod::kDualScale;
    spec.dual_block_size = 64;
  }
  return spec;
}

// The codes in the form of the file.
Tensor Stored(const QuantizedWeight& weight, const ConstView& expected) {
  if (weight.format == ElementFormat::kMxFp4) {
    return expected.dtype == DType::kU8 ? PackFp4Columns(weight.codes.view()) : Fp4AsE4M3(weight.codes.view());
  }
  const bool packed = expected.rows() != weight.codes.view().rows();
  return packed ? PackInt4Rows(weight.codes.view()) : weight.codes.Clone();
}

int64_t DifferentBytes(const ConstView& a, const ConstView& b) {
  EXPECT_EQ(a.bytes(), b.bytes());
  int64_t count = 0;
  for (size_t i = 0; i < std::min(a.bytes(), b.bytes()); ++i) {
    count += static_cast<const uint8_t*>(a.data)[i] != static_cast<const uint8_t*>(b.data)[i] ? 1 : 0;
  }
  return count;
}

TEST(QuantizerGolden, WeightsOfTheReference) {
  const std::map<std::string, Module> modules =
      ReadModules(MODELSLIM_SOURCE_DIR "/tests/golden/quantizers/weights.bin");
  ASSERT_GE(modules.size(), 14u);
  for (const auto& [name, module] : modules) {
    const Tensor& text = module.at("spec");
    const std::string spec_text(reinterpret_cast<const char*>(text.as<uint8_t>()), text.bytes());
    SCOPED_TRACE(name + " " + spec_text);
    const WeightSpec spec = SpecOf(spec_text);
    const QuantizedWeight found = QuantizeWeight(module.at("source").view(), spec);
    const Tensor& weight = module.at("weight");
    EXPECT_EQ(DifferentBytes(Stored(found, weight.view()).view(), weight.view()), 0);
    const Tensor& scale = module.at("weight_scale");
    const Tensor own = found.scale.dtype() == DType::kU8 ? found.scale.Clone() : WeightScaleColumn(found.scale.view());
    if (spec.method == WeightMethod::kSsz && found.source_dtype == DType::kF32) {
      for (int64_t i = 0; i < own.size(); ++i) EXPECT_FLOAT_EQ(own.as<float>()[i], scale.as<float>()[i]);
    } else {
      EXPECT_EQ(DifferentBytes(own.view(), scale.view()), 0);
    }
    if (module.contains("weight_dual_scale")) {
      EXPECT_EQ(DifferentBytes(found.dual_scale.view(), module.at("weight_dual_scale").view()), 0);
    }
  }
}

}  // namespace
}  // namespace modelslim
