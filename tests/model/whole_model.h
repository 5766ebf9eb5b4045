// A model with all of its blocks in memory, computed in f32 whatever its type.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "io/json.h"
#include "model/family.h"

namespace modelslim {

class WholeModel {
 public:
  WholeModel(const fs::path& directory, const std::string& model_type) : checkpoint_(directory) {
    config_ = ReadJson(directory / "config.json");
    config_.object()->Set("torch_dtype", "float32");
    family_ = MakeFamily(FindFamily(model_type), config_, checkpoint_);
    source_ = MakeWeightSource(checkpoint_);
    rest_ = family_->MakeBlock(-1, *source_);
    for (const BlockInfo& info : family_->layout().blocks) blocks_.push_back(family_->MakeBlock(info.index, *source_));
    for (int32_t i = 0; i < 47; ++i) {
      ids_.push_back(i == 0 ? 0 : (i * 37 + 11) % static_cast<int32_t>(family_->vocab_size()));
    }
  }

  const Family& family() const { return *family_; }
  Block& rest() { return *rest_; }
  std::vector<std::unique_ptr<Block>>& blocks() { return blocks_; }

  // "<module>.weight" wherever it is.
  Parameter& Weight(const std::string& module) {
    std::vector<Block*> all = {rest_.get()};
    for (auto& block : blocks_) all.push_back(block.get());
    for (Block* const block : all) {
      if (LinearModule* const linear = block->FindLinear(module)) return linear->weight();
      if (NormModule* const norm = block->FindNorm(module)) return norm->weight();
      if (Parameter* const parameter = block->FindParameter(module + ".weight")) return *parameter;
    }
    throw std::runtime_error("no module " + module);
  }
  Parameter* Bias(const std::string& module) {
    for (auto& block : blocks_) {
      if (LinearModule* const linear = block->FindLinear(module)) return linear->bias();
    }
    return nullptr;
  }

  // Two texts, step by step.
  Tensor Embed() { return family_->Embed(*rest_, ids_); }
  Tensor Forward(Block& block, const Tensor& hidden, KvObserver* kv = nullptr) {
    ForwardContext context;
    context.groups.offsets = offsets_;
    context.ids = ids_;
    context.kv = kv;
    context.rest = rest_.get();
    return family_->Forward(block, context, hidden.view());
  }

  // Logits of every row, and below them those of the MTP layer's own head where there is one.
  std::vector<float> Run() {
    const int64_t layers = config_.Find("num_hidden_layers")->integer().value();
    Tensor hidden = Embed();
    std::vector<float> values;
    for (auto& block : blocks_) {
      hidden = Forward(*block, hidden);
      if (block->info().index == layers - 1) Append(family_->Logits(*rest_, std::as_const(hidden).view()), &values);
    }
    if (static_cast<int64_t>(blocks_.size()) > layers) {
      Block& mtp = *blocks_.back();
      const int64_t width = config_.Find("hidden_size")->integer().value();
      Tensor sum = Tensor::Zeros(DType::kF32, {hidden.shape()[0], width});
      for (int64_t i = 0; i < hidden.size(); ++i) {
        sum.as<float>()[i / hidden.shape()[1] * width + i % width] += std::as_const(hidden).as<float>()[i];
      }
      const Tensor normed = mtp.norm("shared_head.norm").Forward(std::as_const(sum).view());
      Append(mtp.linear("shared_head.head").FloatForward(normed.view()), &values);
    }
    return values;
  }

 private:
  static void Append(const Tensor& tensor, std::vector<float>* values) {
    for (int64_t i = 0; i < tensor.size(); ++i) values->push_back(tensor.as<float>()[i]);
  }

  Checkpoint checkpoint_;
  Json config_;
  std::unique_ptr<Family> family_;
  std::unique_ptr<WeightSource> source_;
  std::unique_ptr<Block> rest_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<int32_t> ids_;
  std::vector<int64_t> offsets_ = {0, 20, 47};
};

// As a share of the largest value.
inline double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double top = 0, worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    top = std::max<double>(top, std::fabs(b[i]));
    worst = std::max<double>(worst, std::isnan(a[i]) ? INFINITY : std::fabs(a[i] - b[i]));
  }
  return worst / top;
}

}  // namespace modelslim
