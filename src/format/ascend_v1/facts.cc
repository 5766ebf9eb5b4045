#include "format/ascend_v1/facts.h"

#include <algorithm>
#include <array>
#include <utility>

namespace modelslim::ascend_v1 {
namespace {

std::string Join(const std::string& module, std::string_view suffix) { return module + "." + std::string(suffix); }

std::string RotationName(const std::string& module, RotationRole role, const std::string& site) {
  switch (role) {
    case RotationRole::kHeads:
      return Join(module, kHeadsRotation);
    case RotationRole::kKroneckerLeft:
      return Join(module, kKroneckerLeft);
    case RotationRole::kKroneckerRight:
      return Join(module, kKroneckerRight);
    case RotationRole::kSite:
      break;
  }
  return site;
}

class Planner {
 public:
  explicit Planner(const PlannedFact& fact) : module_(fact.module) {}

  void operator()(const PlannedKvScales& kv) {
    const auto add = [&](const std::string& projection, std::string_view suffix, DType dtype, int64_t size) {
      Add(Join(projection, suffix), dtype, {size}, std::string(kCacheType));
    };
    add(kv.key, kCacheScale, kv.key_dtype, kv.keys);
    add(kv.key, kCacheOffset, kv.key_dtype, kv.keys);
    add(kv.value, kCacheScale, kv.value_dtype, kv.values);
    add(kv.value, kCacheOffset, kv.value_dtype, kv.values);
  }

  void operator()(const PlannedFaScales& fa) {
    const std::pair<const char*, int64_t> branches[] = {{"fa_q", fa.query_heads}, {"fa_k", 1}, {"fa_v", 1}};
    for (const auto& [branch, heads] : branches) {
      const std::string base = Join(module_, branch);
      Add(base + ".scale", DType::kF32, {heads, 1}, std::string(kAttentionType));
      Add(base + ".offset", DType::kI8, {heads, 1}, std::string(kAttentionType));
    }
  }

  void operator()(const PlannedRotation& rotation) {
    const bool listed = rotation.role == RotationRole::kSite;
    Add(RotationName(module_, rotation.role, rotation.site), DType::kF32, {rotation.size, rotation.size},
        listed ? "FLOAT" : "");
  }

  void operator()(const PlannedGlobalRotation& rotation) {
    Add(std::string(kRotationTensor), DType::kF32, {rotation.size, rotation.size}, "");
    tensors_.back().file = kRotationFile;
  }

  std::vector<OutputTensor> Take() { return std::move(tensors_); }

 private:
  void Add(std::string name, DType dtype, Shape shape, std::string type) {
    tensors_.push_back({std::move(name), dtype, std::move(shape), std::move(type)});
  }

  const std::string& module_;
  std::vector<OutputTensor> tensors_;
};

// One value for each channel, in the type that the statistics have.
Tensor InTheirType(const std::vector<float>& values, DType dtype) {
  Tensor f32(DType::kF32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), f32.as<float>());
  return ConvertTo(std::as_const(f32).view(), dtype);
}

class Writer {
 public:
  Writer(const std::string& module, const TensorSink& sink) : module_(module), sink_(sink) {}

  void operator()(KvScales& kv) {
    for (const auto& [projection, params] : {std::pair(&kv.key, &kv.keys), std::pair(&kv.value, &kv.values)}) {
      const std::vector<float> zeros(params->scale.size(), 0.0f);
      sink_(Join(*projection, kCacheScale), InTheirType(params->scale, params->dtype));
      sink_(Join(*projection, kCacheOffset),
            InTheirType(params->offset.empty() ? zeros : params->offset, params->dtype));
    }
  }

  void operator()(FaScales& fa) {
    const std::pair<const char*, const AffineTable*> branches[] = {
        {"fa_q", &fa.query}, {"fa_k", &fa.key}, {"fa_v", &fa.value}};
    for (const auto& [branch, params] : branches) {
      Tensor scale(DType::kF32, {static_cast<int64_t>(params->scale.size()), 1});
      std::copy(params->scale.begin(), params->scale.end(), scale.as<float>());
      Tensor offset = Tensor::Zeros(DType::kI8, scale.shape());
      sink_(Join(module_, branch) + ".scale", std::move(scale));
      sink_(Join(module_, branch) + ".offset", std::move(offset));
    }
  }

  void operator()(OnlineRotation& rotation) {
    sink_(RotationName(module_, rotation.role, rotation.site), std::move(rotation.matrix));
  }

  void operator()(GlobalRotation& rotation) { sink_(std::string(kRotationTensor), std::move(rotation.matrix)); }

 private:
  const std::string& module_;
  const TensorSink& sink_;
};

}  // namespace

std::vector<OutputTensor> PlanFact(const PlannedFact& fact) {
  Planner planner(fact);
  std::visit(planner, fact.what);
  return planner.Take();
}

void WriteFact(const std::string& module, Fact fact, const TensorSink& sink) { std::visit(Writer(module, sink), fact); }

}  // namespace modelslim::ascend_v1
