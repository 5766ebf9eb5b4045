#include "app/quant.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "app/calibration.h"
#include "app/eval.h"
#include "app/plan_text.h"
#include "app/save_path.h"
#include "app/summary.h"
#include "app/verify.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/words.h"
#include "runner/ledger.h"
#include "runner/memory_plan.h"
#include "runner/publish.h"
#include "runner/run.h"
#include "runner/work_directory.h"
#include "tensor/buffers.h"

namespace modelslim {
namespace {

// To be called when all is open that is opened before the weights are read.
MemoryPlan PlanSessionMemory(const Session& session, const RunPlan& plan, const StageBatches& batches,
                             const PeakMemory& held) {
  const JobArguments& given = session.arguments;
  MemoryInputs inputs{.family = *session.family, .source = *session.weights, .plan = &plan};
  for (const TokenBatch* batch : batches) {
    inputs.offsets.push_back(batch == nullptr ? std::span<const int64_t>() : std::span<const int64_t>(batch->offsets));
  }
  inputs.measure_errors = given.verify;
  inputs.peak_so_far = held.peak();
  return PlanMemory(inputs, given.memory.empty() ? 0 : ParseMemory(given.memory));
}

// Finds out before any work whether the directory can be written, and every file get its name.
void PrepareSavePath(const fs::path& path, const RunPlan& plan) {
  if (path.empty()) throw Error(ErrorCode::kSchema, "--save_path is missing", "give a directory for the output");
  MakeDirectories(path);
  CheckDirectoryCanBeWritten(path);
  std::vector<std::string> names = {std::string(plan.format->completing_file()), kLedgerFile};
  if (!plan.layout.index_file.empty()) names.push_back(plan.layout.index_file);
  for (const OutputShard& shard : plan.layout.shards) names.push_back(shard.file);
  for (const CopiedFile& file : plan.copied) names.push_back(file.name);
  CheckNamesAreFree(path, names);
}

// Checks an output before it is published.
VerifyReport ReadBack(const fs::path& save_path) {
  VerifyReport report = VerifyOutput(save_path, {.source = {}, .published = false, .checksums = true});
  if (report.problems.empty()) return report;
  constexpr size_t kShown = 10;
  throw Error(ErrorCode::kUnexpected,
              save_path.string() + ": what was written does not read back as it should, so it was not published" +
                  LinesBelow(report.problems, kShown),
              "check the disk, and give the same command again: it makes anew what is not as it was written");
}

void EvaluateAfter(const JobArguments& given, std::ostream& out) {
  EvalArguments arguments;
  arguments.output = given.save_path;
  arguments.reference = given.model_path;
  arguments.data = given.evaluation.data;
  arguments.windows = given.evaluation.windows;
  arguments.window = given.evaluation.window;
  arguments.memory = given.memory;
  arguments.threads = given.threads;
  out << "\n" << std::flush;
  EvaluateOutput(arguments, out);
}

RunOptions OptionsOf(const JobArguments& given, const MemoryPlan& memory) {
  RunOptions options;
  options.model_path = given.model_path;
  options.save_path = given.save_path;
  options.memory = memory;
  options.measure_errors = given.verify;
  options.idle_experts = ParseIdleExperts(given.idle_experts);
  return options;
}

// Lets the data decide what the recipe leaves to them, and plans anew with it. It is done again after an interruption,
// with the same outcome.
void Decide(Session& session, const PeakMemory& held) {
  const std::optional<Job> job = DecidingJob(session.recipe, *session.family);
  if (!job) return;
  LogInfo("looking at calibration data first: " + job->stages.back().name + " decides by them");
  {
    // What does not fit into memory is refused before this work, too.
    const Calibration all = LoadCalibration(session, session.plan);
    PlanSessionMemory(session, session.plan, all.stages, held);
  }
  PrepareSavePath(session.arguments.save_path, session.plan);
  RunPlan plan = PlanJob(session, *job);
  const Calibration calibration = LoadCalibration(session, plan);
  RunOptions options = OptionsOf(session.arguments, PlanSessionMemory(session, plan, calibration.stages, held));
  options.work = WorkDirectory(session.arguments.save_path).string() + "-look";
  options.fresh = true;
  const RunReport report = Execute(plan, *session.weights, calibration.stages, "looking at the data", options);
  session.plan = PlanSession(session, &report.ranges);
}

}  // namespace

void Quantize(JobArguments arguments, std::ostream& out) {
  const PeakMemory held;
  const std::unique_ptr<Session> session = OpenSession(std::move(arguments));
  const JobArguments& given = session->arguments;
  Decide(*session, held);
  const Calibration calibration = LoadCalibration(*session, session->plan);
  const MemoryPlan memory = PlanSessionMemory(*session, session->plan, calibration.stages, held);
  PrintPlan(*session, calibration.stages, {.tensors = false, .peak_memory = memory.estimated_peak}, out);
  out << std::flush;
  if (!session->plan.writes) return;
  PrepareSavePath(given.save_path, session->plan);
  RunOptions options = OptionsOf(given, memory);
  options.fresh = given.fresh;
  const std::string identity = PlanIdentity(session->plan, session->recipe_text, calibration.hash);
  std::optional<VerifyReport> verified;
  if (given.verify) options.check = [&] { verified = ReadBack(given.save_path); };
  const RunReport report = Execute(session->plan, *session->weights, calibration.stages, identity, options);
  LogDebug("tensors took at most " + FormatBytes(MemoryOfTensors().peak));
  PrintSummary(*session, report, verified ? &*verified : nullptr, held.peak(), out);
  if (given.evaluation.wanted) EvaluateAfter(given, out);
}

void ShowPlan(JobArguments arguments, bool tensors, bool json, std::ostream& out) {
  const PeakMemory held;
  const std::unique_ptr<Session> session = OpenSession(std::move(arguments));
  const Calibration calibration = LoadCalibration(*session, session->plan);
  const MemoryPlan memory = PlanSessionMemory(*session, session->plan, calibration.stages, held);
  const PlanTextOptions options{.tensors = tensors, .peak_memory = memory.estimated_peak};
  if (json) {
    out << PlanJson(*session, calibration.stages, options) << "\n";
  } else {
    PrintPlan(*session, calibration.stages, options, out);
  }
}

}  // namespace modelslim
