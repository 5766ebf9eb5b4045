#include "app/eval.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "app/eval_data.h"
#include "app/session.h"
#include "app/verify_parts.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/words.h"
#include "eval/evaluate.h"
#include "io/hash.h"
#include "io/model_directory.h"
#include "model/open_weights.h"

namespace modelslim {
namespace {

constexpr uint64_t kUsualMemory = uint64_t{1} << 30;

// A model directory with all that its evaluation needs. The parts refer to one another: it stays where it is.
struct Opened {
  fs::path directory;
  Json config;
  std::unique_ptr<SavedOutput> saved;      // of an output
  std::unique_ptr<Checkpoint> checkpoint;  // of a float model
  std::unique_ptr<Family> family;
  std::unique_ptr<DeployedModel> deployed;
  std::unique_ptr<WeightSource> floats;

  EvalModel model() const {
    return {family.get(), deployed ? static_cast<const WeightSource*>(deployed.get()) : floats.get(), deployed.get()};
  }
  const Checkpoint& weights() const { return saved ? saved->weights() : *checkpoint; }
};

// Everything but the quantized products is computed in f32, so that the model's own rounding does not hide that of the
// quantization.
Json InFloat32(Json config) {
  for (const char* const key : {"dtype", "torch_dtype"}) {
    config[key] = Json("float32");
    if (Json* const text = config.object()->Find("text_config"); text != nullptr && text->object() != nullptr)
      (*text)[key] = Json("float32");
  }
  return config;
}

void OpenFamily(Opened& opened) {
  opened.config = ReadJson(opened.directory / "config.json");
  if (opened.config.object() == nullptr) {
    throw Error(ErrorCode::kInvalidModel, (opened.directory / "config.json").string() + ": expected an object, found " +
                                              std::string(JsonKindText(opened.config.kind())));
  }
  opened.family = MakeFamily(FindFamily("default"), InFloat32(opened.config), opened.weights());
}

void OpenFloat(const fs::path& directory, Opened& opened) {
  opened.directory = directory;
  CheckModelDirectory(directory);
  opened.checkpoint = OpenWeights(directory, ReadJson(directory / "config.json"));
  OpenFamily(opened);
  CheckAgainstCheckpoint(opened.family->layout(), *opened.checkpoint);
  opened.floats = MakeWeightSource(*opened.checkpoint);
}

// A directory with a description is an output, any other a float model.
void OpenEither(const EvalArguments& arguments, Opened& opened) {
  opened.saved = FindSaved(arguments.output);
  if (!opened.saved) return OpenFloat(arguments.output, opened);
  opened.directory = arguments.output;
  OpenFamily(opened);
  opened.deployed =
      std::make_unique<DeployedModel>(*opened.saved, arguments.decode ? ServerPhase::kDecode : ServerPhase::kPrefill);
  Problems problems;
  VerifyModules(*opened.family, *opened.saved, opened.deployed->linears(), problems);
  if (problems.empty()) return;
  throw Error(ErrorCode::kInvalidModel, arguments.output.string() + ": " + problems.Take().front(),
              "'modelslim verify' tells more");
}

std::string Identity(const EvalArguments& arguments, const Opened& own, const Opened* reference,
                     const TokenBatch& windows) {
  Hasher hasher;
  hasher.Update(fmt::format("{} {} {}\n", arguments.layers, arguments.decode, own.weights().Fingerprint()));
  if (reference != nullptr) hasher.Update(reference->weights().Fingerprint() + "\n");
  hasher.Update(std::as_bytes(std::span(windows.ids)));
  hasher.Update(std::as_bytes(std::span(windows.offsets)));
  return hasher.Hex();
}

std::map<std::string, int64_t> CountTypes(const Opened& opened) {
  std::map<std::string, int64_t> types;
  for (const BlockInfo& block : opened.family->layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind == ModuleKind::kLinear) ++types[opened.deployed ? opened.deployed->TypeOf(module.name) : "FLOAT"];
    }
  }
  return types;
}

Json ScoresJson(const ScoreSummary& scores, bool compared) {
  Json json{JsonObject()};
  json["tokens"] = Json(scores.tokens);
  json["perplexity"] = Json(scores.perplexity);
  json["perplexity_error"] = Json(scores.perplexity_error);
  if (!compared) return json;
  json["reference_perplexity"] = Json(scores.reference_perplexity);
  json["reference_perplexity_error"] = Json(scores.reference_perplexity_error);
  json["ratio"] = Json(std::exp(scores.log_ratio));
  json["log_ratio_error"] = Json(scores.log_ratio_error);
  json["kl"]["mean"] = Json(scores.divergence);
  json["kl"]["error"] = Json(scores.divergence_error);
  json["kl"]["p50"] = Json(scores.divergence_50);
  json["kl"]["p90"] = Json(scores.divergence_90);
  json["kl"]["p99"] = Json(scores.divergence_99);
  json["kl"]["p99.9"] = Json(scores.divergence_999);
  json["kl"]["max"] = Json(scores.divergence_max);
  json["top1_agreement"] = Json(scores.same_top);
  json["probability_change"]["mean"] = Json(scores.change_mean);
  json["probability_change"]["rms"] = Json(scores.change_rms);
  return json;
}

