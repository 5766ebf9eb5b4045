#include "app/analyze.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "app/calibration.h"
#include "app/float_pass.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "config/patterns/fnmatch.h"
#include "io/hash.h"
#include "io/json.h"

namespace modelslim {
namespace {

// What samples being summed up at the same time may copy.
constexpr size_t kSummaryBytes = size_t{256} << 20;

using Summaries = std::vector<std::shared_ptr<const InputSummary>>;

// Sums up the samples of a chunk. Layers that read the same tensor (q, k and v) come one after another and share the
// result, which costs more than finding out: told by the contents, since an address may be used again.
class Summarizer {
 public:
  explicit Summarizer(AnalysisMetric metric) : metric_(metric) {}

  const Summaries& Summarize(const ConstView& x, const RowGroups& groups) {
    std::string identity = fmt::format("{}{}", HashHex({static_cast<const std::byte*>(x.data), x.bytes()}),
                                       HashHex(std::as_bytes(groups.offsets)));
    if (identity == identity_) return summaries_;
    identity_ = std::move(identity);
    summaries_.assign(static_cast<size_t>(groups.samples()), nullptr);
    for (int64_t begin = 0, end = 0; begin < groups.samples(); begin = end) {
      ThrowIfStopped();
      end = WaveEnd(x, groups, begin);
      ParallelFor(end - begin, [&](int64_t i) {
        const ConstView rows = x.Rows(groups.offsets[begin + i], groups.offsets[begin + i + 1]);
        // An expert that no token of the sample reached saw nothing.
        if (rows.size() == 0) return;
        summaries_[static_cast<size_t>(begin + i)] = std::make_shared<InputSummary>(SummarizeInput(metric_, rows));
      });
    }
    std::erase(summaries_, nullptr);
    return summaries_;
  }

 private:
  static int64_t WaveEnd(const ConstView& x, const RowGroups& groups, int64_t begin) {
    const auto row_bytes = static_cast<size_t>(x.cols()) * sizeof(float);
    const auto most = static_cast<int64_t>(kSummaryBytes / std::max<size_t>(row_bytes, 1));
    int64_t end = begin + 1;
    while (end < groups.samples() && groups.offsets[end + 1] - groups.offsets[begin] <= most) ++end;
    return end;
  }

  AnalysisMetric metric_;
  std::string identity_;
  Summaries summaries_;
};

class ScoreObserver : public InputObserver {
 public:
  explicit ScoreObserver(Summarizer& summarizer) : summarizer_(summarizer) {}

  void Observe(const ConstView& x, const RowGroups& groups) override {
    const Summaries& seen = summarizer_.Summarize(x, groups);
    samples_.insert(samples_.end(), seen.begin(), seen.end());
  }
  const Summaries& samples() const { return samples_; }

 private:
  Summarizer& summarizer_;
  Summaries samples_;
};

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return FnMatch(pattern, name); });
}

bool IsChosen(const ModuleInfo& module, const AnalyzeArguments& arguments) {
  return module.kind == ModuleKind::kLinear && MatchesAny(arguments.patterns, module.name);
}

// How many of the first blocks hold everything that is chosen. Warns of patterns that match nothing.
int BlocksToRun(const ModelLayout& layout, const AnalyzeArguments& arguments) {
  int blocks = 0;
  std::string example;
  std::vector<bool> used(arguments.patterns.size());
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      if (example.empty()) example = module.name;
      for (size_t i = 0; i < used.size(); ++i) {
        if (!FnMatch(arguments.patterns[i], module.name)) continue;
        used[i] = true;
        blocks = block.index + 1;
      }
    }
  }
  const std::string hint = "names are written in full, such as " + example;
  if (blocks == 0) throw Error(ErrorCode::kSchema, "--pattern: no linear layer matches", hint);
  for (size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) LogWarning("--pattern: '" + arguments.patterns[i] + "' matches no linear layer; " + hint);
  }
  return blocks;
}

struct Analysis {
  std::vector<LayerScore> scores;  // in the order of the model
  int64_t without = 0;             // chosen layers that saw too little to be scored
};

Analysis ScoreLayers(const OpenedModel& model, const TokenBatch& batch, const AnalyzeArguments& arguments,
                     AnalysisMetric metric, const FloatPassOptions& options) {
  Analysis analysis;
  Summarizer summarizer(metric);
  std::map<LinearModule*, std::unique_ptr<ScoreObserver>> observers;
  const auto enter = [&](Block& block) {
    for (LinearModule* linear : block.linears()) {
      if (!IsChosen(linear->info(), arguments)) continue;
      auto observer = std::make_unique<ScoreObserver>(summarizer);
      linear->observers().push_back(observer.get());
      observers.emplace(linear, std::move(observer));
    }
  };
  const auto leave = [&](Block& block) {
    for (LinearModule* linear : block.linears()) {
      const auto found = observers.find(linear);
      if (found == observers.end()) continue;
      const std::optional<double> score = ScoreInput(metric, found->second->samples());
      if (score) analysis.scores.push_back({linear->name(), *score});
      if (!score) ++analysis.without;
    }
    observers.clear();
  };
  RunFloatPass(*model.family, *model.weights, batch, options, enter, leave);
  return analysis;
}

