#include "plan/plan.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/installation.h"
#include "base/words.h"
#include "io/hash.h"
#include "model/stored_weight.h"
#include "plan/activation_types.h"
#include "plan/copied_files.h"
#include "plan/lost_tensors.h"
#include "plan/output_tensors.h"
#include "plan/patterns.h"
#include "plan/server_notes.h"

namespace modelslim {
namespace {

// Routers whose correction bias the model holds in a narrower type than the checkpoint.
void ReportRouterBias(const Family& family, const Checkpoint& checkpoint, PlanNotes& notes) {
  int64_t rounded = 0;
  std::string first;
  for (const BlockInfo& block : family.layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      for (const ParamInfo& param : module.params) {
        const CheckpointTensor* const stored = checkpoint.Find(param.name);
        if (!param.name.ends_with(kRouterBias) || stored == nullptr || stored->dtype == param.dtype) continue;
        if (rounded++ == 0) first = param.name;
      }
    }
  }
  if (rounded == 0) return;
  notes.Inform(first,
               "26.1.0 rounds the routers' correction bias to " + std::string(DTypeName(family.layout().dtype)) +
                   ", and servers read it as F32 (" + Counted(rounded, "layer") +
                   "); its numbers are reproduced. Give --mend f32-router-bias to keep what the checkpoint holds");
}

// What is known by names alone cannot be forwarded.
void RefuseForward(const Processor& step, const Family& family) {
  if (family.HasForward() || !step.NeedsData()) return;
  throw Error(ErrorCode::kUnsupported,
              step.path() + " (" + step.type() +
                  ") needs calibration data, and this model is known by the names of its tensors only (model_type \"" +
                  family.facts().type + "\"), so nothing can be sent through it",
              "use a recipe whose steps need no data (per_token or no activations, weights by minmax or ssz: "
              "examples/w8a8-dynamic.yaml), or a model that is computed ('modelslim models' lists them)");
}

void ReportLosses(RunPlan& plan, const std::vector<std::string>& drop, const fs::path& model_path) {
  for (const std::string& pattern : CheckLosses(plan.unused, drop, model_path.string())) {
    plan.model.notes.Warn("--drop " + pattern, "matches no tensor that would be lost");
  }
}

uint64_t ParamBytes(const ModuleInfo& module) {
  uint64_t bytes = 0;
  for (const ParamInfo& param : module.params) {
    bytes += static_cast<uint64_t>(NumElements(param.shape)) * DTypeSize(param.dtype);
  }
  return bytes;
}

void Cost(RunPlan& plan) {
  const ModelLayout& layout = plan.family->layout();
  plan.blocks.resize(layout.blocks.size() + 1);
  for (const BlockInfo& block : layout.blocks) {
    BlockCost& cost = plan.blocks[block.index];
    cost.multiply_adds_per_token = static_cast<double>(plan.family->MultiplyAddsPerToken(block.index));
    for (const ModuleInfo& module : block.modules) cost.bytes_read += ParamBytes(module);
  }
  for (const ModuleInfo& module : layout.rest) plan.blocks.back().bytes_read += ParamBytes(module);
  for (const OutputTensor& tensor : plan.layout.tensors) plan.blocks[tensor.unit].bytes_written += tensor.bytes();
}

// How weights lie in the source where that is no matter of their names: the user may have said it.
void AddStored(const ModelLayout& layout, Hasher* hasher) {
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      const StoredWeight* const stored = module.params.front().stored.get();
      if (stored != nullptr && stored->transposed) hasher->Update(module.name + " transposed\n");
    }
  }
}

PlannedStage PlanStage(const JobStage& stage, const Family& family, ModelPlan& model) {
  PlannedStage planned;
  planned.name = stage.name;
  planned.data = stage.data;
  planned.steps = MakeProcessors(stage.process, family);
  for (const auto& step : planned.steps) RefuseForward(*step, family);
  for (const auto& step : planned.steps) {
    RefuseQuantized(*step, family, model);
    step->Plan(family, model);
    if (step->NeedsData()) planned.passes += step->ForwardsAgain() ? 2 : 1;
  }
  return planned;
}

