// How much of a model stays float, and why.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/recipe/recipe.h"
#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

struct FloatShare {
  struct Part {
    std::string
        reason;  // "embedding and head", "excluded by the recipe", "not in any include", "norms", "routers", ...
    uint64_t parameters = 0;
    int64_t tensors = 0;
    std::string example;   // the first tensor
    bool unasked = false;  // parameters of no linear layer, and of no known kind
  };
  uint64_t parameters = 0;  // of the whole model; a tied one counts once
  std::vector<Part> parts;  // that stay float, largest first

  double share() const;          // of all parameters, 0 to 1
  double unasked_share() const;  // of the parts of that kind
};

// Above this share of parameters that nobody asked to keep float, a plan warns.
inline constexpr double kMuchFloat = 0.1;

FloatShare FloatShareOf(const Family& family, const Decisions& decisions, const std::vector<ProcessorConfig>& process);

// "21.3 % of 134.5 million parameters: 21.0 % embedding and head, 0.3 % norms"; "nothing" where nothing is.
std::string FloatShareText(const FloatShare& share);

// A warning, where much stays float in a recipe that quantizes linear layers and does not say so.
void ReportFloatShare(const FloatShare& share, const Recipe& recipe, ModelPlan& plan);

}  // namespace modelslim
