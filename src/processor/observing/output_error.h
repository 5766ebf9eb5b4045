// How much quantization changes what a Linear computes, measured on a few rows that calibration sent through it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "model/block.h"
#include "processor/linears/linear_result.h"

namespace modelslim {

// Keeps an even sample of the rows that enter a Linear: every stride-th of them, the stride doubling whenever there are
// too many. Which rows stay depends on their order alone, not on the chunks they come in.
class RowSample : public InputObserver {
 public:
  explicit RowSample(int64_t most) : most_(most) {}
  void Observe(const ConstView& x, const RowGroups& groups) override;

  // [rows, in] of the type of the first rows; no rows when nothing came.
  ConstView Rows() const { return {rows_.view().data, rows_.dtype(), {kept_, width_}}; }

 private:
  void Thin();

  int64_t most_;
  int64_t kept_ = 0, width_ = 0, seen_ = 0, stride_ = 1;
  Tensor rows_;
};

// How many rows to sample of each Linear of a block, so that all of them together take some 64 MiB.
int64_t SampledRows(const BlockInfo& block);

// |y - y'| / |y| over all elements (Frobenius norms), y being the float output for `rows` and y' that of the quantized
// layer as it will be deployed: static ranges as calibrated, dynamic ones row by row. 0 / 0 is 0; nothing when there
// are no rows. Depends on neither threads nor chunks.
std::optional<double> OutputError(LinearModule& module, LinearResult& result, const ConstView& rows);

}  // namespace modelslim
