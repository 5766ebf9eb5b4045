// Types of the description by kind of layer, in the order of the servers: vLLM-Ascend 0.23.0.post1 and main, SGLang,
// MindIE-LLM.
#include "servers/check.h"

namespace modelslim {
namespace {

constexpr Verdict kTakes = {};
constexpr Verdict kUnknownType = {Outcome::kRefused, "it does not know the type"};
// SGLang and MindIE-LLM warn in their logs and go on; what becomes of the scales then depends on the model class.
constexpr Verdict kAsFloat = {Outcome::kWrong, "it does not know the type and takes the codes for floats"};
constexpr Verdict kNoExperts = {Outcome::kRefused, "it has this type for other layers, not for experts"};
// It warns of unknown types in other layers, and stops at those of experts, of which it knows six.
constexpr Verdict kNotOfSglang = {Outcome::kRefused, "it has no experts of this type"};
constexpr Verdict kExpertsOnly = {Outcome::kRefused, "it has this type for experts only"};
constexpr Verdict kOneScale = {Outcome::kRefused, "it has room for one scale in a row"};

constexpr Verdicts kAll = {kTakes, kTakes, kTakes, kTakes};
constexpr Verdicts kNotMindie = {kTakes, kTakes, kTakes, kAsFloat};
constexpr Verdicts kAscendOnly = {kTakes, kTakes, kAsFloat, kAsFloat};
constexpr Verdicts kNone = {kUnknownType, kUnknownType, kAsFloat, kAsFloat};
constexpr Verdicts kAscendExperts = {kTakes, kTakes, kNotOfSglang, kAsFloat};
constexpr Verdicts kNoneOfExperts = {kUnknownType, kUnknownType, kNotOfSglang, kAsFloat};
constexpr Verdicts kNotForExperts = {kNoExperts, kNoExperts, kNoExperts, kAsFloat};

constexpr std::string_view kUseDynamic = "use W8A8_DYNAMIC for these layers (int8 weights, int8 per_token inputs)";
constexpr std::string_view kDynamicExperts =
    "experts take W8A8_DYNAMIC or W4A8_DYNAMIC (int8 or int4 weights, int8 per_token inputs)";
constexpr std::string_view kUsePerChannel = "use per_channel scales";
constexpr std::string_view kForAscend =
    "leave it to vLLM-Ascend, or use W8A8_DYNAMIC (int8 weights, int8 per_token inputs)";

constexpr TypeRow kRows[] = {
    {"FLOAT",
     false,
     kAll,
     {kTakes, kTakes, kNotOfSglang, kTakes},
     "quantize the experts (W8A8_DYNAMIC), or leave the output to vLLM-Ascend"},
    {"W8A8_DYNAMIC", false, kAll, kAll, ""},
    {"W8A8", false, kAll, kNotForExperts, kDynamicExperts},
    {"W8A8_MIX",
     false,
     {kTakes, kTakes, kAsFloat, kTakes},
     {{{Outcome::kWrong, "nothing fills its input_offset"}, kNoExperts, kNoExperts, kAsFloat}},
     kForAscend},
    {"W8A8_MXFP8", false, kAll, kNotMindie, kForAscend},
    {"W4A8_MXFP", false, kNotMindie, kNotMindie, "leave it to vLLM-Ascend and SGLang"},
    {"W4A4_MXFP4", false, kNotMindie, kNotMindie, "leave it to vLLM-Ascend and SGLang"},
    {"W4A4_MXFP4_DUALSCALE",
     false,
     {kUnknownType, kUnknownType, {Outcome::kRefused, "it does not know the type and stops at its shapes"}, kAsFloat},
     kNoneOfExperts,
     "use W4A4_MXFP4, which has no second scale"},
    {"W4A8_DYNAMIC",
     false,
     {{{Outcome::kRefused, "it expects scales in two levels and divides by a group size of 0"},
       kExpertsOnly,
       kExpertsOnly,
       kAsFloat}},
     kAll,
     "keep int4 for experts (include: [\"*.experts.*\"]), and give the others int8 weights"},
    {"W4A4_DYNAMIC", false, kNotMindie, {kNoExperts, kNoExperts, kTakes, kAsFloat}, kUseDynamic},
    {"W8A16", false, kAscendOnly, kNotForExperts, kForAscend},
    {"W8A16", true, {kOneScale, kOneScale, kAsFloat, kAsFloat}, kNotForExperts, kUsePerChannel},
    {"W8A8_DYNAMIC",
     true,
     {kOneScale, kOneScale, kOneScale, kOneScale},
     {kOneScale, kOneScale, kOneScale, kOneScale},
     kUsePerChannel},
    {"W4A4_DYNAMIC", true, {kOneScale, kOneScale, kOneScale, kAsFloat}, kNotForExperts, kUsePerChannel},
    {"W8A8FP8_DYNAMIC", false, kAscendOnly, kAscendExperts, kForAscend},
    {"WFP8AFP8_DYNAMIC", false, kNone, kNoneOfExperts,
     "give --fp8-type W8A8FP8_DYNAMIC, the name under which vLLM-Ascend knows this type"},
    // Float with zeros.
    {"W16A16S",
     false,
     {kUnknownType, kUnknownType, kTakes, kTakes},
     {kUnknownType, kUnknownType, kNotOfSglang, kTakes},
     "leave it to SGLang and MindIE-LLM, which read these layers as the floats that they are"},
};
constexpr TypeRow kOthers = {"", false, kNone, kNoneOfExperts, kUseDynamic};

}  // namespace

std::span<const TypeRow> TypeRows() { return kRows; }

const TypeRow& TypeRowOf(std::string_view type, bool grouped) {
  for (const TypeRow& row : kRows) {
    if (row.type == type && row.grouped == grouped) return row;
  }
  return kOthers;
}

}  // namespace modelslim
