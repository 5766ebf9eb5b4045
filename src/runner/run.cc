#include "runner/run.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop.h"
#include "processor/walk.h"
#include "runner/earlier_run.h"
#include "runner/expert_watch.h"
#include "runner/hidden_ring.h"
#include "runner/output_writer.h"
#include "runner/publish.h"
#include "runner/read_ahead.h"
#include "runner/run_work.h"
#include "runner/sample_pass.h"
#include "runner/save_modules.h"
#include "runner/work_directory.h"

namespace modelslim {
namespace {

using Clock = std::chrono::steady_clock;

// Adds the time of a scope to a stage.
class StageClock {
 public:
  explicit StageClock(double* seconds) : seconds_(seconds), start_(Clock::now()) {}
  ~StageClock() { *seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  double* seconds_;
  Clock::time_point start_;
};

void CheckSamples(const RunPlan& plan, const StageBatches& batches) {
  MODELSLIM_CHECK(batches.size() == plan.stages.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!plan.stages[i].needs_data() || (batches[i] != nullptr && batches[i]->offsets.size() >= 2)) continue;
    throw Error(ErrorCode::kInvalidDataset, "the recipe needs calibration data, and the dataset has no samples",
                "give a dataset with at least one sample in " +
                    (plan.stages[i].data ? plan.stages[i].data->where : std::string("the recipe")));
  }
}

// A stage of the plan at work: its samples, and their hidden states where it needs data.
struct StageRun {
  PlannedStage* stage;
  const TokenBatch* batch;
  std::unique_ptr<HiddenRing> hidden;
  std::optional<SamplePass> pass;
};

class Run {
 public:
  Run(RunPlan& plan, const WeightSource& source, const StageBatches& batches, const RunOptions& options)
      : plan_(plan),
        layout_(plan.family->layout()),
        source_(source),
        options_(options),
        amount_(plan, batches),
        head_(plan.quantized_head()),
        work_(options.work.empty() ? WorkDirectory(options.save_path) : options.work) {
    CheckSamples(plan, batches);
    for (size_t i = 0; i < plan.stages.size(); ++i) {
      stages_.push_back({&plan.stages[i], batches[i], nullptr, std::nullopt});
      if (!plan.stages[i].needs_data()) continue;
      stages_.back().hidden =
          std::make_unique<HiddenRing>(work_, i, batches[i]->offsets.back(), plan.family->HiddenWidth());
    }
  }

  RunReport Execute(const std::string& identity) {
    const auto start = Clock::now();
    const WorkDirectoryLock lock(work_);
    Open(identity);
    try {
      WalkBlocks();
      FinishRest();
      if (writer_)
        Publish();
      else
        RemoveWork();
    } catch (const Stopped&) {
      KeepWhatIsFinished();
      throw Stopped("Stopped. What is finished is kept: the same command goes on from there (--fresh starts over).");
    } catch (...) {
      KeepWhatIsFinished();
      throw;
    }
    report_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    report_.output_bytes = plan_.writes ? plan_.layout.total_size : 0;
    report_.units = Units();
    for (const StageRun& run : stages_) {
      if (run.hidden) report_.tokens = run.batch->offsets.back();
    }
    report_.stages = {{"forward passes", forward_seconds_},
                      {"processors", walk_seconds_ - forward_seconds_},
                      {"quantize and queue", save_seconds_},
                      {"waiting for the disk", wait_seconds_}};
    return std::move(report_);
  }

 private:
  int Blocks() const { return static_cast<int>(layout_.blocks.size()); }
  int Units() const { return Blocks() + 1; }

  void Open(const std::string& identity) {
    std::vector<HiddenRing*> hidden;
    for (const StageRun& run : stages_) {
      if (run.hidden) hidden.push_back(run.hidden.get());
    }
    EarlierRun earlier = OpenEarlierRun(work_, identity, plan_, options_, hidden);
    journal_ = std::move(earlier.journal);
    first_ = report_.resumed_units = earlier.first_unit;
    report_.facts = std::move(earlier.facts);
    if (plan_.writes && !earlier.resumes) RemoveUnfinished(options_.save_path, plan_);
    if (plan_.writes) {
      writer_.emplace(plan_.layout, options_.save_path, *journal_, earlier.resumes, options_.memory.queue_bytes);
    }
    rest_ = plan_.family->MakeBlock(-1, source_);
    state_.emplace(RunState{.family = *plan_.family,
                            .plan = plan_.model,
                            .rest = *rest_,
                            .keep = options_.memory.keep,
                            .scratch = work_,
                            .idle_experts = options_.idle_experts,
                            .measure_errors = options_.measure_errors,
                            .ranges = &report_.ranges});
    for (size_t i = 0; i < stages_.size(); ++i) {
      if (!stages_[i].hidden) continue;
      stages_[i].pass.emplace(
          SamplePass{*plan_.family, *stages_[i].batch, options_.memory.chunks[i], options_.memory.keep, *rest_});
    }
  }

  void WalkBlocks() {
    // A stage's samples are embedded before a later one changes what stands outside of the blocks.
    for (StageRun& run : stages_) {
      for (auto& step : run.stage->steps) step->PreRun(*state_);
      if (run.hidden && first_ == 0) EmbedSamples(run);
    }
    const ReadAhead source(source_, std::span(layout_.blocks).subspan(std::min(first_, Blocks())),
                           options_.memory.ahead_bytes);
    if (options_.show_progress) progress_.emplace("quantizing", amount_.Total());
    if (progress_) progress_->Skip(amount_.Before(first_));
    for (int index = first_; index < Blocks(); ++index) {
      ThrowIfStopped();
      const std::unique_ptr<Block> block = plan_.family->MakeBlock(index, source);
      ProcessBlock(*block, index);
    }
  }

