#include "app/verify.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "io/checkpoint.h"
#include "io/hash.h"
#include "io/json.h"
#include "io/model_directory.h"
#include "model/family.h"
#include "model/open_weights.h"
#include "model/unused_tensors.h"
#include "ops/finite.h"
#include "plan/lost_tensors.h"
#include "quant/weights/pack.h"
#include "quant/weights/weight_error.h"
#include "runner/ledger.h"
#include "runner/publish.h"
#include "tensor/quant_mode.h"

namespace modelslim {
namespace {

// What a type's linears must have beside `weight`, and how the weight is stored.
struct TypeRule {
  QuantMode mode;
  DType weight;
  std::optional<SavedKind> kind;
  std::vector<std::string_view> needs;
};

const std::vector<TypeRule>& Rules() {
  static const std::vector<TypeRule> rules = {
      {QuantMode::kW8A8,
       DType::kI8,
       SavedKind::kStaticInt8,
       {"quant_bias", "input_scale", "input_offset", "deq_scale"}},
      {QuantMode::kW8A8Mix,
       DType::kI8,
       SavedKind::kInt,
       {"quant_bias", "input_scale", "input_offset", "deq_scale", "weight_scale", "weight_offset"}},
      {QuantMode::kW8A8Dynamic, DType::kI8, SavedKind::kInt, {"weight_scale", "weight_offset"}},
      {QuantMode::kW8A16, DType::kI8, SavedKind::kInt, {"weight_scale", "weight_offset"}},
      {QuantMode::kW4A4Dynamic, DType::kI8, SavedKind::kInt, {"weight_scale", "weight_offset"}},
      {QuantMode::kW4A8Dynamic, DType::kI8, SavedKind::kInt4RowPairs, {"weight_scale", "weight_offset", "scale_bias"}},
      {QuantMode::kWFP8AFP8Dynamic, DType::kF8E4M3, SavedKind::kFp8, {"weight_scale", "weight_offset"}},
      {QuantMode::kW8A8MXFP8, DType::kF8E4M3, SavedKind::kMxFp8, {"weight_scale"}},
      {QuantMode::kW4A8MXFP, DType::kU8, SavedKind::kMxFp4, {"weight_scale"}},
      {QuantMode::kW4A4MXFP4, DType::kU8, SavedKind::kMxFp4, {"weight_scale"}},
      {QuantMode::kW4A4MXFP4DualScale, DType::kU8, SavedKind::kMxFp4, {"weight_scale", "weight_dual_scale"}}};
  return rules;
}

const TypeRule* RuleOf(const std::string& type) {
  for (const TypeRule& rule : Rules()) {
    if (rule.mode == QuantModeOf(type)) return &rule;
  }
  return nullptr;
}

bool IsGlobalKey(const std::string& key) {
  static const std::set<std::string> keys = {"version",     "model_quant_type",  "metadata",      "group_size",
                                             "optional",    "kv_cache_type",     "kv_quant_type", "fa_quant_type",
                                             "is_rot_used", "indexer_quant_type"};
  return keys.count(key) > 0 || key.ends_with(".quant_type");
}

// Rotation matrices stand in the weight files only.
bool IsUnlisted(const std::string& name) {
  return name.ends_with(".heads_rotation") || name.ends_with(".kronecker_rotation_m") ||
         name.ends_with(".kronecker_rotation_n");
}

class Verifier {
 public:
  explicit Verifier(const fs::path& directory)
      : directory_(directory),
        description_(ReadJson(directory / kDescriptionFile)),
        weights_(directory, StemOf(directory)) {
    if (description_.object() == nullptr) Problem(std::string(kDescriptionFile) + ": expected an object");
  }

