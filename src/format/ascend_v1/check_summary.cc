#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "format/ascend_v1/checks.h"
#include "format/ascend_v1/description.h"
#include "format/ascend_v1/facts.h"
#include "format/ascend_v1/modes.h"
#include "io/safetensors.h"
#include "quant/numbers/mx.h"

namespace modelslim::ascend_v1 {
namespace {

class SummaryChecker {
 public:
  SummaryChecker(const AscendOutput& output, const std::vector<SavedLinear>& linears, Problems& problems)
      : output_(output), linears_(linears), problems_(problems) {
    for (const JsonMember& member : *output.description().object()) {
      if (const std::string* const type = member.value.string()) types_.insert(*type);
    }
  }

  void Run() {
    Expect("version", {"1.0.0"});
    if (output_.is_v0())
      CheckV0();
    else
      CheckRest();
    ExpectWhere(HasType(kCacheType), "kv_cache_type", std::string(kCacheType));
    ExpectWhere(HasType(kCacheType), "kv_quant_type", std::string(kCacheType));
    ExpectWhere(HasType(kAttentionType), "fa_quant_type", "FAKQuant");
  }

 private:
  void CheckRest() {
    Expect("model_quant_type", ModelTypes());
    CheckGroupSize();
    CheckRotations();
    CheckOptional();
  }

  // It says what it was asked for, which need not be the type of any layer, and a group size only where there is one.
  void CheckV0() {
    std::set<std::string> types;
    for (int mode = 0; mode < kQuantModeCount; ++mode)
      types.insert(std::string(QuantModeName(static_cast<QuantMode>(mode))));
    Expect("model_quant_type", types);
    std::set<int64_t> sizes;
    for (const SavedLinear& layer : linears_) {
      if (layer.group_size > 0) sizes.insert(layer.group_size);
    }
    const Json* const value = Find("group_size");
    const std::optional<int64_t> found = value == nullptr ? std::nullopt : value->integer();
    const bool right = sizes.empty() ? true : found && sizes.count(*found) > 0;
    if (!right) Wrong("group_size", fmt::format("{}", fmt::join(sizes, " or ")));
  }

  const Json* Find(std::string_view key) const { return output_.description().Find(key); }

  std::string Text(std::string_view key) const {
    const Json* const value = Find(key);
    return value == nullptr ? "nothing" : value->Dump();
  }

  void Wrong(std::string_view key, const std::string& expected) {
    problems_.Add(fmt::format("{}: {}: expected {}, found {}", kDescriptionFile, key, expected, Text(key)));
  }

  // A tensor's type; the globals of that name ("kv_cache_type": "C8") are no tensors.
  bool HasType(std::string_view type) const {
    for (const CheckpointTensor& tensor : output_.weights().tensors()) {
      const Json* const listed = Find(tensor.name);
      if (listed != nullptr && listed->string() != nullptr && *listed->string() == type) return true;
    }
    return false;
  }

  void Expect(std::string_view key, const std::set<std::string>& values) {
    const Json* const value = Find(key);
    if (value != nullptr && value->string() != nullptr && values.count(*value->string()) > 0) return;
    Wrong(key, fmt::format("\"{}\"", fmt::join(values, "\" or \"")));
  }

  // `key` says `value` where its tensors are, and is absent elsewhere.
  void ExpectWhere(bool there, std::string_view key, const std::string& value) {
    if (there) return Expect(key, {value});
    if (Find(key) != nullptr) Wrong(key, "no such entry, since no tensor is of that kind");
  }

  // Each release has an order of its own, and one counts the linears outside of the layers, which the other leaves out.
  std::set<std::string> ModelTypes() const {
    std::vector<QuantMode> modes;
    Compat options;
    for (const SavedLinear& layer : linears_) {
      modes.push_back(layer.mode);
      options.fp8_for_vllm = options.fp8_for_vllm || layer.type == kFp8TypeOfVllm;
    }
    if (types_.count(std::string(QuantModeName(QuantMode::kW16A16S))) > 0) modes.push_back(QuantMode::kW16A16S);
    std::set<std::string> names;
    for (const bool with_float : {false, true}) {
      if (with_float) modes.push_back(QuantMode::kFloat);
      for (const bool december : {false, true}) {
        options.december_2025 = december;
        names.insert(ModelQuantType(modes, options));
      }
    }
    return names;
  }

