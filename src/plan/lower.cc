#include "plan/lower.h"

#include <utility>

#include "base/error.h"
#include "format/format.h"
#include "plan/lower_v0.h"

namespace modelslim {
namespace {

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

Job LowerText(const Recipe& recipe, const TextSpec& spec) {
  Job job;
  for (size_t i = 0; i < spec.prior.size(); ++i) {
    const PriorStage& prior = spec.prior[i];
    const std::string path = "spec.prior[" + std::to_string(i) + "]";
    job.stages.push_back({path, prior.process,
                          StageData{.dataset = prior.dataset.value_or(spec.dataset),
                                    .where = prior.dataset ? path + ".dataset" : "spec.dataset"}});
  }
  job.stages.push_back({"spec", spec.process, StageData{.dataset = spec.dataset, .where = "spec.dataset"}});
  if (const SaverConfig* saver = FindSaver(spec)) {
    job.output.emplace();
    job.output->saver = saver->type;
    job.output->part_gib = saver->part_file_size;
  } else {
    job.notes.Warn(recipe.file, "the recipe has no saver (spec.save), so nothing will be written");
  }
  if (spec.runner == RunnerKind::kDpLayerWise || spec.runner == RunnerKind::kModelWise) {
    job.notes.Warn(recipe.file, "runner " + std::string(EnumName(spec.runner)) +
                                    ": this version works in one process, layer by layer; the result is the same");
  }
  return job;
}

}  // namespace

std::optional<Job> DecidingJob(const Recipe& recipe, const Family& family) {
  return recipe.v0 ? DecidingJobOfV0(recipe, family) : std::nullopt;
}

Job LowerRecipe(const Recipe& recipe, const Family& family, const InputRanges* ranges) {
  if (recipe.v0) return LowerV0(recipe, family, ranges);
  if (recipe.v1) return LowerText(recipe, *recipe.v1);
  throw Error(ErrorCode::kToDo,
              recipe.file + ": this version cannot run recipes of apiversion " +
                  std::string(EnumName(recipe.api_version)) + " yet",
              "write the recipe for modelslim_v1");
}

}  // namespace modelslim
