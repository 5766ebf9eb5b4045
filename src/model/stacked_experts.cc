#include "model/stacked_experts.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "io/quote.h"
#include "model/name_parts.h"
#include "model/stored_weight.h"

namespace modelslim {
namespace {

constexpr std::string_view kFused = "gate_up_proj", kWeight = "weight", kBias = "_bias";

// Which axis of a projection has the model's width: the inputs of those that widen, the outputs of the others.
struct Projection {
  std::string_view name;
  bool reads_hidden;
};
constexpr Projection kProjections[] = {{"gate_up_proj", true}, {"gate_proj", true}, {"up_proj", true},
                                       {"down_proj", false},   {"w1", true},        {"w3", true},
                                       {"w2", false}};

const Projection* FindProjection(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kProjections), std::end(kProjections),
                                         [&](const Projection& each) { return each.name == name; });
  return found == std::end(kProjections) ? nullptr : found;
}

[[noreturn]] void Refuse(const ParamInfo& whole, const StackRules& rules, bool both) {
  const std::string sizes =
      "a stack of experts [experts, out, in] or [experts, in, out] with the width " + std::to_string(rules.hidden) +
      " (" + (rules.hidden_key.empty() ? "hidden_size, which config.json does not have" : rules.hidden_key) + ")";
  throw Error(ErrorCode::kInvalidModel,
              Quote(whole.name) + ": expected " + sizes + ", found " + ShapeText(whole.shape) +
                  (both ? ", which fits both: nothing tells rows from columns" : ", which fits neither"),
              both ? "say which it is with --stacked-experts out-in or --stacked-experts in-out"
                   : "correct hidden_size in config.json, or keep these weights out of the model directory");
}

// Codes lie along the inputs, so a stack of them is [experts, out, in].
bool IsTransposed(const Projection& projection, const ParamInfo& whole, const StackRules& rules) {
  if (whole.stored) return false;
  if (rules.transposed) return *rules.transposed;
  const int64_t out = whole.shape[1], in = whole.shape[2];
  const bool as_is = (projection.reads_hidden ? in : out) == rules.hidden;
  const bool turned = (projection.reads_hidden ? out : in) == rules.hidden;
  if (as_is != turned) return turned;
  if (!as_is || rules.form == StackedForm::kByShape) Refuse(whole, rules, as_is);
  return rules.form == StackedForm::kInOut;
}

// The parts of a stack that are Linears of their own.
struct Piece {
  std::string name;
  int64_t first, step, rows;
};

std::vector<Piece> PiecesOf(std::string_view projection, int64_t rows, const ParamInfo& whole, bool interleaved) {
  if (projection != kFused) return {{std::string(projection), 0, 1, rows}};
  if (rows % 2 != 0) {
    throw Error(ErrorCode::kInvalidModel,
                Quote(whole.name) + ": expected gate and up of the same size, found " + std::to_string(rows) +
                    " rows of " + ShapeText(whole.shape),
                "take config.json and the weights from the same download");
  }
  const int64_t half = rows / 2;
  if (interleaved) return {{"gate_proj", 0, 2, half}, {"up_proj", 1, 2, half}};
  return {{"gate_proj", 0, 1, half}, {"up_proj", half, 1, half}};
}

}  // namespace

std::optional<StackName> ParseStack(std::string_view tensor) {
  std::vector<std::string_view> parts = PartsOf(tensor);
  if (parts.back() == kWeight) parts.pop_back();
  if (parts.size() < 2) return std::nullopt;
  StackName found;
  found.projection = parts.back();
  if (found.projection.ends_with(kBias)) {
    found.bias = true;
    found.projection.remove_suffix(kBias.size());
  }
  const std::string_view above = parts[parts.size() - 2];
  if (FindProjection(found.projection) == nullptr || (above != "experts" && above != "moe")) return std::nullopt;
  found.experts = std::string(tensor.substr(0, static_cast<size_t>(above.data() + above.size() - tensor.data())));
  if (above == "moe") found.experts += ".experts";
  return found;
}

