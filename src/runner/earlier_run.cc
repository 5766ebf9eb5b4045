#include "runner/earlier_run.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "runner/resume.h"

namespace modelslim {
namespace {

std::string UnitsProblem(const std::vector<JournalUnit>& finished, const RunOptions& options) {
  for (const JournalUnit& unit : finished) {
    const std::optional<UnitFacts> facts = ParseFacts(unit.facts);
    if (!facts) return "what its journal tells of unit " + std::to_string(unit.unit) + " is damaged";
    if (!facts->idle_experts.empty() && facts->idle_experts != IdleExpertsName(options.idle_experts)) {
      return "--idle-experts was " + facts->idle_experts + " before, and it mattered";
    }
  }
  return "";
}

// What stands against going on; nothing when it can.
std::string Obstacle(const std::vector<JournalUnit>& finished, const RunPlan& plan, const RunOptions& options,
                     const std::vector<HiddenRing*>& hidden) {
  if (!plan.writes) return "a run that writes nothing leaves nothing to go on from";
  if (std::string problem = UnitsProblem(finished, options); !problem.empty()) return problem;
  const size_t blocks = plan.family->layout().blocks.size();
  std::string problem = WhyNotResumed(plan.layout, options.save_path, finished, static_cast<int>(blocks) + 1);
  if (!problem.empty()) return problem;
  // Behind the last block nothing is kept, unless the head is still to see it.
  const size_t reading = blocks + (plan.quantized_head() != nullptr ? 1 : 0);
  if (hidden.empty() || finished.size() >= reading) return "";
  const std::vector<SavedHidden>& saved = finished.back().hidden;
  bool found = saved.size() == hidden.size();
  for (size_t i = 0; found && i < hidden.size(); ++i) found = hidden[i]->Find(saved[i]);
  return found ? "" : "the hidden states that it left are not as its journal says";
}

}  // namespace

EarlierRun OpenEarlierRun(const fs::path& work, const std::string& identity, const RunPlan& plan,
                          const RunOptions& options, const std::vector<HiddenRing*>& hidden) {
  EarlierRun run;
  const fs::path path = work / "journal.jsonl";
  run.journal = std::make_unique<Journal>(path, identity, options.fresh);
  if (run.journal->replaced_other()) {
    LogInfo("the directory holds an interrupted run of other settings; starting from the beginning");
  }
  const std::vector<JournalUnit>& finished = run.journal->finished();
  if (finished.empty()) return run;
  if (const std::string obstacle = Obstacle(finished, plan, options, hidden); !obstacle.empty()) {
    LogWarning(options.save_path.string() + ": an interrupted run was found, but " + obstacle +
               "; starting from the beginning, as with --fresh");
    run.journal.reset();  // the file has one owner
    run.journal = std::make_unique<Journal>(path, identity, true);
    return run;
  }
  run.resumes = true;
  for (const JournalUnit& unit : finished) {
    run.first_unit = std::max(run.first_unit, unit.unit + 1);
    Append(*ParseFacts(unit.facts), &run.facts);
  }
  LogInfo("going on after " + std::to_string(run.first_unit) + " of " +
          std::to_string(plan.family->layout().blocks.size() + 1) +
          " finished units, whose tensors are on the disk as they were written; --fresh would start over");
  return run;
}

}  // namespace modelslim