  void EmbedSamples(StageRun& run) {
    run.hidden->Create();
    const StageClock walk(&walk_seconds_), forward(&forward_seconds_);
    run.pass->Embed(run.hidden->current());
  }

  void ProcessBlock(Block& block, int index) {
    const bool last = index + 1 == Blocks();
    std::vector<const HiddenFile*> written;  // by every stage with data
    for (StageRun& run : stages_) {
      const StageClock clock(&walk_seconds_);
      WalkBlock(run.stage->steps, block, *state_, !last || head_, [&](Processor& step, bool wanted) {
        Forward(run, block, step, wanted ? &run.hidden->next() : nullptr);
      });
      if (run.hidden && (!last || head_)) written.push_back(&run.hidden->next());
    }
    const bool hands_on = !written.empty();
    Save(block, layout_.blocks[index].modules, layout_.blocks[index].attention, index, std::move(written));
    for (StageRun& run : stages_) {
      if (run.hidden && (!last || head_)) run.hidden->Turn();
    }
    // The file that the next block will write is the one the journal points to until this block's line is there.
    if (writer_ && hands_on && index > first_) {
      const StageClock clock(&wait_seconds_);
      writer_->WaitForUnit(index - 1);
    }
    if (progress_) progress_->Advance(amount_.Of(index), block.name());
  }

  // Forwards all samples through the block; `out` (null: nobody wants it) gets what the next block will read.
  void Forward(StageRun& run, Block& block, Processor& processor, HiddenFile* out) {
    const StageClock clock(&forward_seconds_);
    ExpertWatch watch(*plan_.family, work_, options_.idle_experts == IdleExperts::kAllTokens);
    run.pass->Forward(block, {processor.kv_observer(), &watch}, run.hidden->current(), out);
    watch.FeedIdle(block, options_.memory.keep, &state_->handled_experts);
    facts_.experts = watch.Coverage();
    ++report_.forwards;
    report_.gemm_flops +=
        2 * plan_.blocks[block.info().index].multiply_adds_per_token * static_cast<double>(run.batch->offsets.back());
  }

  void Save(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention, int unit,
            std::vector<const HiddenFile*> hidden) {
    const StageClock clock(&save_seconds_);
    plan_.family->BeforeSave(block, plan_.model.options.mends.zero_centred_norm);
    SaveModules(block, modules, attention, plan_, source_, {options_.measure_errors, plan_.writes}, state_->facts,
                writer_ ? &*writer_ : nullptr, &facts_);
    if (!state_->handled_experts.empty()) facts_.idle_experts = IdleExpertsName(options_.idle_experts);
    // The journal gets no unit that was made of weights other than those that its identity names.
    if (writer_) plan_.checkpoint->ThrowIfChanged();
    if (writer_) writer_->FinishUnit(unit, std::move(hidden), FactsText(facts_));
    Append(std::exchange(facts_, {}), &report_.facts);
    state_->handled_experts.clear();
  }

  // The head is quantized as the Linears of the blocks are, only that its step alone looks at it.
  void QuantizeHead() {
    LinearModule& head = *rest_->FindLinear(head_->name);
    for (StageRun& run : stages_) {
      for (const auto& step : run.stage->steps) {
        if (step->path() != plan_.model.decisions.linear(head_->name).by) continue;
        step->Preprocess(*rest_, *state_);
        if (step->NeedsData()) run.pass->ShowToHead(head, run.hidden->current());
        step->Postprocess(*rest_, *state_);
      }
    }
  }

  void FinishRest() {
    if (head_ && first_ < Units()) QuantizeHead();
    for (StageRun& run : stages_) {
      for (auto& step : run.stage->steps) step->PostRun(*state_);
    }
    const int unit = Units() - 1;
    if (first_ <= unit) {
      Save(*rest_, layout_.rest, {}, unit, {});
      if (progress_) progress_->Advance(amount_.Of(unit), "outside of the layers");
    }
    const StageClock clock(&wait_seconds_);
    if (writer_) writer_->Drain();
  }

  void Publish() {
    progress_.reset();
    PublishOutput(plan_, options_, report_, *writer_);
    writer_.reset();
    RemoveWork();
    SyncDirectory(options_.save_path);
  }

  void RemoveWork() {
    progress_.reset();
    journal_.reset();
    for (StageRun& run : stages_) run.hidden.reset();
    fs::remove_all(work_);
  }

  void KeepWhatIsFinished() {
    progress_.reset();
    if (!writer_) return;
    try {
      writer_->Drain();
    } catch (const std::exception& error) {
      LogDebug(std::string("while stopping: ") + error.what());
    }
  }

  RunPlan& plan_;
  const ModelLayout& layout_;
  const WeightSource& source_;
  const RunOptions& options_;
  const RunWork amount_;
  const ModuleInfo* head_;  // of the model, where it is quantized; null: it stays float
  fs::path work_;
  std::unique_ptr<Journal> journal_;
  std::vector<StageRun> stages_;
  std::unique_ptr<Block> rest_;
  std::optional<RunState> state_;
  std::optional<OutputWriter> writer_;
  std::optional<Progress> progress_;
  int first_ = 0;    // the first unit that is still to be done
  UnitFacts facts_;  // of the present unit
  RunReport report_;
  double walk_seconds_ = 0, forward_seconds_ = 0, save_seconds_ = 0, wait_seconds_ = 0;
};

}  // namespace

RunReport Execute(RunPlan& plan, const WeightSource& source, const StageBatches& batches, const std::string& identity,
                  const RunOptions& options) {
  return Run(plan, source, batches, options).Execute(identity);
}

}  // namespace modelslim
