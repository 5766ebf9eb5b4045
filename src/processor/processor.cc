#include "processor/processor.h"

#include <array>
#include <string_view>

#include "base/error.h"
#include "processor/steps/awq.h"
#include "processor/steps/fa3_quant.h"
#include "processor/steps/flex_smooth.h"
#include "processor/steps/float_sparse.h"
#include "processor/steps/group.h"
#include "processor/steps/input_range.h"
#include "processor/steps/kv_cache.h"
#include "processor/steps/linear_quant.h"
#include "processor/steps/norm_bias.h"
#include "processor/steps/online_quarot.h"
#include "processor/steps/quarot.h"
#include "processor/steps/smooth.h"

namespace modelslim {
namespace {

// The visible list of what the program can run. `load` is the reference's own housekeeping and needs nothing here.
struct Entry {
  std::string_view type;
  std::unique_ptr<Processor> (*make)(const ProcessorConfig&, const Family&);
};

constexpr Entry kProcessors[] = {
    {"linear_quant", [](const ProcessorConfig& config, const Family&) { return MakeLinearQuant(config); }},
    {"smooth_quant", [](const ProcessorConfig& config, const Family&) { return MakeSmoothQuant(config); }},
    {"iter_smooth", [](const ProcessorConfig& config, const Family&) { return MakeIterSmooth(config); }},
    {"flex_smooth_quant", [](const ProcessorConfig& config, const Family&) { return MakeFlexSmooth(config); }},
    {"flex_awq_ssz", [](const ProcessorConfig& config, const Family&) { return MakeFlexAwqSsz(config); }},
    {"awq", [](const ProcessorConfig& config, const Family&) { return MakeAwq(config); }},
    {"kv_smooth", [](const ProcessorConfig& config, const Family&) { return MakeKvSmooth(config); }},
    {"dynamic_cache", [](const ProcessorConfig& config, const Family&) { return MakeDynamicCache(config); }},
    {"fa3_quant", [](const ProcessorConfig& config, const Family&) { return MakeFa3Quant(config); }},
    {"online_quarot", [](const ProcessorConfig& config, const Family&) { return MakeOnlineQuarot(config); }},
    {"quarot", [](const ProcessorConfig& config, const Family&) { return MakeQuarot(config); }},
    {"float_sparse", [](const ProcessorConfig& config, const Family&) { return MakeFloatSparse(config); }},
    {"norm_bias", [](const ProcessorConfig& config, const Family&) { return MakeNormBias(config); }},
    {"input_range", [](const ProcessorConfig& config, const Family&) { return MakeInputRange(config); }},
    {"group", [](const ProcessorConfig& config, const Family& family) { return MakeGroup(config, family); }},
};

const Entry* FindEntry(std::string_view type) {
  for (const Entry& entry : kProcessors) {
    if (entry.type == type) return &entry;
  }
  return nullptr;
}

}  // namespace

std::string_view IdleExpertsName(IdleExperts idle) {
  constexpr std::string_view kNames[] = {"reject", "pool", "all-tokens"};
  return kNames[static_cast<size_t>(idle)];
}

void RefuseQuantized(const Processor& processor, const Family& family, const ModelPlan& plan) {
  for (const std::string& name : processor.Rewrites(family)) {
    const auto decision = plan.decisions.linears.find(name);
    if (decision == plan.decisions.linears.end()) continue;
    const QuantMode mode = decision->second.mode;
    if (mode == QuantMode::kFloat || mode == QuantMode::kW16A16S) continue;
    const std::string& by = decision->second.by;
    throw Error(ErrorCode::kSpec,
                processor.path() + " (" + processor.type() + ") changes the weight of " + name + ", which " + by +
                    " quantizes before that is done",
                "put " + processor.type() + " in front of " + by + ", outside of its group, or exclude \"" + name +
                    "\" in one of them");
  }
}

bool IsProcessorImplemented(std::string_view type) { return type == "load" || FindEntry(type) != nullptr; }

std::vector<std::unique_ptr<Processor>> MakeProcessors(const std::vector<ProcessorConfig>& configs,
                                                       const Family& family) {
  std::vector<std::unique_ptr<Processor>> made;
  for (const ProcessorConfig& config : configs) {
    if (config.type == "load") continue;
    const Entry* entry = FindEntry(config.type);
    if (entry == nullptr) {
      throw Error(ErrorCode::kToDo, config.path + ": this version cannot run the processor '" + config.type + "' yet",
                  "'modelslim processors' lists what it can run");
    }
    made.push_back(entry->make(config, family));
  }
  return made;
}

}  // namespace modelslim
