#include "app/summary.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "plan/lost_tensors.h"
#include "processor/linears/linear_result.h"

namespace modelslim {
namespace {

constexpr size_t kWorst = 10;

// Bits that a weight of the decoder layers' Linears takes on the average, and the same with everything that belongs to
// them.
struct Bits {
  double codes = 0, all = 0;
};

Bits BitsPerWeight(const Session& session) {
  double weights = 0, code_bits = 0, all_bits = 0;
  const RunPlan& plan = session.plan;
  for (const BlockInfo& block : session.family->layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      const auto count = static_cast<double>(module.out_features() * module.in_features());
      const LinearDecision& decision = plan.model.decisions.linear(module.name);
      weights += count;
      code_bits += count * WeightBits(decision.mode, 8.0 * static_cast<double>(DTypeSize(module.params.front().dtype)));
    }
  }
  for (const OutputTensor& tensor : plan.layout.tensors) {
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (plan.model.decisions.linears.count(module) > 0) all_bits += 8.0 * static_cast<double>(tensor.bytes());
  }
  return weights == 0 ? Bits{} : Bits{code_bits / weights, all_bits / weights};
}

// The entries with the largest values of `measure`, largest first; those without one are left out.
std::vector<const LedgerEntry*> Worst(const RunReport& report, double (*measure)(const LedgerEntry&)) {
  std::vector<const LedgerEntry*> order;
  for (const LedgerEntry& entry : report.facts.tensors) {
    if (measure(entry) > 0) order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) { return measure(*a) > measure(*b); });
  order.resize(std::min(order.size(), kWorst));
  return order;
}

double WeightErrorOf(const LedgerEntry& entry) { return entry.weight_error; }
double OutputErrorOf(const LedgerEntry& entry) { return entry.output_error.value_or(0); }

void PrintWorst(const RunReport& report, std::ostream& out) {
  const std::vector<const LedgerEntry*> outputs = Worst(report, OutputErrorOf), weights = Worst(report, WeightErrorOf);
  if (!outputs.empty()) {
    fmt::print(out, "largest output errors (of sampled calibration rows, relative to the float output's norm)\n");
    for (const LedgerEntry* entry : outputs) {
      fmt::print(out, "  {:<56} {:<18} {:.4f}  weight {:.4f}{}\n", entry->name, entry->type, *entry->output_error,
                 entry->weight_error,
                 entry->range_from.empty() ? "" : "  range by --idle-experts " + entry->range_from);
    }
  }
  if (weights.empty()) return;
  fmt::print(out, "largest weight errors (relative to the weight's norm; all of them in {})\n", kLedgerFile);
  for (const LedgerEntry* entry : weights) {
    fmt::print(out, "  {:<56} {:<18} {:.4f}  clipped {:.3f} %\n", entry->name, entry->type, entry->weight_error,
               entry->clipped_share * 100);
  }
}

// How evenly the calibration tokens spread over the experts, and which of them got none.
void PrintExperts(const RunReport& report, std::ostream& out) {
  std::vector<int64_t> tokens;
  std::vector<std::string> idle;
  for (const ExpertCoverage& layer : report.facts.experts) {
    tokens.insert(tokens.end(), layer.tokens.begin(), layer.tokens.end());
    for (const int64_t expert : layer.Idle()) idle.push_back(fmt::format("{}.{}", layer.experts, expert));
  }
  if (tokens.empty()) return;
  std::sort(tokens.begin(), tokens.end());
  fmt::print(out, "experts           {} in {} layers; calibration tokens of an expert: least {}, median {}, most {}\n",
             tokens.size(), report.facts.experts.size(), tokens.front(), tokens[tokens.size() / 2], tokens.back());
  if (idle.empty()) return;
  constexpr size_t kNamed = 5;
  const size_t named = std::min(idle.size(), kNamed);
  fmt::print(out, "idle experts      {}: {}{}{}\n", idle.size(), fmt::join(idle.begin(), idle.begin() + named, ", "),
             idle.size() > named ? fmt::format(" and {} more (see {})", idle.size() - named, kLedgerFile) : "",
             report.facts.idle_experts.empty() ? "" : "; handled by --idle-experts " + report.facts.idle_experts);
}

