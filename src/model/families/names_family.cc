#include "model/families/names_family.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/checkpoint.h"
#include "io/json_ref.h"
#include "io/quote.h"
#include "model/architectures.h"
#include "model/checkpoint_facts.h"
#include "model/families/names_layout.h"
#include "model/multimodal.h"
#include "model/source_forms.h"

namespace modelslim {
namespace {

class NamesFamily : public Family {
 public:
  NamesFamily(ModelLayout layout, ModelFacts facts, const ArchitectureRow* row, int64_t hidden)
      : row_(row), hidden_(hidden) {
    layout_ = std::move(layout);
    facts_ = std::move(facts);
  }

  std::string_view name() const override { return kNamesFamily; }
  bool HasForward() const override { return false; }
  int64_t HiddenWidth() const override { return hidden_; }
  int64_t vocab_size() const override { return 0; }
  Tensor Forward(Block&, const ForwardContext&, const ConstView&) const override {
    throw Error(ErrorCode::kUnexpected, "a model that is known by names alone was to be computed");
  }
  uint64_t ForwardBytes(int, const ForwardForm&) const override { return 0; }
  std::vector<std::pair<std::string, std::string>> ConfigEdits(const std::vector<std::string_view>& modes,
                                                               bool) const override {
    if (row_ == nullptr || !row_->edits_w4a8_config) return {};
    if (std::find(modes.begin(), modes.end(), "W4A8_DYNAMIC") == modes.end()) return {};
    return {
        {"quantize", "\"w8a8_dynamic\""}, {"moe_quantize", "\"w4a8_dynamic\""}, {"mla_quantize", "\"w8a8_dynamic\""}};
  }

 private:
  const ArchitectureRow* row_;  // null: an unknown architecture
  int64_t hidden_;
};

// The part of config.json that describes the language model.
JsonRef TextOf(const JsonRef& config) {
  if (config["hidden_size"]) return config;
  for (const char* const key : {"text_config", "language_config", "llm_config"}) {
    const JsonRef nested = config[key];
    if (nested && nested.value()->object() != nullptr) return nested;
  }
  return config;
}

DType ModelType(const JsonRef& config, const JsonRef& text, const Checkpoint& checkpoint) {
  for (const JsonRef* const object : {&text, &config}) {
    for (const char* const key : {"dtype", "torch_dtype"}) {
      const JsonRef value = (*object)[key];
      if (!value || value.value()->string() == nullptr) continue;
      const std::string& name = *value.value()->string();
      if (name.ends_with("bfloat16")) return DType::kBF16;
      if (name.ends_with("float16")) return DType::kF16;
      if (name.ends_with("float32")) return DType::kF32;
    }
  }
  return FirstFloatDType(checkpoint);
}

bool AnyName(const Checkpoint& checkpoint, const std::function<bool(std::string_view)>& wanted) {
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                     [&](const CheckpointTensor& tensor) { return wanted(tensor.name); });
}

// The weights have to be those of the architecture that config.json names, or its row would say nothing about them.
void CheckSignature(const Json& config, const Checkpoint& checkpoint, const ArchitectureRow* row) {
  constexpr const char* kTip =
      "take config.json and the weights from the same download, or give --no-forward to take the names as they are";
  if (const std::string tower = TowerKey(config); !tower.empty() && !AnyName(checkpoint, IsInTower)) {
    throw Error(ErrorCode::kUnsupported,
                "config.json: " + tower +
                    ": expected the weights of a multimodal model, found no tensor of a tower "
                    "(visual, vision_tower, audio_tower, ...) beside the text_config or the language model",
                kTip);
  }
  if (row == nullptr || row->signature.empty()) return;
  std::string parts;
  for (const std::string_view part : row->signature) {
    if (AnyName(checkpoint, [&](std::string_view name) { return name.find(part) != std::string_view::npos; })) return;
    parts += (parts.empty() ? "" : " or ") + Quote(part);
  }
  throw Error(ErrorCode::kUnsupported,
              "config.json: model_type " + Quote(FactsOf(config).type) + " (" + std::string(row->name) +
                  "): expected weights with " + parts + " in their names, as all such models have, found none",
              kTip);
}

}  // namespace

std::unique_ptr<Family> MakeNamesFamily(const Json& config, const Checkpoint& checkpoint, const NamesOptions& options) {
  const ArchitectureRow* const row = FindArchitecture(config);
  if (!options.asked) CheckSignature(config, checkpoint, row);
  const JsonRef ref(config, "config.json"), text = TextOf(ref);
  const SourceForms forms(checkpoint, config);
  if (const std::string summary = forms.Summary(); !summary.empty())
    LogInfo("weights that are stored as codes are read as floats: " + summary);
  NamesSource source{.checkpoint = checkpoint, .forms = forms, .row = row};
  source.dtype = ModelType(ref, text, checkpoint);
  const JsonRef hidden = text["hidden_size"];
  source.stacks.hidden = hidden ? hidden.AsInt(1, int64_t{1} << 24) : 0;
  source.stacks.hidden_key = hidden ? hidden.where() : "";
  source.stacks.transposed = options.stacks_transposed;
  source.conversion = options.conversion;
  if (row != nullptr) source.stacks.form = row->stacked;
  if (row != nullptr) source.stacks.interleaved = row->interleaved;
  return std::make_unique<NamesFamily>(MakeNamesLayout(source), FactsOf(config), row,
                                       std::max<int64_t>(1, source.stacks.hidden));
}

}  // namespace modelslim