std::vector<ParamInfo> CutStack(const std::string& experts, const std::vector<std::string>& projections,
                                const ParamInfo& whole) {
  const auto parts = static_cast<int64_t>(projections.size());
  if (whole.shape.size() != 3 || whole.shape[1] % parts != 0) {
    throw Error(ErrorCode::kInvalidModel,
                Quote(whole.name) + ": expected a stack [experts, rows, in] whose rows make " + std::to_string(parts) +
                    " equal parts, found " + ShapeText(whole.shape),
                "correct the projections of the chunk");
  }
  std::vector<ParamInfo> cut;
  const int64_t rows = whole.shape[1] / parts;
  for (int64_t e = 0; e < whole.shape[0]; ++e) {
    for (int64_t p = 0; p < parts; ++p) {
      StoredWeight stored = whole.stored ? *whole.stored : StoredWeight{};
      if (!whole.stored) stored.values = whole.name;
      stored.expert = e;
      stored.first = p * rows;
      ParamInfo param;
      param.name = experts + "." + std::to_string(e) + "." + projections[static_cast<size_t>(p)] + ".weight";
      param.shape = {rows, whole.shape[2]};
      param.dtype = whole.dtype;
      param.stored = std::make_shared<const StoredWeight>(std::move(stored));
      cut.push_back(std::move(param));
    }
  }
  return cut;
}

std::vector<ParamInfo> SplitStack(const StackName& name, const ParamInfo& whole, const StackRules& rules) {
  const Projection& projection = *FindProjection(name.projection);
  const bool transposed = !name.bias && IsTransposed(projection, whole, rules);
  const int64_t rows = whole.shape[transposed ? 2 : 1];
  const std::vector<Piece> pieces = PiecesOf(name.projection, rows, whole, rules.interleaved);
  std::vector<ParamInfo> experts;
  experts.reserve(static_cast<size_t>(whole.shape[0]) * pieces.size());
  for (int64_t e = 0; e < whole.shape[0]; ++e) {
    for (const Piece& piece : pieces) {
      StoredWeight stored = whole.stored ? *whole.stored : StoredWeight{};
      if (!whole.stored) stored.values = whole.name;
      stored.expert = e;
      stored.transposed = transposed;
      stored.first = piece.first;
      stored.step = piece.step;
      ParamInfo param;
      param.name = name.experts + "." + std::to_string(e) + "." + piece.name + (name.bias ? ".bias" : ".weight");
      param.shape = {piece.rows};
      if (!name.bias) param.shape.push_back(whole.shape[transposed ? 1 : 2]);
      param.dtype = whole.dtype;
      param.stored = std::make_shared<const StoredWeight>(std::move(stored));
      experts.push_back(std::move(param));
    }
  }
  return experts;
}

ExpertGap FindExpertGap(const std::vector<std::string_view>& tensors) {
  std::map<std::string, std::map<std::string, std::set<int64_t>>> found;  // by experts and what follows the number
  for (const std::string_view name : tensors) {
    const std::string expert = ExpertOf(name);
    const size_t dot = expert.rfind('.');
    const std::string number = expert.substr(dot == std::string::npos ? 0 : dot + 1);
    if (!name.ends_with(".weight") || !IsNumber(number) || number.size() > 6 || expert.size() >= name.size()) continue;
    found[expert.substr(0, dot)][std::string(name.substr(expert.size()))].insert(std::stoll(number));
  }
  ExpertGap gap;
  gap.any = !found.empty();
  for (const auto& [experts, tails] : found) {
    gap.count = 0;
    for (const auto& [tail, numbers] : tails) gap.count = std::max(gap.count, *numbers.rbegin() + 1);
    for (const auto& [tail, numbers] : tails) {
      int64_t first = 0;
      while (first < gap.count && numbers.contains(first)) ++first;
      if (first == gap.count) continue;
      gap.experts = experts;
      gap.missing = experts + "." + std::to_string(first) + tail;
      return gap;
    }
  }
  return gap;
}

}  // namespace modelslim
