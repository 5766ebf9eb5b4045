// The names of the forms between which modelslim_convert converts.
#pragma once

#include <optional>
#include <string_view>

#include "config/recipe/convert.h"

namespace modelslim {

struct FormName {
  std::string_view name;
  std::optional<ConvertForm> form;  // nothing: known to the original, which cannot make it either
};
inline constexpr FormName kForms[] = {{"FLOAT", ConvertForm::kFloat},
                                      {"FP8_BLOCK", ConvertForm::kFp8Block},
                                      {"W8A8_MXFP8", ConvertForm::kMxfp8},
                                      {"INT4_PACKED", ConvertForm::kInt4Packed},
                                      {"W4A4_MXFP4", std::nullopt},
                                      {"W4A8_MXFP4", std::nullopt},
                                      {"NVFP4_MODELOPT", std::nullopt},
                                      {"HIFP4", std::nullopt},
                                      {"UNKNOWN", std::nullopt}};

}  // namespace modelslim
