#include "model/layout.h"

namespace modelslim {

std::string_view ModuleKindName(ModuleKind kind) {
  constexpr std::string_view kNames[] = {"Linear", "Norm", "Embedding", "Parameter"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view SubgraphTypeName(SubgraphType type) {
  constexpr std::string_view kNames[] = {"up-down", "ov", "linear-linear", "norm-linear"};
  return kNames[static_cast<size_t>(type)];
}

}  // namespace modelslim
