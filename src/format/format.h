// The door to output formats: what a saver of a recipe is. Whoever plans, writes, checks or reads an output speaks to
// this and knows no name of a file, tensor or type. A format is a folder and a row in format.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/layout.h"
#include "format/saved_output.h"
#include "quant/facts.h"
#include "quant/numbers/affine.h"
#include "quant/weights/weight_quantizer.h"
#include "tensor/compat.h"
#include "tensor/quant_mode.h"

namespace modelslim {

// A linear layer as planned.
struct PlannedLinear {
  std::string name;
  QuantMode mode = QuantMode::kFloat;
  int64_t out = 0, in = 0;
  DType weight_dtype = DType::kBF16, bias_dtype = DType::kBF16;  // of the float tensors
  bool has_bias = false;
  int64_t group_size = 0;  // per-group scales (W8A16, W8A8_DYNAMIC, W4A4_DYNAMIC) and dual-scale blocks; 0 otherwise
};

// A quantized linear, ready to be written. `bias` (float, may have null data) must outlive the call.
struct QuantizedLinear {
  std::string name;
  QuantMode mode = QuantMode::kFloat;
  QuantizedWeight weight;
  std::optional<AffineParams> input;  // static modes
  ConstView bias;
};

// Takes a finished tensor of the output, by its full name.
using TensorSink = std::function<void(const std::string& name, Tensor value)>;

// A model as it will be written, for what a format says of it as a whole. `facts` must outlive this.
struct WrittenModel {
  struct Linear {
    QuantMode mode = QuantMode::kFloat;
    int64_t group_size = 0;
  };
  std::vector<Linear> linears;   // of all blocks, in the order of writing
  bool linears_outside = false;  // there are others, outside of the blocks: they stay float
  std::string type;              // what the model is to be called; empty: what its layers make it
  std::span<const PlannedFact> facts;
};

// A file of text beside the weights.
struct SmallFile {
  std::string name, content;
};

// Stateless after construction; every method may be called from any thread.
class Format {
 public:
  virtual ~Format() = default;

  // Whatever of the options decides about bytes, for the identity of a run.
  virtual std::string Fingerprint() const = 0;
  // What the output calls a type.
  virtual std::string_view TypeName(QuantMode mode) const = 0;

  // ---- planning: from headers alone

  // The tensors of a Linear in write order. Throws Error(kUnsupported), naming the layer, for modes and shapes that the
  // format cannot hold. `model_dtype`: config.json's.
  virtual std::vector<OutputTensor> PlanLinear(const PlannedLinear& linear, DType model_dtype) const = 0;
  virtual OutputTensor PlanFloat(const std::string& name, DType dtype, const Shape& shape) const = 0;
  virtual std::vector<OutputTensor> PlanFact(const PlannedFact& fact) const = 0;
  // `part_gib`: the recipe's part_file_size.
  virtual ShardNames Names(int64_t part_gib) const = 0;
  virtual SavedSummary Summarize(const WrittenModel& model) const = 0;

  // ---- writing

  // Exactly the tensors that PlanLinear and PlanFact plan.
  virtual void WriteLinear(QuantizedLinear linear, DType model_dtype, const TensorSink& sink) const = 0;
  virtual void WriteFact(const std::string& module, Fact fact, const TensorSink& sink) const = 0;
  // The last one completes the output: it gets its name last.
  virtual std::vector<SmallFile> SmallFiles(const OutputLayout& layout, const WrittenModel& model) const = 0;
  virtual std::string_view completing_file() const = 0;
  // Whether a file of this name is a weight file of this format, or an index of such, whichever run left it.
  virtual bool IsWeightFile(std::string_view name) const = 0;
};

// The format of a saver ("ascendv1_saver"); null when this version has none of that name.
std::unique_ptr<Format> MakeFormat(std::string_view saver, const Compat& options);
// The files of modelslim_v0, which no recipe names as a saver.
inline constexpr std::string_view kV0Saver = "modelslim_v0";
// The one that a recipe without a saver is planned for.
inline constexpr std::string_view kDefaultSaver = "ascendv1_saver";

}  // namespace modelslim
