#include "tensor/quant_mode.h"

#include <array>

namespace modelslim {
namespace {

struct Row {
  std::string_view name;
  double weight_bits;  // 0: as the source
};

constexpr std::array<Row, kQuantModeCount> kTable = {{{"FLOAT", 0},
                                                      {"W16A16S", 0},
                                                      {"W8A16", 8},
                                                      {"W8A8_DYNAMIC", 8},
                                                      {"W8A8_MIX", 8},
                                                      {"W8A8", 8},
                                                      {"WFP8AFP8_DYNAMIC", 8},
                                                      {"W8A8_MXFP8", 8},
                                                      {"W4A8_MXFP", 4},
                                                      {"W4A4_DYNAMIC", 8},
                                                      {"W4A4_MXFP4", 4},
                                                      {"W4A4_MXFP4_DUALSCALE", 4},
                                                      {"W4A8_DYNAMIC", 4},
                                                      {"W8A8S", 8},
                                                      {"W4A16", 4}}};

}  // namespace

std::string_view QuantModeName(QuantMode mode) { return kTable[static_cast<size_t>(mode)].name; }

std::optional<QuantMode> QuantModeOf(std::string_view name) {
  if (name == kFp8TypeOfVllm) return QuantMode::kWFP8AFP8Dynamic;
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].name == name) return static_cast<QuantMode>(i);
  }
  return std::nullopt;
}

double WeightBits(QuantMode mode, double float_bits) {
  const double bits = kTable[static_cast<size_t>(mode)].weight_bits;
  return bits == 0 ? float_bits : bits;
}

}  // namespace modelslim
