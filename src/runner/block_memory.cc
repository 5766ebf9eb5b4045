#include "runner/block_memory.h"

#include <algorithm>
#include <utility>

#include "kernels/gemm.h"
#include "processor/observing/output_error.h"
#include "runner/save_modules.h"

namespace modelslim {
namespace {

constexpr auto kNothing = static_cast<size_t>(Keep::kNothing), kValues = static_cast<size_t>(Keep::kValues),
               kPacked = static_cast<size_t>(Keep::kPacked);

uint64_t Elements(const ModuleInfo& linear) {
  return static_cast<uint64_t>(linear.out_features() * linear.in_features());
}

DType TypeOf(const ModuleInfo& linear) { return linear.params.front().dtype; }

// Codes have a byte each; the scales of blocks and groups come on top.
uint64_t CodeBytes(const ModuleInfo& linear) { return Elements(linear) + Elements(linear) / 16; }

bool IsFourBits(QuantMode mode) { return WeightBits(mode, 32) < 8; }

// Whether what enters some Linears is rotated while the model runs.
bool RotatesInputs(const std::vector<PlannedFact>& facts) {
  return std::any_of(facts.begin(), facts.end(), [](const PlannedFact& fact) {
    const auto* const rotation = std::get_if<PlannedRotation>(&fact.what);
    return rotation != nullptr && rotation->role != RotationRole::kSite;
  });
}

// A step's turn on a block, and the widest type of its activations.
struct Turn {
  const Processor* step;
  size_t stage;
  DType dtype;
};

// In the order of work, as RecipeMemory::rewrites has the steps.
std::vector<Turn> TurnsOf(const RunPlan& plan, size_t block, DType own) {
  std::vector<Turn> turns;
  for (size_t stage = 0; stage < plan.stages.size(); ++stage) {
    const PlannedStage& planned = plan.stages[stage];
    for (size_t i = 0; i < planned.steps.size(); ++i) {
      turns.push_back({planned.steps[i].get(), stage, planned.needs_data() ? planned.types[block][i] : own});
    }
  }
  return turns;
}

template <class Array>
Array Plus(Array a, const Array& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

}  // namespace

int64_t MemoryInputs::tokens(size_t stage) const {
  return stage >= offsets.size() || offsets[stage].empty() ? 0 : offsets[stage].back();
}

int64_t MemoryInputs::tokens() const {
  int64_t most = 0;
  for (size_t stage = 0; stage < offsets.size(); ++stage) most = std::max(most, tokens(stage));
  return most;
}

int64_t MemoryInputs::longest() const {
  int64_t most = 0;
  for (const std::span<const int64_t> stage : offsets) {
    for (size_t i = 1; i < stage.size(); ++i) most = std::max(most, stage[i] - stage[i - 1]);
  }
  return most;
}

int64_t MemoryInputs::samples() const {
  int64_t most = 0;
  for (const std::span<const int64_t> stage : offsets) {
    most = std::max(most, static_cast<int64_t>(stage.size()) - 1);
  }
  return most;
}

RecipeMemory::RecipeMemory(const MemoryInputs& inputs) : shared(inputs.family) {
  if (inputs.plan == nullptr) return;
  if (const std::optional<RotationPlan> rotations = inputs.family.Rotations()) {
    for (const RotationStep& step : rotations->steps) {
      if (step.left) mixed_rows.insert(step.target);
    }
  }
  for (const PlannedStage& stage : inputs.plan->stages) {
    for (const auto& step : stage.steps) {
      const std::vector<std::string> names = step->Rewrites(inputs.family);
      rewrites.emplace_back(names.begin(), names.end());
    }
  }
}

BlockMemory::BlockMemory(const MemoryInputs& inputs, const RecipeMemory& recipe, const BlockInfo& block)
    : inputs_(inputs), recipe_(recipe), block_(block) {
  if (inputs.plan != nullptr) {
    AddSteps();
    return;
  }
  const DType dtype = inputs.family.layout().dtype;
  moments_.push_back({Weights(dtype, /*quantizing=*/false, /*multiplying=*/true), true, dtype});
}

void BlockMemory::AddSteps() {
  const RunPlan& plan = *inputs_.plan;
  const DType own = inputs_.family.layout().dtype;
  bool deployed = false, forwarded = false;  // so far: some Linears are quantized; the block has been forwarded
  uint64_t pending = 0, kept = 0;
  ByKeep codes{};
  const std::vector<Turn> turns = TurnsOf(plan, static_cast<size_t>(block_.index), own);
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto& [turn, stage, dtype] = turns[i];
    const Processor& step = *turn;
    const StepMemory memory = step.Memory({.family = inputs_.family,
                                           .plan = plan.model,
                                           .inputs = recipe_.shared,
                                           .block = block_,
                                           .dtype = dtype,
                                           .tokens = inputs_.tokens(stage),
                                           .measure_errors = inputs_.measure_errors});
    const auto add = [&, type = dtype](bool multiplying, uint64_t bytes, bool forwards) {
      ByKeep held = Plus(Weights(type, pending + codes[kValues] > 0 || deployed, multiplying), codes);
      for (uint64_t& each : held) each += kept + bytes;
      moments_.push_back({held, forwards, type});
    };
    std::set<std::string_view>& changed = step.NotesRewrites() ? noted_ : changed_;
    const auto change = [&, at = i] {
      for (const ModuleInfo& module : block_.modules) {
        if (recipe_.rewrites[at].contains(module.name)) changed.insert(module.name);
      }
    };
    if (step.NotesRewrites()) change();
    pending += memory.codes;
    if (step.NeedsData()) {
      // Where nothing is kept, they are made again whenever they are needed.
      codes[kValues] += pending;
      codes[kPacked] += pending;
      pending = 0;
      forwarded = true;
      add(/*multiplying=*/true, memory.watching, /*forwards=*/true);
    }
    change();
    if (forwarded) add(memory.runs_again, memory.watching + memory.finishing, memory.runs_again);
    kept += memory.kept;
    deployed = deployed || memory.codes > 0 || memory.kept > 0;
    if (step.ForwardsAgain()) add(/*multiplying=*/true, 0, /*forwards=*/true);
  }
  ByKeep held = codes;
  for (uint64_t& each : held) each += kept;
  AddSave(held, forwarded, kept);
}

void BlockMemory::AddSave(const ByKeep& held, bool forwarded, uint64_t sampled_bytes) {
  const int64_t sampled =
      sampled_bytes > 0 && inputs_.measure_errors ? std::min(SampledRows(block_), inputs_.tokens()) : 0;
  ByKeep weights = Weights(DType::kF32, false, false), work{};
  // What is kept for the next forward is released before the block is written; without a forward nothing was loaded.
  weights[kPacked] = forwarded ? weights[kPacked] : weights[kNothing];
  weights[kValues] = forwarded ? weights[kValues] : weights[kNothing];
  for (const ModuleInfo& module : block_.modules) {
    if (module.kind != ModuleKind::kLinear) continue;
    const bool changed = changed_.contains(module.name) && ExpertOf(module.name).empty();
    uint64_t load = IsLoaded(module) ? WeightBytes(module) : 0;
    if (!IsQuantized(module) && !changed && !recipe_.mixed_rows.contains(module.name)) {
      load = std::min(load, kPieceBytes);
    }
    const uint64_t code = IsQuantized(module) ? CodeBytes(module) : 0;
    for (size_t keep = 0; keep < work.size(); ++keep) {
      const bool in_memory = forwarded && keep != kNothing;
      const uint64_t missing = (in_memory || changed ? 0 : load) + (in_memory ? 0 : code);
      work[keep] = std::max(work[keep], missing + Saving(module, sampled));
    }
    const QuantMode mode = inputs_.plan->model.decisions.linear(module.name).mode;
    const bool sparse = mode == QuantMode::kW16A16S;
    const uint64_t output = sparse                 ? WeightBytes(module)
                            : !IsQuantized(module) ? load
                            : IsFourBits(mode)     ? Elements(module) / 2
                                                   : Elements(module);
    largest_output_ = std::max(largest_output_, output);
  }
  moments_.push_back({Plus(Plus(held, weights), work), false, DType::kF32});
}

uint64_t BlockMemory::Peak(int64_t rows, Keep keep) const {
  ForwardForm form;
  form.rows = rows;
  form.longest = std::min(rows, inputs_.longest());
  form.samples = form.longest > 0 ? std::min<int64_t>(inputs_.samples() + 1, rows) : 0;
  if (inputs_.plan != nullptr) {
    form.absorbed = HasFact<PlannedFaScales>(inputs_.plan->model.decisions.facts);
    form.rotates = RotatesInputs(inputs_.plan->model.decisions.facts);
  }
  uint64_t peak = 0;
  for (const Moment& moment : moments_) {
    form.dtype = moment.dtype;
    const uint64_t forward = moment.forwards ? inputs_.family.ForwardBytes(block_.index, form) : 0;
    peak = std::max(peak, moment.held[static_cast<size_t>(keep)] + forward);
  }
  return peak;
}

BlockMemory::ByKeep BlockMemory::Weights(DType activations, bool quantizing, bool multiplying) const {
  ByKeep sum{}, most{};
  for (const ModuleInfo& module : block_.modules) {
    if (module.kind != ModuleKind::kLinear || !inputs_.family.IsForwarded(module)) continue;
    const uint64_t values = IsLoaded(module) ? WeightBytes(module) : 0;
    if (changed_.contains(module.name) && ExpertOf(module.name).empty()) sum[kNothing] += values;
    sum[kValues] += values;
    sum[kPacked] += values + PackedBytes(module.out_features(), module.in_features(), activations, TypeOf(module));
    const ByKeep product = Multiplying(module, activations, quantizing && IsQuantized(module));
    for (size_t keep = 0; keep < most.size(); ++keep) most[keep] = std::max(most[keep], product[keep]);
  }
  return multiplying ? Plus(sum, most) : sum;
}

BlockMemory::ByKeep BlockMemory::Multiplying(const ModuleInfo& linear, DType activations, bool quantizing) const {
  const int64_t out = linear.out_features(), in = linear.in_features();
  const uint64_t load = IsLoaded(linear) ? WeightBytes(linear) : 0;
  ByKeep bytes{};
  if (!quantizing) {
    bytes[kNothing] = load + LinearScratch(0, out, in, activations, TypeOf(linear), activations);
    bytes[kValues] = bytes[kNothing] - load;
    return bytes;
  }
  // The values behind the codes, until they are packed.
  const uint64_t values = WeightBytes(linear), packed = PackedBytes(out, in, activations, TypeOf(linear));
  bytes[kNothing] = load + CodeBytes(linear) + values + packed;
  bytes[kValues] = values + packed;
  bytes[kPacked] = values;
  return bytes;
}

uint64_t BlockMemory::Saving(const ModuleInfo& linear, int64_t sampled_rows) const {
  const uint64_t values = WeightBytes(linear);
  if (!IsQuantized(linear)) return 0;
  const QuantMode mode = inputs_.plan->model.decisions.linear(linear.name).mode;
  const uint64_t packing = IsFourBits(mode) ? Elements(linear) / 2 : 0;
  if (!inputs_.measure_errors) return packing;
  uint64_t comparing = values;
  if (sampled_rows > 0) {
    const int64_t out = linear.out_features(), in = linear.in_features();
    comparing += LinearScratch(sampled_rows, out, in, DType::kF32, TypeOf(linear), DType::kF32) +
                 static_cast<uint64_t>(sampled_rows * (in + 2 * out)) * sizeof(float);
  }
  return std::max(packing, comparing);
}

bool BlockMemory::IsLoaded(const ModuleInfo& linear) const {
  return changed_.contains(linear.name) || noted_.contains(linear.name) ||
         !inputs_.source.IsInPlace(linear.params.front());
}

bool BlockMemory::IsQuantized(const ModuleInfo& linear) const {
  if (inputs_.plan == nullptr) return false;
  const QuantMode mode = inputs_.plan->model.decisions.linear(linear.name).mode;
  return mode != QuantMode::kFloat && mode != QuantMode::kW16A16S;
}

}  // namespace modelslim
