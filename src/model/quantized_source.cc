#include "model/quantized_source.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "io/checkpoint.h"
#include "model/source_forms.h"

namespace modelslim {
namespace {

constexpr std::string_view kGiveFloat =
    "give the model it was made from, in bfloat16, float16 or float32 (or in a form that is read: FP8 with "
    "weight_scale_inv, or what quantization_config describes as compressed-tensors float, int8, int4 or MXFP4)";

// What tools put beside a layer's weight or in its place: the end of the name, and who does so.
struct Trace {
  std::string_view suffix, tool;
};
constexpr Trace kTraces[] = {{".qweight", "GPTQ or AWQ"},
                             {".qzeros", "GPTQ or AWQ"},
                             {".g_idx", "GPTQ"},
                             {".scales", "GPTQ, AWQ or MLX"},
                             {".absmax", "bitsandbytes"},
                             {".quant_map", "bitsandbytes"},
                             {".SCB", "bitsandbytes"},
                             {".weight_packed", "compressed-tensors"},
                             {".weight_scale", "compressed-tensors, ModelOpt or msModelSlim"},
                             {".weight_offset", "msModelSlim"},
                             {".deq_scale", "msModelSlim"},
                             {".W_q", "HQQ"},
                             {".codebooks", "AQLM"},
                             {".trellis", "EXL3"},
                             {".q_weight", "EXL2"},
                             {"_proj_blocks", "MXFP4"}};

bool IsQuantizedType(DType dtype) {
  return dtype == DType::kI8 || dtype == DType::kU8 || dtype == DType::kI32 || dtype == DType::kI16 ||
         (IsFloat(dtype) && DTypeSize(dtype) < 2);
}

// A float weight with this name, or one that is read as floats: what else carries the name is then no part of its
// storage.
bool IsFloatWeight(const Checkpoint& checkpoint, const SourceForms& forms, const std::string& name) {
  const CheckpointTensor* const weight = checkpoint.Find(name);
  return forms.Find(name) != nullptr || (weight != nullptr && IsModelDType(weight->dtype));
}

// Why a tensor shows that the checkpoint is quantized; nothing when it does not.
std::optional<std::string> Evidence(const Checkpoint& checkpoint, const SourceForms& forms,
                                    const CheckpointTensor& tensor) {
  if (forms.IsPart(tensor.name)) return std::nullopt;
  for (const Trace& trace : kTraces) {
    if (!tensor.name.ends_with(trace.suffix)) continue;
    const std::string base = tensor.name.substr(0, tensor.name.size() - trace.suffix.size());
    const bool of_float = IsFloatWeight(checkpoint, forms, base) || IsFloatWeight(checkpoint, forms, base + ".weight");
    if (!of_float) return std::string(trace.tool);
  }
  const bool weight = tensor.name.ends_with(".weight") && tensor.shape.size() >= 2;
  if (weight && IsQuantizedType(tensor.dtype)) return std::string(DTypeName(tensor.dtype)) + " weights";
  return std::nullopt;
}

const Json* MethodIn(const Json* config) {
  if (config == nullptr || config->object() == nullptr) return nullptr;
  for (const char* const key : {"quantization_config", "compression_config", "quantization"}) {
    const Json* const found = config->Find(key);
    if (found != nullptr && found->object() != nullptr) return found;
  }
  return nullptr;
}

}  // namespace

const Json* FindQuantization(const Json& config) {
  const Json* const found = MethodIn(&config);
  if (found != nullptr || config.object() == nullptr) return found;
  return MethodIn(config.Find("text_config"));
}

std::string QuantMethod(const Json& config) {
  const Json* const found = FindQuantization(config);
  if (found == nullptr) return "";
  for (const char* const key : {"quant_method", "format", "mode", "quant_algo"}) {
    const Json* const method = found->Find(key);
    if (method != nullptr && method->string() != nullptr) return *method->string();
  }
  return "a method without a name";
}

void RefuseOwnOutput(const fs::path& directory) {
  std::error_code error;
  if (fs::exists(directory / "model.safetensors", error) ||
      fs::exists(directory / "model.safetensors.index.json", error))
    return;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with("quant_model_description")) continue;
    throw Error(ErrorCode::kInvalidModel,
                directory.string() + ": expected a float model, found an output of msModelSlim or modelslim (" + name +
                    "): it is already quantized",
                std::string(kGiveFloat));
  }
}

void RefuseQuantizedSource(const Json& config, const Checkpoint& checkpoint, const SourceForms& forms) {
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    const std::optional<std::string> tool = Evidence(checkpoint, forms, tensor);
    if (!tool) continue;
    const std::string method = QuantMethod(config);
    throw Error(ErrorCode::kInvalidModel,
                checkpoint.directory().string() +
                    ": expected float weights, found a checkpoint that is already quantized" +
                    (method.empty() ? ", by its tensors with " + *tool
                                    : " with " + method + " (quantization_config in config.json)") +
                    ": " + tensor.name + " is " + std::string(DTypeName(tensor.dtype)) + " " + ShapeText(tensor.shape),
                std::string(kGiveFloat));
  }
}

}  // namespace modelslim
