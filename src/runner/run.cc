#include "runner/run.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stop.h"
#include "runner/expert_watch.h"
#include "runner/hidden_store.h"
#include "runner/journal.h"
#include "runner/output_writer.h"
#include "runner/publish.h"
#include "runner/read_ahead.h"
#include "runner/resume.h"
#include "runner/sample_pass.h"
#include "runner/save_modules.h"
#include "runner/work_directory.h"

namespace modelslim {
namespace {

using Clock = std::chrono::steady_clock;

// Three files take turns: one is read, one is written, and one is what the journal would go back to.
constexpr int kHiddenFiles = 3;

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
        work_(WorkDirectory(options.save_path)) {
    if (plan.needs_data && (batch == nullptr || batch->offsets.size() < 2)) {
      throw Error(ErrorCode::kInvalidDataset, "the recipe needs calibration data, and the dataset has no samples",
                  "give a dataset with at least one sample in spec.dataset");
    }
    for (const auto& processor : plan.processors) {
      if (processor->NeedsData()) final_step_ = processor.get();
    }
  }

  RunReport Execute(const std::string& identity) {
    const auto start = Clock::now();
    const WorkDirectoryLock lock(work_);
    OpenJournal(identity);
    if (plan_.writes && !resumes_) RemoveUnfinished(options_.save_path, plan_.layout);
    if (plan_.writes)
      writer_.emplace(plan_.layout, options_.save_path, *journal_, resumes_, options_.memory.queue_bytes);
    rest_ = plan_.family->MakeBlock(-1, source_);
    state_.emplace(RunState{.family = *plan_.family,
                            .plan = plan_.model,
                            .rest = *rest_,
                            .keep = options_.memory.keep,
                            .scratch = work_,
                            .output = options_.save_path,
                            .idle_experts = options_.idle_experts,
                            .measure_errors = options_.measure_errors});
    if (plan_.needs_data) pass_.emplace(SamplePass{*plan_.family, *batch_, options_.memory, *rest_});
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
                      {"processors", process_seconds_},
                      {"quantize and queue", save_seconds_},
                      {"waiting for the disk", wait_seconds_}};
    return std::move(report_);
  }

 private:
  int Units() const { return static_cast<int>(layout_.blocks.size()) + 1; }

  // Finds out where to begin. An earlier run counts only if everything it left is as its journal says.
  void OpenJournal(const std::string& identity) {
    journal_.emplace(work_ / "journal.jsonl", identity, options_.fresh);
    if (journal_->replaced_other()) {
      LogInfo("the directory holds an interrupted run of other settings; starting from the beginning");
    }
    if (journal_->finished().empty()) return;
    if (CanResume()) {
      resumes_ = true;
      for (const JournalUnit& unit : journal_->finished()) {
        first_ = std::max(first_, unit.unit + 1);
        Append(*ParseFacts(unit.facts), &report_.facts);
      }
      report_.resumed_units = first_;
      LogInfo("going on after " + std::to_string(first_) + " of " + std::to_string(Units()) +
              " finished units, whose tensors are on the disk as they were written; --fresh would start over");
      return;
    }
    LogWarning(options_.save_path.string() + ": an interrupted run was found, but " + why_not_ +
               "; starting from the beginning, as with --fresh");
    journal_.reset();
    journal_.emplace(work_ / "journal.jsonl", identity, true);
  }

  // Says in why_not_ what stands against it.
  bool CanResume() {
    if (!plan_.writes) return false;
    const std::vector<JournalUnit>& finished = journal_->finished();
    for (const JournalUnit& unit : finished) {
      const std::optional<UnitFacts> facts = ParseFacts(unit.facts);
      if (!facts) {
        why_not_ = "what its journal tells of unit " + std::to_string(unit.unit) + " is damaged";
        return false;
      }
      if (!facts->idle_experts.empty() && facts->idle_experts != IdleExpertsName(options_.idle_experts)) {
        why_not_ = "--idle-experts was " + facts->idle_experts + " before, and it mattered";
        return false;
      }
    }
    why_not_ = WhyNotResumed(plan_.layout, options_.save_path, finished, Units());
    if (!why_not_.empty()) return false;
    if (!plan_.needs_data || finished.size() >= layout_.blocks.size()) return true;
    why_not_ = "the hidden states that it left are not as its journal says";
    return FindHidden(finished.back().hidden);
  }

  // The file from which the next block reads on.
  bool FindHidden(const std::optional<SavedHidden>& saved) {
    const std::optional<DType> dtype = saved ? ParseDType(saved->dtype) : std::nullopt;
    if (!dtype || !IsModelDType(*dtype)) return false;
    MakeHiddenFiles(/*keep=*/true);
    for (int i = 0; i < kHiddenFiles; ++i) {
      if (hidden_[i]->path().filename() != saved->file) continue;
      hidden_[i]->set_dtype(*dtype);
      current_ = i;
      return HashOf(*hidden_[i]) == saved->hash;
    }
    return false;
  }

  void MakeHiddenFiles(bool keep) {
    for (int i = 0; i < kHiddenFiles; ++i) {
      hidden_[i] = std::make_unique<HiddenFile>(work_ / ("hidden-" + std::to_string(i)), batch_->offsets.back(),
                                                plan_.family->HiddenWidth(), keep);
    }
  }

