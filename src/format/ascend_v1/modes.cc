#include "format/ascend_v1/modes.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "format/ascend_v1/mode_parts.h"
#include "format/ascend_v1/v0_linears.h"
#include "format/pack.h"
#include "quant/numbers/mx.h"

namespace modelslim::ascend_v1 {
namespace {

int64_t Blocks(const PlannedLinear& linear) { return MxBlocks(linear.in); }

void PlanFloat(LinearPlanner& p) { p.Float(); }

void PlanStatic(LinearPlanner& p) {
  p.Static();
  p.Bias();
}
void WriteStatic(LinearWriter& w) {
  w.StaticAndCodes();
  w.Bias();
}

void PlanMix(LinearPlanner& p) {
  p.Static();
  p.WeightScales();
  p.Bias();
}
void WriteMix(LinearWriter& w) {
  w.StaticAndCodes();
  w.WeightScales();
  w.Bias();
}

void PlanInt8(LinearPlanner& p) {
  p.Add("weight", DType::kI8, {p.linear().out, p.linear().in});
  p.WeightScales();
  p.Bias();
}
void WriteCodes(LinearWriter& w) {
  w.WeightScales();
  w.Codes();
  w.Bias();
}

void PlanInt4Pairs(LinearPlanner& p) {
  const PlannedLinear& linear = p.linear();
  p.Add("weight", DType::kI8, {linear.out / 2, linear.in});
  p.WeightScales();
  p.Add("scale_bias", DType::kF32, {linear.out, ScaleBiasColumns(ScaleBiasShapeOf(linear.name), linear.in)});
  p.Bias();
}
void WriteInt4Pairs(LinearWriter& w) {
  w.Int4RowPairs();
  w.Bias();
}

void PlanFp8(LinearPlanner& p) {
  p.Add("weight", DType::kF8E4M3, {p.linear().out, p.linear().in});
  p.WeightScales();
  p.Bias();
}

// December 2025 wrote MX linears without their bias.
void PlanMxFp8(LinearPlanner& p) {
  p.Add("weight", DType::kF8E4M3, {p.linear().out, p.linear().in});
  p.Add("weight_scale", DType::kU8, {p.linear().out, Blocks(p.linear())});
  if (!p.options().december_2025) p.Bias();
}
void WriteMxFp8(LinearWriter& w) {
  w.MxFp8();
  if (!w.options().december_2025) w.Bias();
}

void PlanMxFp4(LinearPlanner& p) {
  const PlannedLinear& linear = p.linear();
  if (p.options().december_2025) {
    p.Add("weight", DType::kF8E4M3, {linear.out, linear.in});
  } else {
    p.Add("weight", DType::kU8, {linear.out, linear.in / 2});
  }
  p.Add("weight_scale", DType::kU8, {linear.out, Blocks(linear)});
  if (!p.options().december_2025) p.Bias();
}
void WriteMxFp4(LinearWriter& w) {
  w.MxFp4();
  if (!w.options().december_2025) w.Bias();
}

void PlanMxFp4Dual(LinearPlanner& p) {
  const PlannedLinear& linear = p.linear();
  p.Add("weight", DType::kU8, {linear.out, linear.in / 2});
  p.Add("weight_scale", DType::kU8, {linear.out, Blocks(linear)});
  p.Add("weight_dual_scale", DType::kF32, {linear.out, linear.in / linear.group_size, 1});
  p.Bias(/*own_type=*/true);
}
void WriteMxFp4Dual(LinearWriter& w) {
  w.MxFp4();
  w.Bias();
}

using Input = InputRule::Kind;
constexpr InputRule kStaticInt8{Input::kStatic, ElementFormat::kInt8},
    kMixInt8{Input::kPrefillPerToken, ElementFormat::kInt8}, kTokenInt8{Input::kPerToken, ElementFormat::kInt8},
    kTokenInt4{Input::kPerToken, ElementFormat::kInt4}, kTokenFp8{Input::kPerToken, ElementFormat::kFp8E4M3},
    kMx8{Input::kMx, ElementFormat::kMxFp8}, kMx4{Input::kMx, ElementFormat::kMxFp4},
    kDualMx4{Input::kDualMx, ElementFormat::kMxFp4};

[[noreturn]] void OnlyOfV0(const PlannedLinear& linear);

constexpr std::array<ModeRow, kQuantModeCount> kRows = {{
    {QuantMode::kFloat, Packing::kNone, Grouping::kNone, {}, AnySize, PlanFloat, nullptr, nullptr},
    {QuantMode::kW16A16S, Packing::kNone, Grouping::kNone, {}, AnySize, PlanFloat, nullptr, nullptr},
    {QuantMode::kW8A16, Packing::kNone, Grouping::kScales, {}, AnySize, PlanInt8, WriteCodes, ReadInt8},
    {QuantMode::kW8A8Dynamic, Packing::kNone, Grouping::kScales, kTokenInt8, AnySize, PlanInt8, WriteCodes, ReadInt8},
    {QuantMode::kW8A8Mix, Packing::kNone, Grouping::kScales, kMixInt8, AnySize, PlanMix, WriteMix, ReadInt8},
    {QuantMode::kW8A8, Packing::kNone, Grouping::kNone, kStaticInt8, AnySize, PlanStatic, WriteStatic, ReadStatic},
    {QuantMode::kWFP8AFP8Dynamic, Packing::kNone, Grouping::kScales, kTokenFp8, AnySize, PlanFp8, WriteCodes, ReadFp8},
    {QuantMode::kW8A8MXFP8, Packing::kNone, Grouping::kMx, kMx8, AnySize, PlanMxFp8, WriteMxFp8, ReadMxFp8},
    {QuantMode::kW4A8MXFP, Packing::kColumnPairs, Grouping::kMx, kMx8, EvenColumns, PlanMxFp4, WriteMxFp4, ReadMxFp4},
    {QuantMode::kW4A4Dynamic, Packing::kNone, Grouping::kScales, kTokenInt4, AnySize, PlanInt8, WriteCodes, ReadInt8},
    {QuantMode::kW4A4MXFP4, Packing::kColumnPairs, Grouping::kMx, kMx4, EvenColumns, PlanMxFp4, WriteMxFp4, ReadMxFp4},
    {QuantMode::kW4A4MXFP4DualScale, Packing::kColumnPairs, Grouping::kDualScale, kDualMx4, EvenColumns, PlanMxFp4Dual,
     WriteMxFp4Dual, ReadMxFp4},
    {QuantMode::kW4A8Dynamic, Packing::kRowPairs, Grouping::kScales, kTokenInt8, EvenRows, PlanInt4Pairs,
     WriteInt4Pairs, ReadInt4},
    {QuantMode::kW8A8S, Packing::kNone, Grouping::kNone, kStaticInt8, OnlyOfV0, nullptr, nullptr, ReadStatic},
    {QuantMode::kW4A16, Packing::kAny, Grouping::kScales, {}, OnlyOfV0, nullptr, nullptr, ReadAnyInt4},
}};

// Modes that only the files of modelslim_v0 have.
[[noreturn]] void OnlyOfV0(const PlannedLinear& linear) {
  throw Error(ErrorCode::kUnsupported,
              linear.name + ": " + std::string(QuantModeName(linear.mode)) + " is a type of modelslim_v0 alone");
}

void Require(bool fits, const PlannedLinear& linear, const std::string& what, int64_t found) {
  if (fits) return;
  throw Error(ErrorCode::kUnsupported,
              linear.name + ": " + std::string(QuantModeName(linear.mode)) + " needs " + what + ", found " +
                  std::to_string(found),
              "exclude this layer in the recipe, or give it another type");
}

}  // namespace

void AnySize(const PlannedLinear&) {}

void EvenRows(const PlannedLinear& linear) {
  Require(linear.out % 2 == 0, linear, "an even number of output features", linear.out);
  if (ScaleBiasShapeOf(linear.name) == ScaleBiasShape::kSixteenths) {
    Require(linear.in % kMaxTensorParallel == 0, linear, "input features that 16 divides", linear.in);
  }
}

void EvenColumns(const PlannedLinear& linear) {
  Require(linear.in % 2 == 0, linear, "an even number of input features", linear.in);
}

void LinearPlanner::Add(std::string_view suffix, DType dtype, Shape shape) {
  tensors_.push_back({linear_.name + "." + std::string(suffix), dtype, std::move(shape),
                      std::string(TypeName(linear_.mode, options_))});
}

void LinearPlanner::WeightScales() {
  const int64_t columns = linear_.group_size > 0 ? linear_.in / linear_.group_size : 1;
  Add("weight_scale", DType::kF32, {linear_.out, columns});
  Add("weight_offset", DType::kF32, {linear_.out, columns});
}

void LinearPlanner::Static() {
  Add("weight", DType::kI8, {linear_.out, linear_.in});
  Add("quant_bias", DType::kI32, {linear_.out});
  Add("input_scale", DType::kF32, {1});
  Add("input_offset", DType::kF32, {1});
  Add("deq_scale", DeqScaleAsI64(model_dtype_, options_) ? DType::kI64 : DType::kF32, {linear_.out});
}

void LinearPlanner::Bias(bool own_type) {
  if (!linear_.has_bias) return;
  Add("bias", DType::kF32, {linear_.out});
  if (!options_.december_2025 && !own_type) tensors_.back().type = QuantModeName(QuantMode::kFloat);
}

void LinearPlanner::Float() {
  Add("weight", linear_.weight_dtype, {linear_.out, linear_.in});
  if (linear_.has_bias) Add("bias", linear_.bias_dtype, {linear_.out});
}

const ModeRow& RowOf(QuantMode mode) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [mode](const ModeRow& each) { return each.mode == mode; });
  MODELSLIM_CHECK(row != kRows.end());
  return *row;
}

