#include "model/source_forms.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/words.h"
#include "io/checkpoint.h"
#include "io/quote.h"
#include "model/declared_form.h"

namespace modelslim {
namespace {

constexpr int64_t kMxBlock = 32;

std::string Describe(const CheckpointTensor& tensor) {
  return std::string(DTypeName(tensor.dtype)) + " " + ShapeText(tensor.shape);
}

int64_t Blocks(int64_t count, int64_t block) { return (count + block - 1) / block; }

std::string_view Without(std::string_view name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

bool IsExponent(DType dtype) { return dtype == DType::kU8 || dtype == DType::kF8E8M0; }

}  // namespace

// Walks over the tensors once and claims what belongs together.
class FormFinder {
 public:
  FormFinder(const Checkpoint& checkpoint, const Json& config, SourceForms* found)
      : checkpoint_(checkpoint), declared_(ReadDeclared(config)), found_(found) {}

  void Run() {
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.dtype == DType::kF8E4M3 && tensor.shape.size() >= 2 && !tensor.name.ends_with("scale")) Fp8(tensor);
      if (tensor.dtype == DType::kI8 && tensor.name.ends_with(".weight") && tensor.shape.size() == 2) Bytes(tensor);
      if (tensor.name.ends_with(".weight_packed")) Packed(tensor);
      if (tensor.dtype == DType::kU8 && tensor.name.ends_with("_blocks") && tensor.shape.size() >= 3) MxBlocks(tensor);
    }
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) NoteOrphan(tensor);
  }

 private:
  const CheckpointTensor* Find(const std::string& name) const { return checkpoint_.Find(name); }

  [[noreturn]] void Damaged(const CheckpointTensor& tensor, const std::string& expected) const {
    throw Error(ErrorCode::kInvalidModel,
                checkpoint_.directory().string() + ": " + Quote(tensor.name) + ": expected " + expected + ", found " +
                    Describe(tensor),
                "take config.json and all weights from the same download");
  }

  void Claim(std::string name, CodedForm form) {
    for (const std::string& tensor : form.stored.tensors()) found_->parts_.insert(tensor);
    const std::string module = name.ends_with(".weight") ? std::string(Without(name, ".weight")) : name;
    for (const char* const suffix : {".input_scale", ".activation_scale", ".output_scale", ".weight_shape"}) {
      if (Find(module + suffix) != nullptr) found_->parts_.insert(module + suffix);
    }
    const auto [place, fresh] = found_->forms_.emplace(std::move(name), std::move(form));
    if (fresh && Find(place->first) == nullptr) return;
    if (fresh && place->second.stored.values == place->first) return;
    throw Error(ErrorCode::kInvalidModel,
                checkpoint_.directory().string() + ": expected one form of " + Quote(place->first) +
                    ", found it as it is and as " + Quote(place->second.stored.values),
                "remove the one that is not meant from the weights");
  }

  // Blocks of the grid of scales for a matrix [out, in]; nothing when the grid does not fit.
  struct Grid {
    int64_t rows = 0, cols = 0;
    const char* what = "";
  };
  std::optional<Grid> GridOf(Shape shape, bool stacked, int64_t out, int64_t in) const {
    if (stacked && !shape.empty()) shape.erase(shape.begin());
    if (NumElements(shape) == 1) return Grid{out, in, "one scale for a tensor"};
    if (shape.size() == 1 && shape[0] == out) return Grid{1, in, "a scale for each row"};
    if (shape.size() != 2) return std::nullopt;
    if (shape[0] == out && shape[1] == 1) return Grid{1, in, "a scale for each row"};
    const auto fits = [&](int64_t rows, int64_t cols) {
      return shape[0] == Blocks(out, rows) && shape[1] == Blocks(in, cols);
    };
    if (fits(declared_.block_rows, declared_.block_cols))
      return Grid{declared_.block_rows, declared_.block_cols, "blocks"};
    if (fits(128, 128)) return Grid{128, 128, "blocks"};
    if (declared_.group > 0 && fits(1, declared_.group)) return Grid{1, declared_.group, "groups"};
    if (shape[0] == out && shape[1] > 0 && in % shape[1] == 0) return Grid{1, in / shape[1], "groups"};
    return std::nullopt;
  }

  void Fp8(const CheckpointTensor& tensor) {
    const std::string module(tensor.name.ends_with(".weight") ? Without(tensor.name, ".weight") : tensor.name);
    const CheckpointTensor* scale = Find(tensor.name + "_scale_inv");
    if (scale == nullptr) scale = Find(module + ".scale");
    if (scale == nullptr) {
      scale = Find(tensor.name + "_scale");
      // Several tools write this one; which is meant the config has to say.
      if (scale != nullptr && declared_.format.find("float-quantized") == std::string::npos) return;
    }
    if (scale == nullptr) Damaged(tensor, "its scales in " + Quote(tensor.name + "_scale_inv") + " beside these codes");
    const bool stacked = tensor.shape.size() == 3;
    const int64_t out = tensor.shape[tensor.shape.size() - 2], in = tensor.shape.back();
    const std::optional<Grid> grid = GridOf(scale->shape, stacked, out, in);
    const bool typed = IsModelDType(scale->dtype) || scale->dtype == DType::kF8E8M0;
    if (!grid || !typed || tensor.shape.size() > 3 || (stacked && scale->shape.front() != tensor.shape.front())) {
      Damaged(*scale, "scales for " + Quote(tensor.name) + " " + ShapeText(tensor.shape) + ", one for each block of " +
                          std::to_string(declared_.block_rows) + " x " + std::to_string(declared_.block_cols) +
                          " (weight_block_size), each row or the whole");
    }
    CodedForm form{tensor.shape, {}, std::string("FP8 with ") + grid->what};
    form.stored.code = WeightCode::kFp8;
    form.stored.values = tensor.name;
    form.stored.scales = scale->name;
    form.stored.block_rows = grid->rows;
    form.stored.block_cols = grid->cols;
    Claim(tensor.name, std::move(form));
  }

  // I8: two E2M1 codes to a byte beside E8M0 scales, or integers.
  void Bytes(const CheckpointTensor& tensor) {
    const std::string module(Without(tensor.name, ".weight"));
    const int64_t out = tensor.shape[0];
    CodedForm form{tensor.shape, {}, "int8"};
    form.stored.values = tensor.name;
    if (const CheckpointTensor* const scale = Find(module + ".scale");
        scale != nullptr && scale->dtype == DType::kF8E8M0) {
      form.shape[1] *= 2;
      if (scale->shape != Shape{out, Blocks(form.shape[1], kMxBlock)})
        Damaged(*scale, "a scale for each 32 columns of " + Quote(tensor.name) + " " + ShapeText(form.shape));
      Fp4(*scale, std::move(form), tensor.name);
      return;
    }
    const CheckpointTensor* const scale = Find(module + ".weight_scale");
    if (scale == nullptr || declared_.format.find("int-quantized") == std::string::npos) return;
    if (Find(module + ".weight_zero_point") != nullptr) {
      throw Error(ErrorCode::kUnsupported, Quote(module + ".weight_zero_point") + ": int8 with zero points is not read",
                  "give the model it was made from, in bfloat16 or float16");
    }
    const std::optional<Grid> grid = GridOf(scale->shape, false, out, tensor.shape[1]);
    if (!grid || !IsModelDType(scale->dtype)) Damaged(*scale, "scales for " + Quote(tensor.name));
    form.stored.code = WeightCode::kInt8;
    form.stored.scales = scale->name;
    form.stored.block_rows = grid->rows;
    form.stored.block_cols = grid->cols;
    Claim(tensor.name, std::move(form));
  }

  void Fp4(const CheckpointTensor& scale, CodedForm form, std::string name) {
    form.what = "MXFP4";
    form.stored.code = WeightCode::kFp4;
    form.stored.scales = scale.name;
    form.stored.block_cols = kMxBlock;
    Claim(std::move(name), std::move(form));
  }

  void Packed(const CheckpointTensor& tensor) {
    const std::string module(Without(tensor.name, ".weight_packed")), name = module + ".weight";
    const CheckpointTensor* const scale = Find(module + ".weight_scale");
    if (tensor.shape.size() != 2) return;
    if (scale == nullptr) Damaged(tensor, "its scales in " + Quote(module + ".weight_scale") + " beside these codes");
    CodedForm form{tensor.shape, {}, "int4"};
    form.stored.values = tensor.name;
    if (tensor.dtype == DType::kU8 && IsExponent(scale->dtype)) {
      form.shape[1] *= 2;
      if (scale->shape != Shape{form.shape[0], Blocks(form.shape[1], kMxBlock)})
        Damaged(*scale, "a scale for each 32 columns of " + Quote(name) + " " + ShapeText(form.shape));
      return Fp4(*scale, std::move(form), name);
    }
    if (tensor.dtype != DType::kI32) return;
    Int4(tensor, *scale, module, std::move(form));
  }

  void Int4(const CheckpointTensor& tensor, const CheckpointTensor& scale, const std::string& module, CodedForm form) {
    if (declared_.bits != 0 && declared_.bits != 4) {
      throw Error(ErrorCode::kUnsupported,
                  "config.json: quantization_config: num_bits is " + std::to_string(declared_.bits) + " and " +
                      Quote(tensor.name) + " is packed into words; only 4 bits are read from such words",
                  "give the model it was made from, in bfloat16 or float16");
    }
    if (Find(module + ".weight_g_idx") != nullptr) {
      throw Error(ErrorCode::kUnsupported,
                  Quote(module + ".weight_g_idx") + ": groups in an order of their own are not read",
                  "give the model it was made from, in bfloat16 or float16");
    }
    form.shape = ShapeIn(module, tensor);
    const std::optional<Grid> grid = GridOf(scale.shape, false, form.shape[0], form.shape[1]);
    if (!grid || grid->rows > 1 || !IsModelDType(scale.dtype))
      Damaged(scale, "a scale for each row or group of " + Quote(module + ".weight") + " " + ShapeText(form.shape));
    form.stored.code = WeightCode::kInt4;
    form.stored.scales = scale.name;
    form.stored.block_cols = grid->cols;
    if (const CheckpointTensor* const zeros = Find(module + ".weight_zero_point")) {
      const bool packed = zeros->dtype == DType::kI32;
      const Shape wanted = {packed ? Blocks(form.shape[0], 8) : form.shape[0], Blocks(form.shape[1], grid->cols)};
      if ((!packed && zeros->dtype != DType::kI8) || zeros->shape != wanted)
        Damaged(*zeros, "zero points I32 or I8 " + ShapeText(wanted));
      form.stored.zeros = zeros->name;
      form.what = "int4 with zero points";
    }
    Claim(module + ".weight", std::move(form));
  }

  // weight_shape holds [out, in], of which the packed tensor tells `in` only up to the next multiple of 8.
  Shape ShapeIn(const std::string& module, const CheckpointTensor& packed) const {
    const CheckpointTensor* const tensor = Find(module + ".weight_shape");
    if (tensor == nullptr) Damaged(packed, "its sizes in " + Quote(module + ".weight_shape"));
    const bool wide = tensor->dtype == DType::kI64;
    if (tensor->size() != 2 || (!wide && tensor->dtype != DType::kI32)) Damaged(*tensor, "two integers");
    const SharedTensor stored = checkpoint_.Get(*tensor);
    const auto at = [&](int i) {
      return wide ? stored.view().as<int64_t>()[i] : int64_t{stored.view().as<int32_t>()[i]};
    };
    const Shape shape = {at(0), at(1)};
    if (shape[0] != packed.shape[0] || shape[1] <= 0 || Blocks(shape[1], 8) != packed.shape[1])
      Damaged(packed, "the codes of a weight of " + ShapeText(shape) + " (" + Quote(tensor->name) + ")");
    return shape;
  }

  // gpt-oss: [experts, out, in / 32, 16] beside scales [experts, out, in / 32], names without a dot between.
  void MxBlocks(const CheckpointTensor& tensor) {
    const std::string name(Without(tensor.name, "_blocks"));
    const CheckpointTensor* const scale = Find(name + "_scales");
    if (scale == nullptr) Damaged(tensor, "its scales in " + Quote(name + "_scales") + " beside these codes");
    Shape wanted = tensor.shape;
    wanted.pop_back();
    if (tensor.shape.back() != kMxBlock / 2 || !IsExponent(scale->dtype) || scale->shape != wanted)
      Damaged(*scale, "U8 " + ShapeText(wanted) + " and 16 bytes in each block of " + Quote(tensor.name));
    CodedForm form{wanted, {}, ""};
    form.shape.back() *= kMxBlock;
    form.stored.values = tensor.name;
    Fp4(*scale, std::move(form), name);
  }

  void NoteOrphan(const CheckpointTensor& tensor) {
    if (found_->parts_.contains(tensor.name)) return;
    const std::string_view name = tensor.name;
    const auto lost = [&](std::string_view suffix, std::initializer_list<const char*> weights) {
      if (!name.ends_with(suffix)) return false;
      const std::string base(Without(name, suffix));
      for (const char* const weight : weights) {
        if (Find(base + weight) != nullptr) return false;
      }
      return true;
    };
    if (lost("_scale_inv", {""}) || lost(".weight_scale", {".weight", ".weight_packed"}) ||
        lost(".weight_zero_point", {".weight", ".weight_packed"}) || lost(".weight_shape", {".weight_packed"}) ||
        (tensor.dtype == DType::kU8 && lost("_scales", {"_blocks"})) ||
        (tensor.dtype == DType::kF8E8M0 && lost(".scale", {".weight"})))
      found_->orphans_.push_back(tensor.name);
  }

  const Checkpoint& checkpoint_;
  const Declared declared_;
  SourceForms* found_;
};

SourceForms::SourceForms(const Checkpoint& checkpoint, const Json& config) {
  FormFinder(checkpoint, config, this).Run();
}

const CodedForm* SourceForms::Find(std::string_view name) const {
  const auto found = forms_.find(name);
  return found == forms_.end() ? nullptr : &found->second;
}

std::string SourceForms::Summary() const {
  std::map<std::string_view, size_t> counts;
  for (const auto& [name, form] : forms_) ++counts[form.what];
  std::string text;
  for (const auto& [what, count] : counts)
    text += (text.empty() ? "" : ", ") + std::string(what) + " (" + Counted(count, "weight") + ")";
  return text;
}

}  // namespace modelslim
