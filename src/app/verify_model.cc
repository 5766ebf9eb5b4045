#include <fmt/format.h>

#include <map>
#include <memory>
#include <string_view>

#include "app/verify_parts.h"
#include "base/error.h"
#include "model/family.h"

namespace modelslim {
namespace {

// Shape of a module's tensor, or that it is not there.
void CheckParam(const SavedOutput& output, const ParamInfo& param, Problems& problems) {
  const CheckpointTensor* const tensor = output.weights().Find(param.name);
  if (tensor == nullptr) {
    if (!param.alias_of.empty()) return;  // tied: a server takes the other one
    problems.Add(fmt::format("{} is missing; the model that config.json describes has it", param.name));
  } else if (tensor->shape != param.shape) {
    problems.Add(fmt::format("{}: config.json makes it {}, found {}", param.name, ShapeText(param.shape),
                             ShapeText(tensor->shape)));
  }
}

}  // namespace

void VerifyModules(const Family& family, const SavedOutput& output, const std::vector<SavedLinear>& layers,
                   Problems& problems) {
  std::map<std::string_view, const SavedLinear*> quantized;
  for (const SavedLinear& layer : layers) quantized.emplace(layer.name, &layer);
  const auto check = [&](const std::vector<ModuleInfo>& modules) {
    for (const ModuleInfo& module : modules) {
      const auto found = quantized.find(module.name);
      if (found == quantized.end()) {
        for (const ParamInfo& param : module.params) CheckParam(output, param, problems);
        continue;
      }
      const Shape wanted = {module.out_features(), module.in_features()},
                  saved = {found->second->out, found->second->in};
      if (saved == wanted) continue;
      problems.Add(fmt::format("{}: config.json makes it a layer of {}, found one of {}", module.name,
                               ShapeText(wanted), ShapeText(saved)));
    }
  };
  for (const BlockInfo& block : family.layout().blocks) check(block.modules);
  check(family.layout().rest);
}

void VerifyModel(const VerifiedOutput& output, const std::vector<SavedLinear>& layers, Problems& problems) {
  const SavedOutput& saved = *output.saved;
  try {
    const std::unique_ptr<Family> family =
        MakeFamily(FindFamily("default"), ReadJson(saved.PathOf("config.json")), saved.weights());
    VerifyModules(*family, saved, layers, problems);
  } catch (const Error& error) {
    problems.Add(error.what());
  }
}

}  // namespace modelslim
