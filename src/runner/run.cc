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

class Run {
 public:
  Run(RunPlan& plan, const WeightSource& source, const TokenBatch* batch, const RunOptions& options)
      : plan_(plan),
        layout_(plan.family->layout()),
        source_(source),
        batch_(batch),
        options_(options),
        amount_(plan, batch),
        work_(WorkDirectory(options.save_path)) {
    if (!plan.needs_data) return;
    if (batch == nullptr || batch->offsets.size() < 2) {
      throw Error(ErrorCode::kInvalidDataset, "the recipe needs calibration data, and the dataset has no samples",
                  "give a dataset with at least one sample in spec.dataset");
    }
    hidden_.emplace(work_, batch->offsets.back(), plan.family->HiddenWidth());
  }

  RunReport Execute(const std::string& identity) {
    const auto start = Clock::now();
    const WorkDirectoryLock lock(work_);
    Open(identity);
    try {
      WalkBlocks();
      FinishRest();
      if (writer_) Publish();
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
    if (plan_.needs_data) report_.tokens = batch_->offsets.back();
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
    EarlierRun earlier = OpenEarlierRun(work_, identity, plan_, options_, hidden_ ? &*hidden_ : nullptr);
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
                            .measure_errors = options_.measure_errors});
    if (plan_.needs_data) pass_.emplace(SamplePass{*plan_.family, *batch_, options_.memory, *rest_});
  }

  void WalkBlocks() {
    for (auto& processor : plan_.processors) processor->PreRun(*state_);
    const ReadAhead source(source_, std::span(layout_.blocks).subspan(std::min(first_, Blocks())),
                           options_.memory.ahead_bytes);
    if (plan_.needs_data && first_ == 0) EmbedSamples();
    if (options_.show_progress) progress_.emplace("quantizing", amount_.Total());
    if (progress_) progress_->Skip(amount_.Before(first_));
    for (int index = first_; index < Blocks(); ++index) {
      ThrowIfStopped();
      const std::unique_ptr<Block> block = plan_.family->MakeBlock(index, source);
      ProcessBlock(*block, index);
    }
  }

  void EmbedSamples() {
    hidden_->Create();
    const StageClock walk(&walk_seconds_), forward(&forward_seconds_);
    pass_->Embed(hidden_->current());
  }

  void ProcessBlock(Block& block, int index) {
    const bool last = index + 1 == Blocks(), hands_on = plan_.needs_data && !last;
    {
      const StageClock clock(&walk_seconds_);
      WalkBlock(plan_.processors, block, *state_, !last,
                [&](Processor& step, bool wanted) { Forward(block, step, wanted ? &hidden_->next() : nullptr); });
    }
    Save(block, layout_.blocks[index].modules, layout_.blocks[index].attention, index,
         hands_on ? &hidden_->next() : nullptr);
    if (hands_on) hidden_->Turn();
    // The file that the next block will write is the one the journal points to until this block's line is there.
    if (writer_ && hands_on && index > first_) {
      const StageClock clock(&wait_seconds_);
      writer_->WaitForUnit(index - 1);
    }
    if (progress_) progress_->Advance(amount_.Of(index), block.name());
  }

  // Forwards all samples through the block; `out` (null: nobody wants it) gets what the next block will read.
  void Forward(Block& block, Processor& processor, HiddenFile* out) {
    const StageClock clock(&forward_seconds_);
    ExpertWatch watch(*plan_.family, work_, options_.idle_experts == IdleExperts::kAllTokens);
    pass_->Forward(block, {processor.kv_observer(), &watch}, hidden_->current(), out);
    watch.FeedIdle(block, options_.memory.keep, &state_->handled_experts);
    facts_.experts = watch.Coverage();
    ++report_.forwards;
    report_.gemm_flops +=
        2 * plan_.blocks[block.info().index].multiply_adds_per_token * static_cast<double>(batch_->offsets.back());
  }

  void Save(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention, int unit,
            const HiddenFile* hidden) {
    const StageClock clock(&save_seconds_);
    plan_.family->BeforeSave(block, plan_.model.options.mends.zero_centred_norm);
    SaveModules(block, modules, attention, plan_, source_, {options_.measure_errors, plan_.writes}, state_->facts,
                writer_ ? &*writer_ : nullptr, &facts_);
    if (!state_->handled_experts.empty()) facts_.idle_experts = IdleExpertsName(options_.idle_experts);
    // The journal gets no unit that was made of weights other than those that its identity names.
    if (writer_) plan_.checkpoint->ThrowIfChanged();
    if (writer_) writer_->FinishUnit(unit, hidden, FactsText(facts_));
    Append(std::exchange(facts_, {}), &report_.facts);
    state_->handled_experts.clear();
  }

  void FinishRest() {
    for (auto& processor : plan_.processors) processor->PostRun(*state_);
    const int unit = Units() - 1;
    if (first_ <= unit) {
      Save(*rest_, layout_.rest, {}, unit, nullptr);
      if (progress_) progress_->Advance(amount_.Of(unit), "outside of the layers");
    }
    const StageClock clock(&wait_seconds_);
    if (writer_) writer_->Drain();
  }

  void Publish() {
    progress_.reset();
    PublishOutput(plan_, options_, report_, *writer_);
    writer_.reset();
    journal_.reset();
    hidden_.reset();
    fs::remove_all(work_);
    SyncDirectory(options_.save_path);
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
  const TokenBatch* batch_;
  const RunOptions& options_;
  const RunWork amount_;
  fs::path work_;
  std::unique_ptr<Journal> journal_;
  std::optional<HiddenRing> hidden_;  // with data only
  std::unique_ptr<Block> rest_;
  std::optional<RunState> state_;
  std::optional<SamplePass> pass_;  // with data only
  std::optional<OutputWriter> writer_;
  std::optional<Progress> progress_;
  int first_ = 0;    // the first unit that is still to be done
  UnitFacts facts_;  // of the present unit
  RunReport report_;
  double walk_seconds_ = 0, forward_seconds_ = 0, save_seconds_ = 0, wait_seconds_ = 0;
};

}  // namespace

RunReport Execute(RunPlan& plan, const WeightSource& source, const TokenBatch* batch, const std::string& identity,
                  const RunOptions& options) {
  return Run(plan, source, batch, options).Execute(identity);
}

}  // namespace modelslim