// Scales of static inputs that servers round, although deq_scale was made from the unrounded ones.
void PrintRoundedScales(const Session& session, const RunReport& report, std::ostream& out) {
  const DType served = ServedScaleType(session.family->layout().dtype);
  int64_t scales = 0, rounded = 0;
  double worst = 0;
  for (const LedgerEntry& entry : report.facts.tensors) {
    if (!entry.input) continue;
    ++scales;
    const double ratio = RoundTo(served, static_cast<float>(entry.input->scale)) / entry.input->scale;
    if (ratio == 1) continue;
    ++rounded;
    worst = std::max(worst, std::abs(ratio - 1));
  }
  if (rounded == 0) return;
  fmt::print(out,
             "input scales      {} of {} are no {} numbers, and servers round them (by up to {:.2f} %) beside a "
             "deq_scale made from the exact ones: --mend bf16-scales\n",
             rounded, scales, DTypeName(served), worst * 100);
}

// Tensors of the source that were copied although they hold NaN or infinity.
void PrintNotFinite(const RunReport& report, std::ostream& out) {
  constexpr size_t kNamed = 20;
  const std::vector<NotFiniteTensor>& tensors = report.facts.not_finite;
  for (size_t i = 0; i < std::min(tensors.size(), kNamed); ++i) {
    fmt::print(out, "warning           {} holds {} (element {}); it was copied as it is\n", tensors[i].name,
               tensors[i].value, tensors[i].index);
  }
  if (tensors.size() > kNamed)
    fmt::print(out, "warning           {} more tensors are not finite (see {})\n", tensors.size() - kNamed,
               kLedgerFile);
}

}  // namespace

void PrintSummary(const Session& session, const RunReport& report, const VerifyReport* verified, uint64_t peak_memory,
                  std::ostream& out) {
  std::map<std::string, int> types;
  for (const LedgerEntry& entry : report.facts.tensors) ++types[entry.type];
  const Bits bits = BitsPerWeight(session);
  const auto source = static_cast<double>(session.checkpoint->total_bytes());
  fmt::print(out, "\ndone in {}\n", FormatDuration(report.seconds));
  std::string list;
  for (const auto& [type, count] : types) list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, type);
  fmt::print(out, "quantized layers  {}\n", list.empty() ? "none" : list);
  fmt::print(out, "stays float       {}\n", FloatShareText(session.plan.floats));
  fmt::print(out, "bits per weight   {:.2f} (with scales and biases {:.2f}) in the decoder layers\n", bits.codes,
             bits.all);
  fmt::print(out, "size              {} -> {} ({:.0f} %)\n", FormatBytes(session.checkpoint->total_bytes()),
             FormatBytes(report.output_bytes), 100.0 * static_cast<double>(report.output_bytes) / source);
  for (const StageTime& stage : report.stages)
    fmt::print(out, "{:<17} {}\n", stage.name, FormatDuration(stage.seconds));
  if (report.forwards > 0) {
    fmt::print(out, "forwards          {} blocks x {} tokens, {:.1f} TFLOP in linear layers, on {} threads\n",
               report.forwards, report.tokens, report.gemm_flops * 1e-12, ComputeThreads());
  }
  PrintExperts(report, out);
  if (report.resumed_units > 0)
    fmt::print(out, "resumed           {} of {} units were there already\n", report.resumed_units, report.units);
  fmt::print(out, "peak memory       {} anonymous\n", FormatBytes(peak_memory));
  if (verified != nullptr) {
    fmt::print(out, "read back         {} tensors, {}, {}\n", verified->tensors, FormatDuration(verified->seconds),
               VerifySummary(*verified));
    for (const std::string& problem : verified->problems) fmt::print(out, "  {}\n", problem);
  }
  PrintRoundedScales(session, report, out);
  PrintNotFinite(report, out);
  PrintWorst(report, out);
  if (!session.plan.unused.empty()) fmt::print(out, "of the source, not in the output\n");
  for (const std::string& line : LossLines(session.plan.unused)) fmt::print(out, "  {}\n", line);
  fmt::print(out, "output            {}\n", session.arguments.save_path.string());
}

}  // namespace modelslim
