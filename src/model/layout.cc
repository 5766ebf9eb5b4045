#include "model/layout.h"

namespace modelslim {

std::string_view ModuleKindName(ModuleKind kind) {
  constexpr std::string_view kNames[] = {"Linear", "Norm", "Embedding", "Parameter"};
  return kNames[static_cast<size_t>(kind)];
}

std::string ExpertOf(std::string_view linear) {
  constexpr std::string_view kMark = ".experts.";
  const size_t mark = linear.rfind(kMark);
  if (mark == std::string_view::npos) return {};
  return std::string(linear.substr(0, linear.find('.', mark + kMark.size())));
}

std::string_view SubgraphTypeName(SubgraphType type) {
  constexpr std::string_view kNames[] = {"up-down", "ov", "linear-linear", "norm-linear"};
  return kNames[static_cast<size_t>(type)];
}

}  // namespace modelslim