  // The last layer that has groups decides. One whose group is the whole row looks like one without.
  void CheckGroupSize() {
    std::set<int64_t> sizes, rows;
    for (const SavedLinear& layer : linears_) {
      const Grouping grouping = RowOf(layer.mode).grouping;
      if (grouping == Grouping::kMx || grouping == Grouping::kDualScale) {
        sizes.insert(kMxBlock);
      } else if (layer.group_size > 0) {
        sizes.insert(layer.group_size);
      } else if (grouping != Grouping::kNone) {
        rows.insert(layer.in);
      }
    }
    if (sizes.empty()) sizes.insert(0);
    const Json* const value = Find("group_size");
    const std::optional<int64_t> found = value == nullptr ? std::nullopt : value->integer();
    if (found && (sizes.count(*found) > 0 || rows.count(*found) > 0)) return;
    Wrong("group_size", fmt::format("{}", fmt::join(sizes, " or ")));
  }

  // metadata.quarot lists the layers whose matrices stand in the weight files.
  void CheckRotations() {
    const Json* const metadata = Find("metadata");
    if (metadata == nullptr || metadata->object() == nullptr) return Wrong("metadata", "an object");
    const Json* const quarot = metadata->Find("quarot");
    CheckRotated(quarot, "heads_rotation", kHeadsRotation);
    CheckRotated(quarot, "kronecker_rotation", kKroneckerLeft);
    CheckRotated(quarot, "kronecker_rotation", kKroneckerRight);
  }

  void CheckRotated(const Json* quarot, std::string_view key, std::string_view suffix) {
    std::set<std::string> listed, there;
    const Json* const entry = quarot == nullptr ? nullptr : quarot->Find(key);
    const Json* const layers = entry == nullptr ? nullptr : entry->Find("layers");
    if (layers != nullptr && layers->array() != nullptr) {
      for (const Json& layer : *layers->array()) {
        if (layer.string() != nullptr) listed.insert(*layer.string());
      }
    }
    const std::string end = "." + std::string(suffix);
    for (const CheckpointTensor& tensor : output_.weights().tensors()) {
      if (tensor.name.ends_with(end)) there.insert(tensor.name.substr(0, tensor.name.size() - end.size()));
    }
    for (const std::string& name : listed) {
      if (there.count(name) == 0) {
        problems_.Add(fmt::format("{}: metadata.quarot.{} lists {}, but {}{} is missing", kDescriptionFile, key, name,
                                  name, end));
      }
    }
    for (const std::string& name : there) {
      if (listed.count(name) == 0) {
        problems_.Add(fmt::format("{}{} is not in metadata.quarot.{} of {}", name, end, key, kDescriptionFile));
      }
    }
  }

  // optional.quarot.rotation_map.global_rotation names a file beside the weights.
  void CheckOptional() {
    const Json* value = Find("optional");
    for (const char* const key : {"quarot", "rotation_map", "global_rotation"}) {
      if (value != nullptr) value = value->Find(key);
    }
    if (value == nullptr) return;
    const std::string* const name = value->string();
    if (name == nullptr || fs::path(*name).is_absolute() || name->find("..") != std::string::npos) {
      return Wrong("optional", "the name of a file of this directory as global_rotation");
    }
    try {
      const SafetensorsFile file(output_.PathOf(*name));
      if (file.Find(std::string(kRotationTensor)) == nullptr) {
        problems_.Add(file.path().string() + ": expected a tensor global_rotation, found none");
      }
    } catch (const Error& error) {
      problems_.Add(error.what());
    }
  }

  const AscendOutput& output_;
  const std::vector<SavedLinear>& linears_;
  Problems& problems_;
  std::set<std::string> types_;
};

}  // namespace

void CheckSummary(const AscendOutput& output, const std::vector<SavedLinear>& linears, Problems& problems) {
  SummaryChecker(output, linears, problems).Run();
}

}  // namespace modelslim::ascend_v1
