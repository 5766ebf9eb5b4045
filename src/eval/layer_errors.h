// The distance of two streams of hidden states, of which one may be rotated.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "eval/stream.h"

namespace modelslim {

// Where error enters: relative to the norm of the float block's output, over all tokens.
struct LayerError {
  std::string block;    // "model.layers.3"
  double streamed = 0;  // each model with what its own earlier blocks put out
  double forced = 0;    // the block alone: it reads what the float model's earlier blocks put out
};

class LayerCompare {
 public:
  // Looks at the embeddings of some tokens. Not possible(): the streams cannot be compared, since `model` works in a
  // rotated space and its output does not hold the rotation.
  LayerCompare(Stream& model, Stream& reference, std::span<const int32_t> ids);
  bool possible() const { return possible_; }

  // Of the streams as they are.
  double Streamed(const Stream& model, const Stream& reference) const;
  // Of block `index` of `model` for `entered`, what entered the same block of the reference; `left` is what left it.
  double Forced(Stream& model, int index, const HiddenFile& entered, const HiddenFile& left) const;

 private:
  // Rows of the reference as the model would have them, f32.
  Tensor InModelSpace(const ConstView& rows) const;

  int64_t rows_ = 0;
  std::optional<Tensor> rotation_;
  bool possible_ = true;
};

}  // namespace modelslim