const ModeRow* QuantizedRowOf(std::string_view type) {
  const std::optional<QuantMode> mode = QuantModeOf(type);
  return mode && RowOf(*mode).read != nullptr ? &RowOf(*mode) : nullptr;
}

std::string_view TypeName(QuantMode mode, const Compat& options) {
  return mode == QuantMode::kWFP8AFP8Dynamic && options.fp8_for_vllm ? kFp8TypeOfVllm : QuantModeName(mode);
}

bool DeqScaleAsI64(DType model_dtype, const Compat& options) {
  return !options.december_2025 && model_dtype != DType::kBF16;
}

std::vector<OutputTensor> PlanLinear(const PlannedLinear& linear, DType model_dtype, const Compat& options) {
  if (options.v0) return V0LinearTensors(linear, model_dtype);
  const ModeRow& row = RowOf(linear.mode);
  row.check(linear);
  if (linear.group_size > 0) {
    Require(linear.in % linear.group_size == 0, linear,
            "input features that the group size " + std::to_string(linear.group_size) + " divides", linear.in);
  }
  LinearPlanner planner(linear, model_dtype, options);
  row.plan(planner);
  return planner.Take();
}

Tensor ReadWeight(const SavedTensors& saved, QuantMode mode) {
  const ModeRow& row = RowOf(mode);
  MODELSLIM_CHECK(row.read != nullptr);
  return row.read(saved);
}

}  // namespace modelslim::ascend_v1
