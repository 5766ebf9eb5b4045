// Brings the next block's weights into the page cache while the current one is computed.
#pragma once

#include <memory>
#include <vector>

#include "model/layout.h"
#include "model/parameter.h"

namespace modelslim {

class ReadAhead {
 public:
  explicit ReadAhead(const WeightSource& source);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Starts on these modules, which must outlive the object; what was asked for before and not begun is dropped.
  void Start(const std::vector<ModuleInfo>& modules);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace modelslim