  void WalkBlocks() {
    for (auto& processor : plan_.processors) processor->PreRun(*state_);
    const int blocks = static_cast<int>(layout_.blocks.size());
    const ReadAhead source(source_, std::span(layout_.blocks).subspan(std::min(first_, blocks)),
                           options_.memory.ahead_bytes);
    if (plan_.needs_data && first_ == 0) EmbedSamples();
    if (options_.show_progress) progress_.emplace("quantizing", TotalWork());
    if (progress_) progress_->Skip(WorkBefore(first_));
    for (int index = first_; index < blocks; ++index) {
      ThrowIfStopped();
      const std::unique_ptr<Block> block = plan_.family->MakeBlock(index, source);
      ProcessBlock(*block, index);
    }
  }

  void EmbedSamples() {
    MakeHiddenFiles(/*keep=*/false);
    const StageClock clock(&forward_seconds_);
    pass_->Embed(*hidden_[current_]);
  }

  void ProcessBlock(Block& block, int index) {
    const bool last = index + 1 == static_cast<int>(layout_.blocks.size());
    const int target = (current_ + 1) % kHiddenFiles;
    for (auto& processor : plan_.processors) {
      {
        const StageClock clock(&process_seconds_);
        processor->Preprocess(block, *state_);
      }
      const bool hands_on = processor.get() == final_step_ && !last;
      if (processor->NeedsData()) {
        Forward(block, *processor, hands_on && !processor->ForwardsAgain() ? hidden_[target].get() : nullptr);
      }
      {
        const StageClock clock(&process_seconds_);
        processor->Postprocess(block, *state_);
      }
      if (processor->ForwardsAgain() && hands_on) Forward(block, *processor, hidden_[target].get());
    }
    const bool handed_on = final_step_ != nullptr && !last;
    Save(block, layout_.blocks[index].modules, layout_.blocks[index].attention, index,
         handed_on ? hidden_[target].get() : nullptr);
    if (handed_on) current_ = target;
    // The file that the next block will write is the one the journal points to until this block's line is there.
    if (writer_ && plan_.needs_data && index > 0 && !last) {
      const StageClock clock(&wait_seconds_);
      if (index > first_) writer_->WaitForUnit(index - 1);
    }
    if (progress_) progress_->Advance(WorkOf(index), block.name());
  }

  // Forwards all samples through the block; `out` (null: nobody wants it) gets what the next block will read.
  void Forward(Block& block, Processor& processor, HiddenFile* out) {
    const StageClock clock(&forward_seconds_);
    ExpertWatch watch(*plan_.family, work_, options_.idle_experts == IdleExperts::kAllTokens);
    pass_->Forward(block, {processor.kv_observer(), &watch}, *hidden_[current_], out);
    watch.FeedIdle(block, options_.memory.keep, &state_->handled_experts);
    facts_.experts = watch.Coverage();
    ++report_.forwards;
    report_.gemm_flops +=
        2 * plan_.blocks[block.info().index].multiply_adds_per_token * static_cast<double>(batch_->offsets.back());
  }

  void Save(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention, int unit,
            const HiddenFile* hidden) {
    const StageClock clock(&save_seconds_);
    plan_.family->BeforeSave(block, plan_.model.mends.zero_centred_norm);
    SaveModules(block, modules, attention, plan_, source_, {options_.measure_errors, plan_.writes}, state_->extras,
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
      if (progress_) progress_->Advance(WorkOf(unit), "outside of the layers");
    }
    const StageClock clock(&wait_seconds_);
    if (writer_) writer_->Drain();
  }

  void Publish() {
    progress_.reset();
    PublishOutput(plan_, options_, report_, *writer_);
    writer_.reset();
    journal_.reset();
    for (auto& file : hidden_) file.reset();
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

  // Work in bytes moved, a forward counting as what it multiplies.
  double WorkOf(int unit) const {
    const BlockCost& cost = plan_.blocks[unit];
    const double tokens = batch_ != nullptr && plan_.needs_data ? static_cast<double>(batch_->offsets.back()) : 0;
    constexpr double kMultiplyAddsPerByte = 50;  // what a machine does of one while it does the other, roughly
    return static_cast<double>(cost.bytes_read + cost.bytes_written) +
           cost.multiply_adds_per_token * tokens * cost.forwards / kMultiplyAddsPerByte;
  }
  double WorkBefore(int unit) const {
    double work = 0;
    for (int i = 0; i < unit; ++i) work += WorkOf(i);
    return work;
  }
  double TotalWork() const { return WorkBefore(Units()); }

  RunPlan& plan_;
  const ModelLayout& layout_;
  const WeightSource& source_;
  const TokenBatch* batch_;
  const RunOptions& options_;
  fs::path work_;
  const Processor* final_step_ = nullptr;  // the last one that needs data: what it forwards the next block reads
  std::optional<Journal> journal_;
  std::array<std::unique_ptr<HiddenFile>, kHiddenFiles> hidden_;
  int current_ = 0;  // the hidden file that the next block reads
  std::unique_ptr<Block> rest_;
  std::optional<RunState> state_;
  std::optional<SamplePass> pass_;  // with data only
  std::optional<OutputWriter> writer_;
  std::optional<Progress> progress_;
  bool resumes_ = false;
  std::string why_not_;  // an earlier run is not resumed
  int first_ = 0;        // the first unit that is still to be done
  UnitFacts facts_;      // of the present unit
  RunReport report_;
  double forward_seconds_ = 0, process_seconds_ = 0, save_seconds_ = 0, wait_seconds_ = 0;
};

}  // namespace

RunReport Execute(RunPlan& plan, const WeightSource& source, const TokenBatch* batch, const std::string& identity,
                  const RunOptions& options) {
  return Run(plan, source, batch, options).Execute(identity);
}

}  // namespace modelslim
