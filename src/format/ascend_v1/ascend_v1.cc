#include "format/ascend_v1/ascend_v1.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "format/ascend_v1/checks.h"
#include "format/ascend_v1/description.h"
#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "io/json.h"
#include "io/json_ref.h"

namespace modelslim {
namespace ascend_v1 {
namespace {

class AscendV1 : public Format {
 public:
  explicit AscendV1(const Compat& options) : options_(options) {}

  std::string Fingerprint() const override {
    return std::string(options_.december_2025 ? " 2025-12\n" : "\n") +
           (options_.fp8_for_vllm ? std::string(kFp8TypeOfVllm) + "\n" : "");
  }
  std::string_view TypeName(QuantMode mode) const override { return ascend_v1::TypeName(mode, options_); }

  std::vector<OutputTensor> PlanLinear(const PlannedLinear& linear, DType model_dtype) const override {
    return ascend_v1::PlanLinear(linear, model_dtype, options_);
  }
  OutputTensor PlanFloat(const std::string& name, DType dtype, const Shape& shape) const override {
    return {name, dtype, shape, std::string(QuantModeName(QuantMode::kFloat))};
  }
  std::vector<OutputTensor> PlanFact(const PlannedFact& fact) const override { return ascend_v1::PlanFact(fact); }
  ShardNames Names(int64_t part_gib) const override { return {kWeightsStem, part_gib}; }
  SavedSummary Summarize(const WrittenModel& model) const override {
    const DescriptionGlobals globals = GlobalsOf(model, options_);
    return {globals.model_quant_type, globals.group_size, true, false};
  }

  void WriteLinear(QuantizedLinear linear, DType model_dtype, const TensorSink& sink) const override {
    ascend_v1::WriteLinear(std::move(linear), model_dtype, options_, sink);
  }
  void WriteFact(const std::string& module, Fact fact, const TensorSink& sink) const override {
    ascend_v1::WriteFact(module, std::move(fact), sink);
  }
  std::vector<SmallFile> SmallFiles(const OutputLayout& layout, const WrittenModel& model) const override {
    std::vector<SmallFile> files;
    if (!layout.index_file.empty()) files.push_back({layout.index_file, IndexJson(layout)});
    files.push_back({kDescriptionFile, DescriptionJson(layout, GlobalsOf(model, options_), options_)});
    return files;
  }
  std::string_view completing_file() const override { return kDescriptionFile; }
  // This tool's names, and those of the one whose format it is.
  bool IsWeightFile(std::string_view name) const override {
    return name.starts_with("quant_model_weight") &&
           (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
  }

 private:
  Compat options_;
};

Json ReadObject(const fs::path& path) {
  Json json = ReadJson(path);
  if (json.object() != nullptr) return json;
  throw Error(ErrorCode::kInvalidModel,
              fmt::format("{}: expected an object, found {}", path.string(), JsonKindText(json.kind())));
}

// What the weight files are called: modelslim_v0 names them after the type, or as the recipe says.
std::string StemOf(const fs::path& directory, const std::string& suffix, const Json& description) {
  std::string stem = kWeightsStem;
  if (!IsV0(description)) return stem;
  const std::string end = ".safetensors" + suffix;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    if (!name.ends_with(end)) continue;
    name.resize(name.size() - end.size());
    constexpr size_t kNumber = std::string_view("-00001-of-00001").size();
    if (name.size() > kNumber && name.substr(name.size() - kNumber + 6, 4) == "-of-")
      name.resize(name.size() - kNumber);
    if (name.starts_with("quant_model_weight_") || stem == kWeightsStem) stem = name;
  }
  return stem;
}

}  // namespace

bool IsV0(const Json& description) {
  const JsonObject* const object = description.object();
  return object != nullptr && object->begin() != object->end() && object->begin()->key == "version";
}

std::string_view AscendOutput::completing_file() const { return kDescriptionFile; }

SavedSummary AscendOutput::Summary() const {
  const JsonRef said(description_, std::string(kDescriptionFile));
  SavedSummary summary;
  summary.has_group_size = said["group_size"].present();
  summary.group_size = said["group_size"].IntOr(0);
  summary.model_quant_type = TypeOf("model_quant_type");
  summary.indexer_quantized = description_.Find("indexer_quant_type") != nullptr;
  return summary;
}

std::string AscendOutput::TypeOf(const std::string& tensor) const {
  const Json* const value = description_.Find(tensor);
  return value == nullptr || value->string() == nullptr ? "" : *value->string();
}

std::vector<SavedLinear> AscendOutput::CheckLinears(Problems& problems) const {
  return ascend_v1::CheckLinears(*this, problems);
}

void AscendOutput::CheckSummary(const std::vector<SavedLinear>& linears, Problems& problems) const {
  ascend_v1::CheckSummary(*this, linears, problems);
}

}  // namespace ascend_v1

std::unique_ptr<Format> MakeAscendV1(const Compat& options) { return std::make_unique<ascend_v1::AscendV1>(options); }

std::unique_ptr<Format> MakeAscendV0(const Compat& options) {
  Compat own = options;
  own.v0 = true;
  own.december_2025 = false;  // its files did not change
  return MakeAscendV1(own);
}

std::unique_ptr<SavedOutput> OpenAscendV1(const fs::path& directory, bool published) {
  const fs::path named = directory / ascend_v1::kDescriptionFile;
  const fs::path description = published ? named : Unpublished(named);
  if (!fs::exists(description)) return nullptr;
  Json said = ascend_v1::ReadObject(description);
  const std::string suffix = published ? "" : kUnpublished;
  const std::string stem = ascend_v1::StemOf(directory, suffix, said);
  return std::make_unique<ascend_v1::AscendOutput>(directory, published, Checkpoint(directory, stem, suffix),
                                                   std::move(said));
}

}  // namespace modelslim