  VerifyReport Run(const fs::path& source) {
    const auto start = std::chrono::steady_clock::now();
    if (report_.problems.empty()) {
      CheckNames();
      for (const auto& [linear, type] : linears_) CheckLinear(linear, type);
      CheckContents();
      if (!source.empty()) CompareWithSource(source);
    }
    report_.tensors = static_cast<int64_t>(weights_.tensors().size());
    report_.bytes = weights_.total_bytes();
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  static std::string StemOf(const fs::path& directory) {
    if (!fs::exists(directory / kDescriptionFile)) {
      throw Error(ErrorCode::kInvalidModel,
                  (directory / kDescriptionFile).string() + " is missing: this is no finished output",
                  "if a run was interrupted, run the same 'modelslim quant' command again");
    }
    return "quant_model_weights";
  }

  void Problem(std::string text) {
    const std::lock_guard lock(mutex_);
    report_.problems.push_back(std::move(text));
  }

  void Warning(std::string text) {
    const std::lock_guard lock(mutex_);
    report_.warnings.push_back(std::move(text));
  }

  // Every listed tensor exists, and every tensor is listed.
  void CheckNames() {
    for (const std::string& warning : weights_.warnings()) Problem(warning);
    for (const JsonMember& member : *description_.object()) {
      if (IsGlobalKey(member.key)) continue;
      const std::string* type = member.value.string();
      if (type == nullptr) {
        Problem(fmt::format("{}: {}: expected a type, found {}", kDescriptionFile, member.key,
                            JsonKindText(member.value.kind())));
      } else if (weights_.Find(member.key) == nullptr) {
        Problem(fmt::format("{} lists {}, which no weight file holds", kDescriptionFile, member.key));
      } else if (member.key.ends_with(".weight") && RuleOf(*type) != nullptr) {
        linears_.emplace_back(member.key.substr(0, member.key.size() - 7), *type);
      } else {
        CheckPlain(member.key, *type);
      }
    }
    for (const CheckpointTensor& tensor : weights_.tensors()) {
      if (description_.Find(tensor.name) == nullptr && !IsUnlisted(tensor.name)) {
        Problem(fmt::format("{} is in the weight files but not in {}", tensor.name, kDescriptionFile));
      }
    }
  }

  // A tensor that is no quantized weight: a part of one, a float, or a scale of the cache or of attention.
  void CheckPlain(const std::string& name, const std::string& type) {
    const DType dtype = weights_.Find(name)->dtype;
    const bool as_is = type == QuantModeName(QuantMode::kFloat) || type == QuantModeName(QuantMode::kW16A16S);
    if (as_is && !IsFloat(dtype)) {
      Problem(fmt::format("{}: {} means a float tensor, found {}", name, type, DTypeName(dtype)));
    } else if (!as_is && RuleOf(type) == nullptr && type != "C8" && type != "FAQuant") {
      Problem(fmt::format("{}: '{}' is not a known type", name, type));
    }
  }

  const CheckpointTensor* Part(const std::string& linear, std::string_view suffix) const {
    return weights_.Find(linear + "." + std::string(suffix));
  }

  void CheckLinear(const std::string& linear, const std::string& type) {
    const TypeRule& rule = *RuleOf(type);
    const CheckpointTensor* weight = Part(linear, "weight");
    const bool old_fp4 = rule.weight == DType::kU8 && weight->dtype == DType::kF8E4M3;
    if (weight->dtype != rule.weight && !old_fp4) {
      Problem(fmt::format("{}.weight: {} is stored as {}, found {}", linear, type, DTypeName(rule.weight),
                          DTypeName(weight->dtype)));
      return;
    }
    for (const std::string_view suffix : rule.needs) {
      const CheckpointTensor* part = Part(linear, suffix);
      if (part == nullptr) {
        Problem(fmt::format("{}.{} is missing; {} needs it", linear, suffix, type));
        continue;
      }
      if (suffix == "weight_scale" || suffix == "input_scale" || suffix == "deq_scale" || suffix == "weight_dual_scale")
        CheckScale(*part);
      if (suffix == "input_offset") CheckOffset(*part);
    }
  }

  void CheckScale(const CheckpointTensor& tensor) {
    const SharedTensor stored = weights_.Get(tensor);
    const ConstView& view = stored.view();
    if (tensor.dtype == DType::kU8) {  // shared exponents: 255 stands for NaN
      const auto* bytes = view.as<uint8_t>();
      if (std::find(bytes, bytes + view.size(), uint8_t{255}) != bytes + view.size())
        Problem(tensor.name + ": holds a NaN exponent");
      return;
    }
    Tensor values;
    if (tensor.dtype == DType::kI64) {
      values = DeqScaleFromModel(view);
    } else if (tensor.dtype == DType::kF32) {
      values = Tensor::Copy(view);
    } else {
      Problem(fmt::format("{}: expected F32 or I64, found {}", tensor.name, DTypeName(tensor.dtype)));
      return;
    }
    for (int64_t i = 0; i < values.size(); ++i) {
      const float value = values.as<float>()[i];
      if (std::isfinite(value) && value > 0) continue;
      Problem(fmt::format("{}: element {} is {}, expected a finite positive scale", tensor.name, i, value));
      return;
    }
  }

  void CheckOffset(const CheckpointTensor& tensor) {
    const SharedTensor stored = weights_.Get(tensor);
    const ConstView& view = stored.view();
    if (tensor.dtype != DType::kF32) return;
    for (int64_t i = 0; i < view.size(); ++i) {
      const float value = view.as<float>()[i];
      if (value >= -128 && value <= 127 && value == std::floor(value)) continue;
      Problem(fmt::format("{}: element {} is {}, expected an integer from -128 to 127", tensor.name, i, value));
      return;
    }
  }

  // Of every tensor: the checksum that the ledger holds of it, as it was handed to the disk, and that it is finite.
  void CheckContents() {
    const fs::path path = directory_ / kLedgerFile;
    const Json ledger = fs::exists(path) ? ReadJson(path) : Json();
    const Json* hashes = ledger.Find("hashes");
    if (hashes != nullptr && hashes->object() == nullptr) hashes = nullptr;
    ParallelFor(static_cast<int64_t>(weights_.tensors().size()), [&](int64_t i) {
      const CheckpointTensor& tensor = weights_.tensors()[static_cast<size_t>(i)];
      const SharedTensor stored = weights_.Get(tensor);
      const ConstView view = stored.view();
      const Json* const expected = hashes == nullptr ? nullptr : hashes->Find(tensor.name);
      if (expected != nullptr && expected->string() != nullptr &&
          HashHex({static_cast<const std::byte*>(view.data), view.bytes()}) != *expected->string()) {
        Problem(tensor.name + ": the bytes on disk are not those that were written");
      }
      if (const std::optional<int64_t> at = FirstNotFinite(view)) {
        Warning(fmt::format("{} holds {} (element {} of {})", tensor.name, NotFiniteName(view, *at), *at,
                            ShapeText(view.shape)));
      }
      weights_.DontNeed(tensor.name);
    });
  }

  void CompareWithSource(const fs::path& source) {
    const Json config = ReadJson(source / "config.json");
    const std::unique_ptr<Checkpoint> opened = OpenWeights(source, config);
    const Checkpoint& checkpoint = *opened;
    const std::unique_ptr<Family> family = MakeFamily(FindFamily("default"), config, checkpoint);
    const std::unique_ptr<WeightSource> weights = MakeWeightSource(checkpoint);
    report_.losses =
        LossLines(GroupUnused(family->layout(), checkpoint, CheckAgainstCheckpoint(family->layout(), checkpoint)));
    std::map<std::string, const ModuleInfo*> modules;
    for (const BlockInfo& block : family->layout().blocks) {
      for (const ModuleInfo& module : block.modules) modules[module.name] = &module;
    }
    for (const auto& [linear, type] : linears_) {
      const auto found = modules.find(linear);
      if (found == modules.end()) {
        Problem(linear + " is not a module of " + source.string());
        continue;
      }
      const Tensor restored = Restore(linear, *RuleOf(type)->kind);
      const Tensor original = weights->Load(found->second->params.front());
      if (restored.shape() != original.shape()) {
        Problem(fmt::format("{}: shape {} in the output, {} in the source", linear, ShapeText(restored.shape()),
                            ShapeText(original.shape())));
        continue;
      }
      report_.errors.push_back({linear, type, Compare(original.view(), restored.view()).relative()});
    }
    std::stable_sort(report_.errors.begin(), report_.errors.end(),
                     [](const auto& a, const auto& b) { return a.relative > b.relative; });
  }

  Tensor Restore(const std::string& linear, SavedKind kind) const {
    std::vector<SharedTensor> parts;
    const auto view = [&](std::string_view suffix) {
      const CheckpointTensor* part = Part(linear, suffix);
      return part == nullptr ? ConstView{} : parts.emplace_back(weights_.Get(*part)).view();
    };
    SavedLinear saved;
    saved.weight = view("weight");
    saved.weight_scale = view("weight_scale");
    saved.weight_offset = view("weight_offset");
    saved.weight_dual_scale = view("weight_dual_scale");
    saved.deq_scale = view("deq_scale");
    saved.input_scale = view("input_scale");
    return DequantizeSaved(saved, kind);
  }

  fs::path directory_;
  Json description_;
  Checkpoint weights_;
  std::vector<std::pair<std::string, std::string>> linears_;  // name, type
  std::mutex mutex_;
  VerifyReport report_;
};

}  // namespace

std::string VerifySummary(const VerifyReport& report) {
  const auto counted = [](size_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  if (!report.problems.empty()) return counted(report.problems.size(), "problem");
  return report.warnings.empty() ? "all well" : "as it was written; " + counted(report.warnings.size(), "warning");
}

VerifyReport VerifyOutput(const fs::path& directory, const fs::path& source) {
  if (!source.empty()) CheckModelDirectory(source);
  if (!fs::is_directory(directory)) {
    throw Error(ErrorCode::kSecurity, directory.string() + " is not a directory",
                "give the --save_path of a finished run");
  }
  VerifyReport report = Verifier(directory).Run(source);
  std::sort(report.problems.begin(), report.problems.end());
  std::sort(report.warnings.begin(), report.warnings.end());
  return report;
}

void PrintVerify(const VerifyReport& report, const fs::path& directory, std::ostream& out) {
  fmt::print(out, "{}: {} tensors, {}, read in {}\n", directory.string(), report.tensors, FormatBytes(report.bytes),
             FormatDuration(report.seconds));
  for (const std::string& problem : report.problems) fmt::print(out, "  problem: {}\n", problem);
  for (const std::string& warning : report.warnings) fmt::print(out, "  warning: {}\n", warning);
  for (const std::string& remark : report.remarks) fmt::print(out, "  note: {}\n", remark);
  if (!report.errors.empty()) {
    fmt::print(out,
               "largest errors of dequantized weights against the source (weights that smoothing or rotation changed "
               "differ by design)\n");
    for (size_t i = 0; i < std::min<size_t>(report.errors.size(), 10); ++i) {
      fmt::print(out, "  {:<56} {:<18} {:.4f}\n", report.errors[i].name, report.errors[i].type,
                 report.errors[i].relative);
    }
  }
  if (!report.losses.empty()) fmt::print(out, "of the source, not in the output\n");
  for (const std::string& line : report.losses) fmt::print(out, "  {}\n", line);
  fmt::print(out, "{}\n", VerifySummary(report));
}

}  // namespace modelslim
