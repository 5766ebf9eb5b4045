#include "app/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "config/practices/practice.h"
#include "data/dataset.h"
#include "io/hash.h"
#include "text/tokenizer.h"

namespace modelslim {
namespace {

// Attention windows are not computed: what comes out is right only for samples that no window cuts.
void CheckWindow(const AttentionWindow& window, const TokenBatch& batch, const fs::path& dataset) {
  int64_t longer = 0, first = -1;
  for (int64_t i = 0; i < batch.samples(); ++i) {
    if (static_cast<int64_t>(batch.Sample(i).size()) <= window.tokens) continue;
    if (longer++ == 0) first = i;
  }
  if (longer == 0) return;
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("{}: expected samples of at most {} tokens, found {} longer ones of {} (the first, sample {}, "
                  "has {}): {} limits what attention sees, and such a window is not computed here",
                  dataset.string(), window.tokens, longer, batch.samples(), first + 1, batch.Sample(first).size(),
                  window.where),
      "shorten these samples or leave them out, or use a recipe that needs no calibration data");
}

// How many positions the model was made for; a scaled rotary embedding may say more than max_position_embeddings does.
// Nothing where config.json does not tell.
std::optional<int64_t> PositionsOf(const Json& config) {
  const Json* const nested = config.Find("text_config");
  const Json& text = nested != nullptr && nested->object() != nullptr ? *nested : config;
  const auto integer = [](const Json* value) { return value == nullptr ? std::nullopt : value->integer(); };
  std::optional<int64_t> positions = integer(text.Find("max_position_embeddings"));
  const Json* scaling = text.Find("rope_scaling");
  if (scaling == nullptr) scaling = text.Find("rope_parameters");  // Transformers 5
  if (!positions || scaling == nullptr) return positions;
  const std::optional<int64_t> original = integer(scaling->Find("original_max_position_embeddings"));
  const Json* const factor = scaling->Find("factor");
  if (original && factor != nullptr && factor->number()) {
    const double scaled = static_cast<double>(*original) * *factor->number();
    if (scaled > static_cast<double>(*positions) && scaled < 9e18) positions = static_cast<int64_t>(scaled);
  }
  return positions;
}

void WarnOfLongSamples(const Json& config, const std::vector<TextSample>& samples, const TokenBatch& batch) {
  const std::optional<int64_t> positions = PositionsOf(config);
  if (!positions) return;
  int64_t count = 0, first = 0;
  for (int64_t i = batch.samples() - 1; i >= 0; --i) {
    if (static_cast<int64_t>(batch.Sample(i).size()) <= *positions) continue;
    ++count;
    first = i;
  }
  if (count == 0) return;
  LogWarning(fmt::format(
      "{}: {} tokens, and the model was made for {} positions (max_position_embeddings in config.json){}; such a "
      "sample is calibrated whole, as in msModelSlim, and its end is nothing that the model knows: shorten or split it",
      samples[first].where, batch.Sample(first).size(), *positions,
      count == 1 ? "" : fmt::format("; so are {} of {} samples", count, batch.samples())));
}

// Of one model, whose tokenizer is read once, for the first set that has samples.
class Loader {
 public:
  Loader(const OpenedModel& model, const ModelArguments& arguments) : model_(model), arguments_(arguments) {}

  TokenBatch Load(const StageData& data) {
    const fs::path file = ResolveDataset(data.dataset, LabCalibDirectories());
    TextKeys keys;
    keys.keys = arguments_.text_keys;
    const auto [samples, warnings] = LoadTextDataset(file, keys);
    for (const std::string& warning : warnings) LogWarning(warning);
    if (samples.empty()) {
      throw Error(ErrorCode::kInvalidDataset,
                  file.string() + ": the dataset has no samples, and calibration data are needed",
                  "give a dataset with at least one sample in " + data.where);
    }
    TokenBatch batch = MakeTokenBatch(TheTokenizer(), samples,
                                      {.add_special = data.batch_size == 0, .vocab_size = model_.family->vocab_size()});
    if (model_.family->layout().window) CheckWindow(*model_.family->layout().window, batch, file);
    WarnOfLongSamples(model_.config, samples, batch);
    if (data.batch_size > 0) batch = PadInBatches(batch, data.batch_size);
    if (data.part == StageData::Part::kFirst)
      return KeepSamples(batch, 0, std::min(batch.samples(), std::max<int64_t>(1, data.batch_size)));
    if (data.part == StageData::Part::kLast) return KeepSamples(batch, batch.samples() - 1, batch.samples());
    return batch;
  }

 private:
  const Tokenizer& TheTokenizer() {
    if (!tokenizer_) tokenizer_ = Tokenizer::Load(arguments_.model_path);
    return *tokenizer_;
  }

  const OpenedModel& model_;
  const ModelArguments& arguments_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace

TokenBatch LoadSamples(const OpenedModel& model, const ModelArguments& arguments, const StageData& data) {
  return Loader(model, arguments).Load(data);
}

Calibration LoadCalibration(const Session& session, const RunPlan& plan) {
  Loader loader(session, session.arguments);
  Calibration calibration;
  Hasher hasher;
  std::vector<const StageData*> loaded;  // of calibration.owned
  for (const PlannedStage& stage : plan.stages) {
    if (!stage.needs_data()) {
      calibration.stages.push_back(nullptr);
      continue;
    }
    MODELSLIM_CHECK(stage.data.has_value());
    size_t same = 0;
    while (same < loaded.size() && *loaded[same] != *stage.data) ++same;
    if (same == loaded.size()) {
      loaded.push_back(&*stage.data);
      calibration.owned.push_back(std::make_unique<const TokenBatch>(loader.Load(*stage.data)));
    }
    const TokenBatch& batch = *calibration.owned[same];
    calibration.stages.push_back(&batch);
    hasher.Update(ReadTextFile(ResolveDataset(stage.data->dataset, LabCalibDirectories())));
    hasher.Update(std::as_bytes(std::span(batch.ids)));
    hasher.Update(std::as_bytes(std::span(batch.offsets)));
  }
  if (!loaded.empty()) calibration.hash = hasher.Hex();
  return calibration;
}

}  // namespace modelslim
