#include "model/layout.h"

namespace modelslim {

std::string ExpertOf(std::string_view linear) {
  constexpr std::string_view kMark = ".experts.";
  const size_t mark = linear.rfind(kMark);
  if (mark == std::string_view::npos) return {};
  return std::string(linear.substr(0, linear.find('.', mark + kMark.size())));
}

}  // namespace modelslim