std::vector<ProcessorConfig> AllSteps(const Job& job) {
  std::vector<ProcessorConfig> all;
  for (const JobStage& stage : job.stages) all.insert(all.end(), stage.process.begin(), stage.process.end());
  return all;
}

void PlanOutput(const JobOutput& output, RunPlan& plan) {
  const ModelLayout& layout = plan.family->layout();
  plan.format = MakeFormat(output.saver, plan.model.options.compat);
  MODELSLIM_CHECK(plan.format != nullptr);
  plan.model.decisions.model_quant_type = output.type;
  plan.summary = plan.format->Summarize(WrittenOf(layout, plan.model.decisions));
  ShardNames names = plan.format->Names(output.part_gib);
  if (!output.stem.empty()) names.stem = output.stem;
  plan.layout = LayOut(TensorsOf(layout, plan.model.decisions, *plan.format), names);
}

}  // namespace

bool RunPlan::needs_data() const {
  return std::any_of(stages.begin(), stages.end(), [](const PlannedStage& stage) { return stage.needs_data(); });
}

int RunPlan::passes() const {
  int sum = 0;
  for (const PlannedStage& stage : stages) sum += stage.passes;
  return sum;
}

const ModuleInfo* RunPlan::quantized_head() const {
  for (const ModuleInfo& module : family->layout().rest) {
    const auto decision = model.decisions.linears.find(module.name);
    if (decision != model.decisions.linears.end() && !decision->second.by.empty()) return &module;
  }
  return nullptr;
}

RunPlan MakePlan(const Job& job, const Recipe& recipe, const Family& family, const Checkpoint& checkpoint,
                 const fs::path& model_path, const PlanOptions& options) {
  RunPlan plan;
  plan.family = &family;
  plan.checkpoint = &checkpoint;
  plan.model.options = options.steps;
  plan.model.notes = job.notes;
  plan.unused = GroupUnused(family.layout(), checkpoint, CheckAgainstCheckpoint(family.layout(), checkpoint));
  if (job.output) ReportLosses(plan, options.drop, model_path);
  plan.model.decisions.Start(family.layout());
  for (const JobStage& stage : job.stages) plan.stages.push_back(PlanStage(stage, family, plan.model));
  if (plan.needs_data()) PlanActivationTypes(family, plan.stages, plan.model);
  for (const JobStage& stage : job.stages) ReportPatterns(recipe, stage.process, family, plan.model);
  ReportRouterBias(family, checkpoint, plan.model.notes);
  plan.writes = job.output.has_value();
  PlanOutput(job.output.value_or(JobOutput()), plan);
  plan.floats = FloatShareOf(family, plan.model.decisions, AllSteps(job));
  ReportFloatShare(plan.floats, recipe, plan.model);
  ReportServers(recipe, AllSteps(job), options.servers, plan);
  plan.copied = FilesToCopy(model_path, family, plan.model, !job.output || job.output->edits_config);
  Cost(plan);
  return plan;
}

std::string PlanIdentity(const RunPlan& plan, const std::string& recipe_text, const std::string& calibration_hash) {
  Hasher hasher;
  hasher.Update(std::string(kProgramVersion) + " journal 2\n");
  hasher.Update(recipe_text + "\n" + calibration_hash + "\n" + plan.checkpoint->Fingerprint() + "\n");
  hasher.Update(std::string(plan.family->name()) + plan.format->Fingerprint());
  for (const MendName& mend : AllMends()) {
    if (plan.model.options.mends.*mend.on) hasher.Update("mend " + std::string(mend.name) + "\n");
  }
  for (const OutputShard& shard : plan.layout.shards) hasher.Update(shard.file + "\n" + shard.header);
  AddStored(plan.family->layout(), &hasher);
  for (const CopiedFile& file : plan.copied) hasher.Update(file.name + "\n" + file.hash + "\n" + file.content);
  return hasher.Hex();
}

}  // namespace modelslim
