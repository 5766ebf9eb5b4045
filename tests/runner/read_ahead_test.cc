#include "runner/read_ahead.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>

namespace modelslim {
namespace {

// Notes what it was told to expect, in order.
class NotingSource : public WeightSource {
 public:
  std::optional<SharedTensor> Map(const ParamInfo&) const override { return std::nullopt; }
  Tensor Load(const ParamInfo& param) const override { return Tensor::Zeros(param.dtype, param.shape); }
  void WillNeed(const ParamInfo& param) const override {
    const std::lock_guard lock(mutex_);
    expected_ += (expected_.empty() ? "" : " ") + param.name;
  }
  void DontNeed(const ParamInfo&) const override {}

  // What it was told, once that is `want` or nothing more comes.
  std::string Expected(const std::string& want) const {
    for (int i = 0; i < 400; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (expected_ == want) break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it must not go on either
    const std::lock_guard lock(mutex_);
    return expected_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::string expected_;
};

// Two blocks of three parameters of 100 bytes: a b c, d e f.
std::vector<BlockInfo> Blocks() {
  std::vector<BlockInfo> blocks(2);
  char name = 'a';
  for (BlockInfo& block : blocks) {
    for (int i = 0; i < 3; ++i) {
      ModuleInfo module;
      ParamInfo param;
      param.name = std::string(1, name++);
      param.shape = {25};
      param.dtype = DType::kF32;
      module.params.push_back(param);
      block.modules.push_back(module);
    }
  }
  return blocks;
}

TEST(ReadAhead, StaysWithinItsWindow) {
  const NotingSource source;
  const std::vector<BlockInfo> blocks = Blocks();
  const ReadAhead ahead(source, blocks, 200);
  EXPECT_EQ(source.Expected("a b"), "a b");
  ahead.Load(blocks[0].modules[0].params[0]);  // a
  EXPECT_EQ(source.Expected("a b c"), "a b c");
  ahead.Map(blocks[0].modules[1].params[0]);  // b; c to d
  EXPECT_EQ(source.Expected("a b c d"), "a b c d");
  ahead.Load(blocks[0].modules[0].params[0]);  // once more, for another chunk: nothing new
  EXPECT_EQ(source.Expected("a b c d"), "a b c d");
}

TEST(ReadAhead, SkipsWhatWasReadWithoutIt) {
  const NotingSource source;
  const std::vector<BlockInfo> blocks = Blocks();
  const ReadAhead ahead(source, blocks, 100);
  EXPECT_EQ(source.Expected("a"), "a");
  ahead.Load(blocks[1].modules[1].params[0]);  // e
  EXPECT_EQ(source.Expected("a f"), "a f");
}

TEST(ReadAhead, ParametersThatItDoesNotKnowAreRead) {
  const NotingSource source;
  const std::vector<BlockInfo> blocks = Blocks();
  const ReadAhead ahead(source, std::span(blocks).subspan(1), 100);
  EXPECT_EQ(source.Expected("d"), "d");
  EXPECT_EQ(ahead.Load(blocks[0].modules[2].params[0]).size(), 25);
  EXPECT_EQ(source.Expected("d"), "d");
}

TEST(ReadAhead, AParameterLargerThanTheWindowIsReadAlone) {
  const NotingSource source;
  const std::vector<BlockInfo> blocks = Blocks();
  const ReadAhead ahead(source, blocks, 10);
  EXPECT_EQ(source.Expected("a"), "a");
  ahead.Load(blocks[0].modules[0].params[0]);
  EXPECT_EQ(source.Expected("a b"), "a b");
}

}  // namespace
}  // namespace modelslim
