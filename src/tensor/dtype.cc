#include "tensor/dtype.h"

#include <array>

namespace modelslim {
namespace {

struct Row {
  std::string_view name;
  size_t size;
  bool is_float;
};

constexpr std::array<Row, kDTypeCount> kTable = {{{"BOOL", 1, false},
                                                  {"U8", 1, false},
                                                  {"I8", 1, false},
                                                  {"F8_E5M2", 1, true},
                                                  {"F8_E4M3", 1, true},
                                                  {"F8_E8M0", 1, true},
                                                  {"I16", 2, false},
                                                  {"U16", 2, false},
                                                  {"F16", 2, true},
                                                  {"BF16", 2, true},
                                                  {"I32", 4, false},
                                                  {"U32", 4, false},
                                                  {"F32", 4, true},
                                                  {"C64", 8, false},
                                                  {"F64", 8, true},
                                                  {"I64", 8, false},
                                                  {"U64", 8, false}}};

}  // namespace

size_t DTypeSize(DType dtype) { return kTable[static_cast<size_t>(dtype)].size; }
std::string_view DTypeName(DType dtype) { return kTable[static_cast<size_t>(dtype)].name; }
bool IsFloat(DType dtype) { return kTable[static_cast<size_t>(dtype)].is_float; }

std::optional<DType> ParseDType(std::string_view name) {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace modelslim