void PrintJson(const EvalArguments& arguments, const Opened& own, const TokenBatch& windows, const EvalReport& report,
               std::ostream& out) {
  const bool compared = !arguments.reference.empty();
  Json json{JsonObject()};
  json["output"] = Json(arguments.output.string());
  if (compared) json["reference"] = Json(arguments.reference.string());
  json["data"] = Json(arguments.data);
  json["windows"] = Json(windows.samples());
  json["window"] = Json(windows.offsets[1]);
  for (const auto& [type, count] : CountTypes(own)) json["types"][type] = Json(count);
  json["scores"] = ScoresJson(report.scores, compared);
  if (arguments.layers) {
    json["layers"] = Json(JsonArray());
    for (const LayerError& layer : report.layers) {
      Json entry{JsonObject()};
      entry["block"] = Json(layer.block);
      entry["streamed"] = Json(layer.streamed);
      entry["forced"] = Json(layer.forced);
      json["layers"].Append(std::move(entry));
    }
    if (!report.no_layers.empty()) json["no_layers"] = Json(report.no_layers);
  }
  out << json.Dump(2, /*ensure_ascii=*/false) << "\n";
}

void PrintTable(const EvalArguments& arguments, const Opened& own, const TokenBatch& windows, const EvalReport& report,
                std::ostream& out) {
  const ScoreSummary& s = report.scores;
  fmt::print(out, "{}: {} of {} tokens, {} predicted\n", arguments.data, Counted(windows.samples(), "window"),
             windows.offsets[1], s.tokens);
  std::string types;
  for (const auto& [type, count] : CountTypes(own)) types += fmt::format(" {}:{}", type, count);
  fmt::print(out, "{}\n  layers             {}\n", arguments.output.string(), types);
  fmt::print(out, "  perplexity          {:.4f} +- {:.4f}\n", s.perplexity, s.perplexity_error);
  if (arguments.reference.empty()) return;
  fmt::print(out, "  of the reference    {:.4f} +- {:.4f}\n", s.reference_perplexity, s.reference_perplexity_error);
  fmt::print(out, "  ratio               {:.5f} +- {:.5f}\n", std::exp(s.log_ratio), s.log_ratio_error);
  fmt::print(out, "  KL divergence       {:.6f} +- {:.6f}\n", s.divergence, s.divergence_error);
  fmt::print(out, "    50, 90, 99, 99.9 % {:.6f}  {:.6f}  {:.6f}  {:.6f}\n", s.divergence_50, s.divergence_90,
             s.divergence_99, s.divergence_999);
  fmt::print(out, "    largest           {:.6f}\n", s.divergence_max);
  fmt::print(out, "  same likeliest      {:.3f} %\n", 100 * s.same_top);
  fmt::print(out, "  change of the right token's probability: mean {:+.4f} %, root mean square {:.4f} %\n",
             100 * s.change_mean, 100 * s.change_rms);
  if (!arguments.layers) return;
  if (!report.no_layers.empty()) fmt::print(out, "no errors by layer: {}\n", report.no_layers);
  if (report.layers.empty()) return;
  fmt::print(out, "relative error of what a layer puts out\n  {:<40} {:>12} {:>12}\n", "", "in the stream",
             "by itself");
  for (const LayerError& layer : report.layers)
    fmt::print(out, "  {:<40} {:>12.5f} {:>12.5f}\n", layer.block, layer.streamed, layer.forced);
}

void CheckPair(const Opened& own, const Opened& reference) {
  const auto refuse = [&](const char* what, int64_t found, int64_t expected) {
    throw Error(ErrorCode::kInvalidModel,
                fmt::format("{} has {} {}, and {} has {}", own.directory.string(), found, what,
                            reference.directory.string(), expected),
                "give as --reference the checkpoint that the output was made of");
  };
  const Family &a = *own.family, &b = *reference.family;
  if (a.vocab_size() != b.vocab_size()) refuse("tokens in its vocabulary", a.vocab_size(), b.vocab_size());
  if (own.model().blocks() != reference.model().blocks())
    refuse("layers", own.model().blocks(), reference.model().blocks());
  if (a.HiddenWidth() != b.HiddenWidth()) refuse("hidden channels", a.HiddenWidth(), b.HiddenWidth());
}

EvalReport Measure(const EvalModel& model, const EvalModel* reference, const TokenBatch& windows, EvalOptions options,
                   const std::string& memory) {
  options.memory_limit = memory.empty() ? kUsualMemory : ParseMemory(memory);
  try {
    return Evaluate(model, reference, windows, options);
  } catch (const Error& error) {
    if (!memory.empty() || error.code() != ErrorCode::kMisuse) throw;
  }
  options.memory_limit = 0;  // more than usual is needed
  return Evaluate(model, reference, windows, options);
}

}  // namespace

void EvaluateOutput(const EvalArguments& arguments, std::ostream& out) {
  if (arguments.layers && arguments.reference.empty())
    throw Error(ErrorCode::kSchema, "--per-layer: nothing to compare with", "give the float model as --reference");
  SetComputeThreads(arguments.threads);
  Opened own, reference;
  OpenEither(arguments, own);
  const bool compared = !arguments.reference.empty();
  if (compared) {
    OpenFloat(arguments.reference, reference);
    CheckPair(own, reference);
  }
  const TokenBatch windows =
      LoadWindows(arguments.output, arguments.reference,
                  {arguments.data, arguments.text_keys, arguments.windows, arguments.window, own.family->vocab_size()});
  EvalOptions options;
  options.layers = arguments.layers;
  options.directory = arguments.work;
  options.identity = Identity(arguments, own, compared ? &reference : nullptr, windows);
  const EvalModel model = own.model(), other = compared ? reference.model() : EvalModel{};
  const EvalReport report = Measure(model, compared ? &other : nullptr, windows, options, arguments.memory);
  own.weights().ThrowIfChanged();
  if (compared) reference.weights().ThrowIfChanged();
  (arguments.json ? PrintJson : PrintTable)(arguments, own, windows, report, out);
}

}  // namespace modelslim
