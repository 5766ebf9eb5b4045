// What the rows of modes.cc are made of.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/ascend_v1/modes.h"

namespace modelslim::ascend_v1 {

// ---- sizes

void AnySize(const PlannedLinear& linear);
void EvenRows(const PlannedLinear& linear);  // and what scale_bias asks of the columns
void EvenColumns(const PlannedLinear& linear);

// ---- planning

// Collects the tensors of one linear.
class LinearPlanner {
 public:
  LinearPlanner(const PlannedLinear& linear, DType model_dtype, const Compat& options)
      : linear_(linear), model_dtype_(model_dtype), options_(options) {}

  const PlannedLinear& linear() const { return linear_; }
  const Compat& options() const { return options_; }

  void Add(std::string_view suffix, DType dtype, Shape shape);
  void WeightScales();  // [out, 1], or [out, in/g] with groups
  void Static();
  // Quantized layers store their bias as f32, typed FLOAT (December 2025, or `own_type`: as the layer).
  void Bias(bool own_type = false);
  void Float();

  std::vector<OutputTensor> Take() { return std::move(tensors_); }

 private:
  const PlannedLinear& linear_;
  const DType model_dtype_;
  const Compat& options_;
  std::vector<OutputTensor> tensors_;
};

// ---- writing

class LinearWriter {
 public:
  LinearWriter(QuantizedLinear& linear, DType model_dtype, const Compat& options, const TensorSink& sink)
      : linear_(linear), model_dtype_(model_dtype), options_(options), sink_(sink) {}

  const Compat& options() const { return options_; }

  void Codes();           // the last use of the codes
  void StaticAndCodes();  // everything that is made of the codes comes before they are handed over
  // Offsets are written even where they are all zero: loaders expect the key.
  void WeightScales();
  void Int4RowPairs();
  void MxFp8();
  void MxFp4();
  void Bias();

 private:
  void Put(const char* suffix, Tensor value) { sink_(linear_.name + "." + suffix, std::move(value)); }

  QuantizedLinear& linear_;
  const DType model_dtype_;
  const Compat& options_;
  const TensorSink& sink_;
};

// ---- reading

Tensor ReadStatic(const SavedTensors& saved);   // the weight scale is deq_scale / input_scale
Tensor ReadInt8(const SavedTensors& saved);     // I8, weight_scale, weight_offset ([out, 1] or [out, groups])
Tensor ReadInt4(const SavedTensors& saved);     // the same, two rows in a byte
Tensor ReadAnyInt4(const SavedTensors& saved);  // the same, or two columns, as the rows of weight_scale tell
Tensor ReadFp8(const SavedTensors& saved);      // F8_E4M3 with [out, 1]
Tensor ReadMxFp8(const SavedTensors& saved);    // F8_E4M3 with U8 exponents
Tensor ReadMxFp4(const SavedTensors& saved);    // U8 packed (or F8_E4M3, the old form), weight_dual_scale where present

}  // namespace modelslim::ascend_v1
