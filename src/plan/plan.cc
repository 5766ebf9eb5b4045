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

const TextSpec& SpecOf(const Recipe& recipe) {
  if (recipe.v1) return *recipe.v1;
  throw Error(ErrorCode::kToDo,
              recipe.file + ": this version cannot run recipes of apiversion " +
                  std::string(EnumName(recipe.api_version)) + " yet",
              "write the recipe for modelslim_v1");
}

// The one saver of the recipe; null when there is none.
const SaverConfig* FindSaver(const TextSpec& spec) {
  const SaverConfig* saver = nullptr;
  for (const SaverConfig& each : spec.save) {
    if (MakeFormat(each.type, {}) == nullptr) {
      throw Error(ErrorCode::kToDo, each.path + ": this version cannot write the format of '" + each.type + "' yet",
                  "use ascendv1_saver");
    }
    if (saver != nullptr) {
      throw Error(ErrorCode::kToDo, each.path + ": a second saver; this version writes one output per run",
                  "keep one entry in spec.save");
    }
    saver = &each;
  }
  return saver;
}

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

void RefusePrior(const TextSpec& spec) {
  if (spec.prior.empty()) return;
  throw Error(ErrorCode::kToDo, "spec.prior: this version cannot run stages before the main one yet",
              "remove spec.prior");
}

// What is known by names alone cannot be forwarded.
void RefuseForwards(const RunPlan& plan, const Family& family) {
  if (family.HasForward()) return;
  for (const auto& step : plan.processors) {
    if (!step->NeedsData()) continue;
    throw Error(
        ErrorCode::kUnsupported,
        step->path() + " (" + step->type() +
            ") needs calibration data, and this model is known by the names of its tensors only (model_type \"" +
            family.facts().type + "\"), so nothing can be sent through it",
        "use a recipe whose steps need no data (per_token or no activations, weights by minmax or ssz: "
        "examples/w8a8-dynamic.yaml), or a model that is computed ('modelslim models' lists them)");
  }
}

void ReportLosses(RunPlan& plan, const std::vector<std::string>& drop, const fs::path& model_path) {
  for (const std::string& pattern : CheckLosses(plan.unused, drop, model_path.string())) {
    plan.model.notes.Warn("--drop " + pattern, "matches no tensor that would be lost");
  }
}

// The output of the recipe's saver.
void PlanFormat(const Recipe& recipe, const TextSpec& spec, RunPlan& plan) {
  int64_t part_gib = SaverConfig().part_file_size;
  const SaverConfig* const saver = FindSaver(spec);
  if (saver != nullptr) part_gib = saver->part_file_size;
  plan.writes = saver != nullptr;
  if (!plan.writes) {
    plan.model.notes.Warn(recipe.file, "the recipe has no saver (spec.save), so nothing will be written");
  }
  plan.format = MakeFormat(saver != nullptr ? std::string_view(saver->type) : kDefaultSaver, plan.model.options.compat);
  const ModelLayout& layout = plan.family->layout();
  plan.summary = plan.format->Summarize(WrittenOf(layout, plan.model.decisions));
  plan.layout = LayOut(TensorsOf(layout, plan.model.decisions, *plan.format), plan.format->Names(part_gib));
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
    cost.forwards = plan.data_passes;
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

}  // namespace

RunPlan MakePlan(const Recipe& recipe, const Family& family, const Checkpoint& checkpoint, const fs::path& model_path,
                 const PlanOptions& options) {
  const TextSpec& spec = SpecOf(recipe);
  RefusePrior(spec);
  RunPlan plan;
  plan.family = &family;
  plan.checkpoint = &checkpoint;
  plan.model.options = options.steps;
  plan.processors = MakeProcessors(spec.process, family);
  RefuseForwards(plan, family);
  plan.unused = GroupUnused(family.layout(), checkpoint, CheckAgainstCheckpoint(family.layout(), checkpoint));
  ReportLosses(plan, options.drop, model_path);
  if (spec.runner == RunnerKind::kDpLayerWise || spec.runner == RunnerKind::kModelWise) {
    plan.model.notes.Warn(recipe.file,
                          "runner " + std::string(EnumName(spec.runner)) +
                              ": this version works in one process, layer by layer; the result is the same");
  }
  plan.model.decisions.Start(family.layout());
  for (const auto& processor : plan.processors) {
    RefuseQuantized(*processor, family, plan.model);
    processor->Plan(family, plan.model);
    if (processor->NeedsData()) plan.data_passes += processor->ForwardsAgain() ? 2 : 1;
  }
  plan.needs_data = plan.data_passes > 0;
  if (plan.needs_data) plan.pass_types = PlanActivationTypes(family, plan.processors, plan.model);
  ReportPatterns(recipe, spec.process, family, plan.model);
  ReportRouterBias(family, checkpoint, plan.model.notes);
  PlanFormat(recipe, spec, plan);
  plan.floats = FloatShareOf(family, plan.model.decisions, spec.process);
  ReportFloatShare(plan.floats, recipe, plan.model);
  ReportServers(recipe, spec.process, options.servers, plan);
  plan.copied = FilesToCopy(model_path, family, plan.model);
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
