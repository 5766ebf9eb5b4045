// Post-processors: the special tokens around the ids of a text.
#pragma once

#include <cstdint>
#include <vector>

#include "text/growth.h"

namespace modelslim {

// A template is a list of ids with kText where the text's own ids go. Several templates apply one after the other, each
// to the result of the one before. Throws Error(kUnsupported) when they multiply the ids beyond GrowthLimit().
class PostProcessor {
 public:
  static constexpr int32_t kText = -1;
  using Template = std::vector<int32_t>;

  void Add(Template pieces) { templates_.push_back(std::move(pieces)); }
  bool empty() const { return templates_.empty(); }
  const std::vector<Template>& templates() const { return templates_; }

  void Apply(std::vector<int32_t>& ids) const {
    const size_t limit = GrowthLimit(ids.size());
    for (const Template& pieces : templates_) {
      std::vector<int32_t> out;
      out.reserve(ids.size() + pieces.size());
      for (const int32_t piece : pieces) {
        if (piece == kText) {
          out.insert(out.end(), ids.begin(), ids.end());
          CheckGrowth(out.size(), limit);
        } else {
          out.push_back(piece);
        }
      }
      ids = std::move(out);
    }
  }

 private:
  std::vector<Template> templates_;
};

}  // namespace modelslim
