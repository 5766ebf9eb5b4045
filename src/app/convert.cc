#include "app/convert.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "model/stored_weight.h"

namespace modelslim {
namespace {

// The patterns of all rules, made ready once.
class Rules {
 public:
  explicit Rules(const ConvertSpec& spec) {
    for (const ConvertLinear& linear : spec.linears) {
      for (const std::string& text : linear.match) patterns_.emplace_back(CompiledPattern(text), &linear);
    }
  }

  const ConvertLinear* Find(std::string_view module) const {
    for (const auto& [pattern, linear] : patterns_) {
      if (pattern.Matches(module)) return linear;
    }
    return nullptr;
  }

 private:
  std::vector<std::pair<CompiledPattern, const ConvertLinear*>> patterns_;
};

ConvertForm FormOf(const ParamInfo& weight) {
  if (!weight.stored || !weight.stored->code) return ConvertForm::kFloat;
  return weight.stored->code == WeightCode::kInt4 ? ConvertForm::kInt4Packed : ConvertForm::kFp8Block;
}

void CheckRule(const ConvertLinear& rule, const ModuleInfo& module) {
  const ConvertForm found = FormOf(module.params.front());
  if (!rule.route.empty()) {
    if (rule.route.front() == found) return;
    throw Error(ErrorCode::kSchema,
                rule.path + ".route: begins with " + std::string(ConvertFormName(rule.route.front())) + ", but " +
                    module.name + " is stored as " + std::string(ConvertFormName(found)),
                "write route: auto, or begin it with the form of the source");
  }
  if (found != ConvertForm::kInt4Packed || rule.target != ConvertForm::kMxfp8) return;
  throw Error(ErrorCode::kUnsupported,
              rule.path + ": " + module.name + ": no automatic route leads from INT4_PACKED to W8A8_MXFP8",
              "write route: [INT4_PACKED, FLOAT, W8A8_MXFP8]");
}

}  // namespace

NamesConversion ConversionOf(const ConvertSpec& spec) {
  const auto rules = std::make_shared<const Rules>(spec);
  std::vector<std::pair<std::shared_ptr<const CompiledPattern>, const ConvertChunk*>> chunks;
  for (const ConvertChunk& chunk : spec.chunks)
    chunks.emplace_back(std::make_shared<const CompiledPattern>(chunk.source), &chunk);
  NamesConversion conversion;
  conversion.to_bf16 = [rules](std::string_view module) {
    const ConvertLinear* const rule = rules->Find(module);
    return rule != nullptr && rule->target == ConvertForm::kMxfp8;
  };
  conversion.new_name = [&spec](const std::string& name) { return Renamed(spec, name); };
  conversion.chunks = [chunks](const std::string& tensor) -> std::vector<std::string> {
    for (const auto& [pattern, chunk] : chunks) {
      if (pattern->Matches(tensor)) return chunk->projections;
    }
    return {};
  };
  return conversion;
}

void CheckConversion(const ConvertSpec& spec, const ModelLayout& layout) {
  const Rules rules(spec);
  std::vector<const ConvertLinear*> used;
  for (const BlockInfo& block : layout.blocks) {
    for (const ModuleInfo& module : block.modules) {
      const ConvertLinear* const rule = rules.Find(module.name);
      if (rule == nullptr) continue;
      used.push_back(rule);
      if (module.kind == ModuleKind::kLinear) CheckRule(*rule, module);
    }
  }
  for (const ConvertLinear& linear : spec.linears) {
    if (std::find(used.begin(), used.end(), &linear) == used.end()) LogInfo(linear.path + ": matches nothing");
  }
}

}  // namespace modelslim
