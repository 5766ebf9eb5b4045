#include "app/verify.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "app/verify_parts.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/words.h"
#include "io/model_directory.h"
#include "model/families/names_family.h"
#include "model/family.h"
#include "model/open_weights.h"
#include "model/unused_tensors.h"
#include "ops/finite.h"
#include "plan/lost_tensors.h"
#include "quant/weights/weight_error.h"
#include "runner/ledger.h"

namespace modelslim {
namespace {

Json ReadObject(const fs::path& path) {
  Json json = ReadJson(path);
  if (json.object() != nullptr) return json;
  throw Error(ErrorCode::kInvalidModel,
              fmt::format("{}: expected an object, found {}", path.string(), JsonKindText(json.kind())));
}

VerifiedOutput Open(const fs::path& directory, const VerifyOptions& options) {
  VerifiedOutput output{OpenSaved(directory, options.published), std::nullopt};
  const fs::path ledger = output.saved->PathOf(kLedgerFile);
  if (options.checksums && fs::exists(ledger)) output.ledger = ReadObject(ledger);
  return output;
}

// Fills in errors and losses.
void CompareWithSource(const VerifiedOutput& output, const std::vector<SavedLinear>& layers,
                       const VerifyOptions& options, Problems& problems, VerifyReport& report) {
  const fs::path& source = options.source;
  const Json config = ReadJson(source / "config.json");
  const bool names = IsByNames(output, config);
  const std::unique_ptr<Checkpoint> opened =
      OpenWeights(source, config, names ? SourceNames::kAsTheyAre : SourceNames::kNormalized);
  const Checkpoint& checkpoint = *opened;
  const std::unique_ptr<Family> family =
      names ? MakeNamesFamily(config, checkpoint, {.asked = true, .stacks_transposed = options.stacks_transposed})
            : MakeFamily(FindFamily("default"), config, checkpoint);
  const std::unique_ptr<WeightSource> weights = MakeWeightSource(checkpoint);
  report.losses =
      LossLines(GroupUnused(family->layout(), checkpoint, CheckAgainstCheckpoint(family->layout(), checkpoint)));
  std::map<std::string, const ModuleInfo*> modules;
  for (const BlockInfo& block : family->layout().blocks) {
    for (const ModuleInfo& module : block.modules) modules[module.name] = &module;
  }
  for (const ModuleInfo& module : family->layout().rest) modules[module.name] = &module;
  std::vector<VerifyReport::Error>& errors = report.errors;
  for (const SavedLinear& layer : layers) {
    const auto found = modules.find(layer.name);
    if (found == modules.end()) {
      problems.Add(layer.name + " is not a module of " + source.string());
      continue;
    }
    const Tensor restored = output.saved->Dequantize(layer);
    const Tensor original = weights->Load(found->second->params.front());
    if (restored.shape() != original.shape()) {
      problems.Add(fmt::format("{}: shape {} in the output, {} in the source", layer.name, ShapeText(restored.shape()),
                               ShapeText(original.shape())));
      continue;
    }
    errors.push_back({layer.name, layer.type, Compare(original.view(), restored.view()).relative()});
  }
  std::stable_sort(errors.begin(), errors.end(), [](const auto& a, const auto& b) { return a.relative > b.relative; });
}

}  // namespace

std::string VerifySummary(const VerifyReport& report) {
  if (!report.problems.empty()) return Counted(report.problems.size(), "problem");
  return report.warnings.empty() ? "all well" : "as it was written; " + Counted(report.warnings.size(), "warning");
}

VerifyReport VerifyOutput(const fs::path& directory, const VerifyOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (!options.source.empty()) CheckModelDirectory(options.source);
  const VerifiedOutput output = Open(directory, options);
  VerifyReport report;
  Problems problems, warnings;
  const std::vector<SavedLinear> layers = output.saved->CheckLinears(problems);
  output.saved->CheckSummary(layers, problems);
  VerifyFiles(output, problems);
  if (output.ledger) {
    if (fs::exists(output.saved->PathOf("config.json"))) VerifyModel(output, layers, problems);
  } else if (options.checksums) {
    problems.Add(fmt::format(
        "{} is missing, so nothing tells whether the bytes are those that were written (an output of another program "
        "has none: --no-checksums)",
        kLedgerFile));
  }
  VerifyContents(output, problems, warnings);
  if (!options.source.empty() && problems.empty()) {
    CompareWithSource(output, layers, options, problems, report);
  }
  report.problems = problems.Take();
  std::sort(report.problems.begin(), report.problems.end());
  report.warnings = warnings.Take();
  std::sort(report.warnings.begin(), report.warnings.end());
  report.tensors = static_cast<int64_t>(output.saved->weights().tensors().size());
  report.bytes = output.saved->weights().total_bytes();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

void PrintVerify(const VerifyReport& report, const fs::path& directory, std::ostream& out) {
  fmt::print(out, "{}: {} tensors, {}, read in {}\n", directory.string(), report.tensors, FormatBytes(report.bytes),
             FormatDuration(report.seconds));
  for (const std::string& problem : report.problems) fmt::print(out, "  problem: {}\n", problem);
  for (const std::string& warning : report.warnings) fmt::print(out, "  warning: {}\n", warning);
  for (const std::string& remark : report.remarks) fmt::print(out, "  note: {}\n", remark);
  if (!report.errors.empty()) {
    fmt::print(out,
               "largest errors of dequantized weights against the source (weights that smoothing or rotation changed "
               "differ by design)\n");
    for (size_t i = 0; i < std::min<size_t>(report.errors.size(), 10); ++i) {
      fmt::print(out, "  {:<56} {:<18} {:.4f}\n", report.errors[i].name, report.errors[i].type,
                 report.errors[i].relative);
    }
  }
  if (!report.losses.empty()) fmt::print(out, "of the source, not in the output\n");
  for (const std::string& line : report.losses) fmt::print(out, "  {}\n", line);
  fmt::print(out, "{}\n", VerifySummary(report));
}

}  // namespace modelslim
