// The closed word lists of recipes. The texts are what recipes contain, exactly (case-sensitive).
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "base/terms.h"

namespace modelslim {

enum class ApiVersion { kV0, kV1, kVlm, kSd };
enum class RunnerKind { kAuto, kModelWise, kLayerWise, kDpLayerWise };
enum class QDType { kFloat, kInt8, kInt4, kMxfp8, kMxfp4, kFp8E4M3, kPlaceholder };
enum class QScope {
  kPerTensor,
  kPerChannel,
  kPerGroup,
  kPerBlock,
  kPerToken,
  kPdMix,
  kPerHead,
  kDualScale,
  kPlaceholder
};
enum class ScaleDType { kFloat16, kFloat32, kBFloat16 };
enum class RotationQuantDType { kInt4, kInt8 };
enum class AntiMethod { kM1, kM2, kM3, kM4, kM5, kM6 };
enum class V0WeightMethod { kMinMax, kGptq, kHqq, kNf };
enum class V0MixType { kW8A8, kW8A16, kW8A8Dynamic, kW4A8Dynamic, kFloat };
enum class CaptureMode { kArgs };
enum class LoadMode { kLoad, kOffload };

// EnumNames<E>::kList pairs every value of E with its text in recipes.
template <class E>
struct EnumNames;

template <class E>
std::string_view EnumName(E value) {
  for (const auto& [each, name] : EnumNames<E>::kList) {
    if (each == value) return name;
  }
  return "?";
}

#define MODELSLIM_ENUM_NAMES(E, COUNT, ...)                                                  \
  template <>                                                                                \
  struct EnumNames<E> {                                                                      \
    static constexpr std::array<std::pair<E, std::string_view>, COUNT> kList{{__VA_ARGS__}}; \
  }

MODELSLIM_ENUM_NAMES(ApiVersion, 4, {ApiVersion::kV1, "modelslim_v1"}, {ApiVersion::kV0, "modelslim_v0"},
                     {ApiVersion::kVlm, "multimodal_vlm_modelslim_v1"},
                     {ApiVersion::kSd, "multimodal_sd_modelslim_v1"});
MODELSLIM_ENUM_NAMES(RunnerKind, 4, {RunnerKind::kAuto, "auto"}, {RunnerKind::kModelWise, "model_wise"},
                     {RunnerKind::kLayerWise, "layer_wise"}, {RunnerKind::kDpLayerWise, "dp_layer_wise"});
MODELSLIM_ENUM_NAMES(QDType, 7, {QDType::kFloat, "float"}, {QDType::kInt8, "int8"}, {QDType::kInt4, "int4"},
                     {QDType::kMxfp8, "mxfp8"}, {QDType::kMxfp4, "mxfp4"}, {QDType::kFp8E4M3, "fp8_e4m3"},
                     {QDType::kPlaceholder, "placeholder"});
MODELSLIM_ENUM_NAMES(QScope, 9, {QScope::kPerTensor, "per_tensor"}, {QScope::kPerChannel, "per_channel"},
                     {QScope::kPerGroup, "per_group"}, {QScope::kPerBlock, "per_block"},
                     {QScope::kPerToken, "per_token"}, {QScope::kPdMix, "pd_mix"}, {QScope::kPerHead, "per_head"},
                     {QScope::kDualScale, "dual_scale"}, {QScope::kPlaceholder, "placeholder"});
MODELSLIM_ENUM_NAMES(ScaleDType, 3, {ScaleDType::kFloat16, "float16"}, {ScaleDType::kFloat32, "float32"},
                     {ScaleDType::kBFloat16, "bfloat16"});
MODELSLIM_ENUM_NAMES(Aggregation, 2, {Aggregation::kMax, "max"}, {Aggregation::kMean, "mean"});
MODELSLIM_ENUM_NAMES(SubgraphType, 4, {SubgraphType::kNormLinear, "norm-linear"},
                     {SubgraphType::kLinearLinear, "linear-linear"}, {SubgraphType::kOv, "ov"},
                     {SubgraphType::kUpDown, "up-down"});
MODELSLIM_ENUM_NAMES(RotationQuantDType, 2, {RotationQuantDType::kInt4, "int4"}, {RotationQuantDType::kInt8, "int8"});
MODELSLIM_ENUM_NAMES(AntiMethod, 6, {AntiMethod::kM1, "m1"}, {AntiMethod::kM2, "m2"}, {AntiMethod::kM3, "m3"},
                     {AntiMethod::kM4, "m4"}, {AntiMethod::kM5, "m5"}, {AntiMethod::kM6, "m6"});
MODELSLIM_ENUM_NAMES(V0WeightMethod, 4, {V0WeightMethod::kMinMax, "MinMax"}, {V0WeightMethod::kGptq, "GPTQ"},
                     {V0WeightMethod::kHqq, "HQQ"}, {V0WeightMethod::kNf, "NF"});
MODELSLIM_ENUM_NAMES(V0MixType, 5, {V0MixType::kW8A8, "w8a8"}, {V0MixType::kW8A16, "w8a16"},
                     {V0MixType::kW8A8Dynamic, "w8a8_dynamic"}, {V0MixType::kW4A8Dynamic, "w4a8_dynamic"},
                     {V0MixType::kFloat, "float"});
MODELSLIM_ENUM_NAMES(CaptureMode, 1, {CaptureMode::kArgs, "args"});
MODELSLIM_ENUM_NAMES(LoadMode, 2, {LoadMode::kLoad, "load"}, {LoadMode::kOffload, "offload"});
#undef MODELSLIM_ENUM_NAMES

}  // namespace modelslim
