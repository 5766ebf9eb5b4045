#include "eval/evaluate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/progress.h"
#include "base/stop.h"
#include "eval/eval_state.h"
#include "kernels/gemm.h"

namespace modelslim {
namespace {

constexpr int64_t kTile = 2048;  // tokens of the vocabulary; sums depend on it
constexpr int64_t kRowsAtOnce = 1024;

// The head of one model: final norm and the matrix, some of its rows at a time.
class Head {
 public:
  explicit Head(Stream& stream) : stream_(stream), linear_(stream.rest().linear("lm_head")) {}

  int64_t vocabulary() const { return linear_.info().out_features(); }

  void Take(int64_t begin, int64_t end) {
    Parameter& weight = linear_.weight();
    if (weight.ComesInRows()) {
      const Tensor rows = weight.LoadRows(begin, end);
      packed_.emplace(rows.view(), DType::kF32);
    } else {
      const Tensor rows = ConvertTo(weight.Get().Rows(begin, end), DType::kF32);
      packed_.emplace(rows.view(), DType::kF32);
    }
    bias_ = {};
    if (linear_.bias() == nullptr) return;
    const ConstView all = linear_.bias()->Get();
    bias_ = Tensor(DType::kF32, {end - begin});
    for (int64_t i = begin; i < end; ++i) bias_.as<float>()[i - begin] = ElementAsF32(all, i);
  }

  Tensor Logits(int64_t begin, int64_t end, int64_t tokens) {
    const Tensor normed = stream_.rest().norm("model.norm").Forward(stream_.states().Rows(begin, end));
    Tensor logits(DType::kF32, {end - begin, tokens});
    packed_->Apply(normed.view(), bias_ ? std::as_const(bias_).view() : ConstView{}, logits.view());
    return logits;
  }

 private:
  Stream& stream_;
  LinearModule& linear_;
  std::optional<PackedWeight> packed_;
  Tensor bias_;
};

std::vector<int32_t> Targets(const TokenBatch& windows) {
  std::vector<int32_t> targets(windows.ids.size(), -1);
  for (int64_t s = 0; s < windows.samples(); ++s) {
    for (int64_t i = windows.offsets[s]; i + 1 < windows.offsets[s + 1]; ++i)
      targets[static_cast<size_t>(i)] = windows.ids[static_cast<size_t>(i + 1)];
  }
  return targets;
}

class Evaluation {
 public:
  Evaluation(const EvalModel& model, const EvalModel* reference, const TokenBatch& windows, const EvalOptions& options)
      : windows_(windows), options_(options), state_(options.directory, options.identity) {
    model_.emplace(model, windows, options.memory_limit, options.directory, "model", state_.blocks());
    if (reference != nullptr)
      reference_.emplace(*reference, windows, options.memory_limit, options.directory, "reference", state_.blocks());
  }

  EvalReport Run() {
    const int blocks = model_->model().blocks();
    const double work = blocks + 1.0;
    progress_.emplace("evaluating", work);
    progress_->Skip(state_.blocks());
    report_.resumed = state_.resumed();
    report_.layers = state_.layers();
    if (state_.resumed()) LogInfo("goes on behind layer " + std::to_string(state_.blocks()));
    if (!state_.resumed()) Begin();
    if (options_.layers && reference_) PrepareLayers();
    for (int index = state_.blocks(); index < blocks; ++index) {
      ThrowIfStopped();
      Block(index);
      progress_->Advance(1, model_->model().family->layout().blocks[static_cast<size_t>(index)].name);
    }
    Scores();
    progress_.reset();
    state_.Remove();
    return std::move(report_);
  }

 private:
  void Begin() {
    model_->Embed();
    if (reference_) reference_->Embed();
    Save(0);
  }

  void PrepareLayers() {
    compare_.emplace(*model_, *reference_, windows_.ids);
    if (!compare_->possible()) {
      report_.no_layers =
          "the output's hidden states are rotated, and it does not hold the rotation (quarot with export_extra_info "
          "writes it)";
      compare_.reset();
    }
  }

  void Block(int index) {
    LayerError error;
    if (reference_) {
      const HiddenFile& entered = reference_->states();
      reference_->Forward(index);
      if (compare_) error.forced = compare_->Forced(*model_, index, entered, reference_->states());
    }
    model_->Forward(index);
    if (compare_) {
      error.streamed = compare_->Streamed(*model_, *reference_);
      error.block = model_->model().family->layout().blocks[static_cast<size_t>(index)].name;
      report_.layers.push_back(std::move(error));
    }
    Save(index + 1);
  }

  void Save(int blocks) {
    if (options_.directory.empty()) return;
    model_->Sync();
    if (reference_) reference_->Sync();
    state_.Save(blocks, report_.layers);
  }

  void Scores() {
    TokenScan scan(Targets(windows_));
    Head head(*model_);
    std::optional<Head> other;
    if (reference_) other.emplace(*reference_);
    const int64_t rows = windows_.offsets.back(), vocabulary = head.vocabulary();
    for (int64_t token = 0; token < vocabulary; token += kTile) {
      const int64_t end = std::min(vocabulary, token + kTile);
      head.Take(token, end);
      if (other) other->Take(token, end);
      for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
        ThrowIfStopped();
        const int64_t last = std::min(rows, row + kRowsAtOnce);
        const Tensor own = head.Logits(row, last, end - token);
        const Tensor theirs = other ? other->Logits(row, last, end - token) : Tensor();
        scan.Add(row, token, own.view(), theirs ? theirs.view() : ConstView{});
      }
    }
    report_.scores = Summarize(scan.Scores(), windows_.offsets[1] - 1);
  }

  const TokenBatch& windows_;
  const EvalOptions& options_;
  EvalState state_;
  std::optional<Stream> model_, reference_;
  std::optional<LayerCompare> compare_;
  std::optional<Progress> progress_;
  EvalReport report_;
};

}  // namespace

EvalReport Evaluate(const EvalModel& model, const EvalModel* reference, const TokenBatch& windows,
                    const EvalOptions& options) {
  return Evaluation(model, reference, windows, options).Run();
}

}  // namespace modelslim