void PrintText(const std::vector<LayerScore>& ranking, const Analysis& analysis, const TokenBatch& batch,
               const AnalyzeArguments& arguments, std::ostream& out) {
  fmt::print(
      out,
      "{} of {} linear layers by {} of their input, {} samples, {} tokens; the highest is the hardest to quantize\n",
      ranking.size(), analysis.scores.size(), arguments.metric, batch.samples(), batch.offsets.back());
  if (analysis.without > 0) fmt::print(out, "{} more layers saw too few values to be scored\n", analysis.without);
  size_t width = 0;
  for (const LayerScore& layer : ranking) width = std::max(width, layer.name.size());
  for (const LayerScore& layer : ranking) fmt::print(out, "  {:<{}}  {:.4e}\n", layer.name, width, layer.score);
  fmt::print(out, "\ndisable_names:\n");
  for (const LayerScore& layer : ranking) fmt::print(out, "  - {}\n", layer.name);
}

void PrintJson(const std::vector<LayerScore>& ranking, const Analysis& analysis, const TokenBatch& batch,
               const AnalyzeArguments& arguments, std::ostream& out) {
  Json list{JsonArray()}, names{JsonArray()};
  for (const LayerScore& layer : ranking) {
    Json item{JsonObject()};
    item["name"] = Json(layer.name);
    // JSON has no word for infinity or NaN.
    item["score"] = std::isfinite(layer.score) ? Json(layer.score) : Json();
    list.Append(std::move(item));
    names.Append(Json(layer.name));
  }
  Json report{JsonObject()};
  report["metric"] = Json(arguments.metric);
  report["samples"] = Json(batch.samples());
  report["tokens"] = Json(batch.offsets.back());
  report["scored_layers"] = Json(analysis.scores.size());
  report["layers_without_score"] = Json(analysis.without);
  report["ranking"] = std::move(list);
  report["disable_names"] = std::move(names);
  out << report.Dump(1) << "\n";
}

}  // namespace

std::vector<LayerScore> RankLayers(std::vector<LayerScore> layers, int64_t topk) {
  const auto before = [](const LayerScore& a, const LayerScore& b) {
    if (std::isnan(a.score) || std::isnan(b.score)) return std::isnan(a.score) && !std::isnan(b.score);
    return a.score > b.score;
  };
  std::stable_sort(layers.begin(), layers.end(), before);
  int64_t different = 0;
  size_t kept = 0;
  for (; kept < layers.size(); ++kept) {
    const bool fresh = kept == 0 || before(layers[kept - 1], layers[kept]);
    if (fresh && ++different > topk) break;
  }
  layers.resize(kept);
  return layers;
}

void Analyze(const AnalyzeArguments& arguments, std::ostream& out) {
  const std::optional<AnalysisMetric> metric = ParseAnalysisMetric(arguments.metric);
  if (!metric) {
    throw Error(ErrorCode::kSchema, "--metrics: expected std, quantile or kurtosis, found '" + arguments.metric + "'");
  }
  if (arguments.topk < 1)
    throw Error(ErrorCode::kSchema, fmt::format("--topk: expected a number above 0, found {}", arguments.topk));
  FloatPassOptions options;
  options.title = "analyzing";
  options.memory_limit = arguments.memory.empty() ? 0 : ParseMemory(arguments.memory);
  const OpenedModel model = OpenModel(arguments);
  if (!model.family->HasForward()) {
    throw Error(ErrorCode::kUnsupported,
                "analyze sends calibration data through the model, and this one is known by the names of its tensors "
                "only (model_type \"" +
                    model.family->facts().type + "\")",
                "give a model that is computed ('modelslim models' lists them)");
  }
  options.blocks = BlocksToRun(model.family->layout(), arguments);
  const TokenBatch batch = LoadSamples(model, arguments, {.dataset = arguments.dataset, .where = "--calib_dataset"});
  const Analysis analysis = ScoreLayers(model, batch, arguments, *metric, options);
  model.checkpoint->ThrowIfChanged();
  const std::vector<LayerScore> ranking = RankLayers(analysis.scores, arguments.topk);
  if (!ranking.empty() && std::isnan(ranking.front().score)) {
    LogWarning("the input of " + ranking.front().name +
               " is not a number everywhere: look at the model before you quantize it");
  }
  if (arguments.json) {
    PrintJson(ranking, analysis, batch, arguments, out);
  } else {
    PrintText(ranking, analysis, batch, arguments, out);
  }
}

}  // namespace modelslim
