// Brings weights into the page cache shortly before they are used.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "model/layout.h"
#include "model/parameter.h"

namespace modelslim {

// A source that notices which parameters are read and has the next ones read from the disk meanwhile, on a thread of
// its own: at most `window` bytes ahead, since a layer of experts may be larger than what the page cache can hold.
class ReadAhead : public WeightSource {
 public:
  // Parameters are expected in the order of `blocks`; others are read as they are asked for. `source` and what `blocks`
  // shows must outlive the object, and it the blocks that read through it.
  ReadAhead(const WeightSource& source, std::span<const BlockInfo> blocks, uint64_t window);
  ~ReadAhead() override;
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  std::optional<SharedTensor> Map(const ParamInfo& param) const override;
  bool IsInPlace(const ParamInfo& param) const override;
  Tensor Load(const ParamInfo& param) const override;
  Tensor LoadRows(const ParamInfo& param, int64_t begin, int64_t end) const override;
  void WillNeed(const ParamInfo& param) const override;
  void DontNeed(const ParamInfo& param) const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace modelslim
