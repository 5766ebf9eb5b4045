#include "io/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "io/json.h"

namespace modelslim {
namespace {

Tensor Values(std::initializer_list<float> values) {
  Tensor tensor(DType::kF32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.as<float>());
  return tensor;
}

float Element(const SharedTensor& tensor, int64_t index) { return ElementAsF32(tensor.view(), index); }

// Two shards: "b" and "a" in the first, "c" in the second.
class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    WriteSafetensors(dir_ / kFirst, {{"b", Values({1, 2}).view()}, {"a", Values({3}).view()}});
    WriteSafetensors(dir_ / kSecond, {{"c", Values({4, 5, 6}).view()}});
    Index(R"({"metadata":{"total_size":24},"weight_map":{"c":"model-00002-of-00002.safetensors",
      "a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors"}})");
  }

  void Index(std::string_view text) { dir_.Write("model.safetensors.index.json", text); }
  void Refused(ErrorCode code, std::initializer_list<std::string> parts) {
    ExpectError([&] { Checkpoint(dir_.path()); }, code, parts);
  }

  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
  TemporaryDirectory dir_;
};

TEST_F(CheckpointTest, ListsFindsAndReads) {
  const Checkpoint checkpoint(dir_.path());
  std::string order;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) order += tensor.name;
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(checkpoint.total_bytes(), 24u);
  EXPECT_EQ(checkpoint.shards(), (std::vector<std::string>{kFirst, kSecond}));
  EXPECT_TRUE(checkpoint.warnings().empty());
  const CheckpointTensor* const c = checkpoint.Find("c");
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->shape, Shape{3});
  EXPECT_EQ(c->shard, 1u);
  EXPECT_TRUE(c->indexed);
  EXPECT_EQ(Element(checkpoint.Get("c"), 2), 6.0f);
  EXPECT_EQ(Element(checkpoint.Get(*checkpoint.Find("b")), 1), 2.0f);
  EXPECT_EQ(checkpoint.Find("d"), nullptr);
  ExpectError([&] { checkpoint.Get("d"); }, ErrorCode::kInvalidModel, {dir_.path().string(), "'d'"});
  checkpoint.WillNeed("c");
  checkpoint.DontNeed("c");
  checkpoint.DontNeed("absent");
  EXPECT_EQ(Element(checkpoint.Get("c"), 0), 4.0f);
}

TEST_F(CheckpointTest, StaysValidWhenMoved) {
  Checkpoint first(dir_.path());
  const Checkpoint second(std::move(first));
  EXPECT_EQ(Element(second.Get("a"), 0), 3.0f);
}

TEST_F(CheckpointTest, ReadsASingleFileAndOtherStems) {
  const TemporaryDirectory dir;
  WriteSafetensors(dir / "model.safetensors", {{"x", Values({1}).view()}});
  EXPECT_EQ(Element(Checkpoint(dir.path()).Get("x"), 0), 1.0f);
  WriteSafetensors(dir / "quant_model_weights.safetensors", {{"y", Values({2}).view()}});
  const Checkpoint other(dir.path(), "quant_model_weights");
  EXPECT_EQ(other.Find("x"), nullptr);
  EXPECT_EQ(Element(other.Get("y"), 0), 2.0f);
}

TEST_F(CheckpointTest, FollowsSymbolicLinksToShards) {
  const TemporaryDirectory blobs;
  fs::rename(dir_ / kFirst, blobs / "abc123");
  fs::create_symlink(blobs / "abc123", dir_ / kFirst);
  EXPECT_EQ(Element(Checkpoint(dir_.path()).Get("b"), 0), 1.0f);
}

TEST_F(CheckpointTest, WhatTheIndexDoesNotNameIsFoundAndSaid) {
  Index(R"({"weight_map":{"a":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}})");
  const Checkpoint checkpoint(dir_.path());
  const CheckpointTensor* const b = checkpoint.Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_FALSE(b->indexed);
  EXPECT_EQ(Element(checkpoint.Get("b"), 0), 1.0f);
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], ::testing::HasSubstr("does not name 'b'"));
}

TEST_F(CheckpointTest, TheIndexDecidesBetweenTwoCopies) {
  WriteSafetensors(dir_ / kFirst, {{"b", Values({1, 2}).view()}, {"a", Values({3}).view()}, {"c", Values({9}).view()}});
  const Checkpoint checkpoint(dir_.path());
  EXPECT_EQ(Element(checkpoint.Get("c"), 0), 4.0f);
  EXPECT_EQ(checkpoint.tensors().size(), 3u);
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], ::testing::HasSubstr("second file holds 'c'"));
}

TEST_F(CheckpointTest, NamesWhatIsMissing) {
  fs::remove(dir_ / kSecond);
  Refused(ErrorCode::kInvalidModel, {"expected 2 weight files, found 1; missing: 'model-00002-of-00002.safetensors'"});
}

TEST_F(CheckpointTest, NamesADanglingLink) {
  fs::remove(dir_ / kSecond);
  fs::create_symlink("nowhere", dir_ / kSecond);
  Refused(ErrorCode::kInvalidModel, {kSecond, "found a link to a file that is not there ('nowhere')"});
}

// ---- index, whole file and shards that do not go together ----

TEST_F(CheckpointTest, ACompleteSetNeedsNoIndex) {
  fs::remove(dir_ / "model.safetensors.index.json");
  const Checkpoint checkpoint(dir_.path());
  EXPECT_EQ(checkpoint.tensors().size(), 3u);
  EXPECT_EQ(Element(checkpoint.Get("c"), 0), 4.0f);
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], ::testing::HasSubstr("model.safetensors.index.json is missing; the 2 files"));
}

TEST_F(CheckpointTest, AnIncompleteSetNamesWhatIsMissing) {
  fs::remove(dir_ / "model.safetensors.index.json");
  fs::remove(dir_ / kFirst);
  Refused(ErrorCode::kInvalidModel, {"expected 2 weight files, found 1; missing: 'model-00001-of-00002.safetensors'"});
}

TEST_F(CheckpointTest, TwoSetsWithoutAnIndexAreNotGuessed) {
  fs::remove(dir_ / "model.safetensors.index.json");
  fs::copy_file(dir_ / kFirst, dir_ / "model-00001-of-00001.safetensors");
  Refused(ErrorCode::kInvalidModel,
          {"files of two exports: 'model-00001-of-00001.safetensors' and 'model-00001-of-00002.safetensors'"});
}

TEST_F(CheckpointTest, ASetThatRepeatsATensorSaysSo) {
  fs::remove(dir_ / "model.safetensors.index.json");
  WriteSafetensors(dir_ / kSecond, {{"c", Values({4}).view()}, {"a", Values({9}).view()}});
  const Checkpoint checkpoint(dir_.path());
  EXPECT_EQ(checkpoint.tensors().size(), 3u);
  EXPECT_EQ(Element(checkpoint.Get("a"), 0), 3.0f);
  EXPECT_THAT(checkpoint.warnings(), ::testing::Contains(::testing::HasSubstr("a second file holds 'a'")));
}

TEST_F(CheckpointTest, AnIndexWhoseShardsAreGoneYieldsToTheWholeFile) {
  fs::remove(dir_ / kFirst);
  fs::remove(dir_ / kSecond);
  WriteSafetensors(dir_ / "model.safetensors", {{"x", Values({7}).view()}});
  const Checkpoint checkpoint(dir_.path());
  EXPECT_EQ(checkpoint.shards(), (std::vector<std::string>{"model.safetensors"}));
  EXPECT_EQ(Element(checkpoint.Get("x"), 0), 7.0f);
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], ::testing::HasSubstr("index.json is out of date"));
}

TEST_F(CheckpointTest, AnIndexWithItsShardsIsPreferredAndTheWholeFileNamed) {
  WriteSafetensors(dir_ / "model.safetensors", {{"x", Values({7}).view()}});
  const Checkpoint checkpoint(dir_.path());
  EXPECT_EQ(checkpoint.Find("x"), nullptr);
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], ::testing::HasSubstr("model.safetensors is not used"));
}

TEST_F(CheckpointTest, ShardsOfAnotherExportAreNamed) {
  fs::rename(dir_ / kFirst, dir_ / "model-00001-of-00009.safetensors");
  fs::rename(dir_ / kSecond, dir_ / "model-00002-of-00009.safetensors");
  Refused(ErrorCode::kInvalidModel,
          {"missing: 'model-00001-of-00002.safetensors'", "there are instead: 'model-00001-of-00009.safetensors'"});
}

TEST_F(CheckpointTest, SaysWhatOtherWeightsAre) {
  const std::pair<const char*, const char*> cases[] = {{"adapter_model.safetensors", "merge it into its base model"},
                                                       {"consolidated.safetensors", "the publisher's own format"},
                                                       {"model-q4.gguf", "quantized already"},
                                                       {"pytorch_model.bin", "convert the weights to safetensors"},
                                                       {"weights.safetensors", "rename it to model.safetensors"}};
  for (const auto& [name, tip] : cases) {
    const TemporaryDirectory dir;
    dir.Write(name, "x");
    EXPECT_THAT(ErrorOf([&] { Checkpoint{dir.path()}; }).tip(), ::testing::HasSubstr(tip)) << name;
  }
}

TEST_F(CheckpointTest, RenamesTensors) {
  Checkpoint checkpoint(dir_.path());
  checkpoint.Rename([](const std::string& name) { return name == "c" ? name : "x." + name; });
  EXPECT_EQ(checkpoint.Find("a"), nullptr);
  EXPECT_EQ(Element(checkpoint.Get("x.a"), 0), 3.0f);
  EXPECT_EQ(Element(checkpoint.Get(*checkpoint.Find("x.b")), 1), 2.0f);
  checkpoint.WillNeed("x.b");
  checkpoint.DontNeed("x.b");
  EXPECT_EQ(Element(checkpoint.Get("c"), 2), 6.0f);
  ExpectError([&] { checkpoint.Rename([](const std::string&) { return std::string("same"); }); },
              ErrorCode::kInvalidModel, {"two tensors would both be 'same'"});
}

TEST_F(CheckpointTest, NamesATruncatedShard) {
  fs::resize_file(dir_ / kSecond, fs::file_size(dir_ / kSecond) - 1);
  Refused(ErrorCode::kInvalidModel, {kSecond, "'c'", "expected bytes [0, 12) of the data, found a file with 11"});
  fs::resize_file(dir_ / kSecond, 0);
  Refused(ErrorCode::kInvalidModel, {kSecond, "found 0"});
}

TEST_F(CheckpointTest, TheFirstBadShardIsReportedAtAnyThreadCount) {
  fs::resize_file(dir_ / kFirst, 3);
  fs::resize_file(dir_ / kSecond, 5);
  for (int i = 0; i < 20; ++i) Refused(ErrorCode::kInvalidModel, {kFirst, "found 3"});
}

TEST_F(CheckpointTest, NamesTensorsThatNoShardHolds) {
  Index(R"({"weight_map":{"a":"model-00001-of-00002.safetensors","q":"model-00001-of-00002.safetensors",
    "b":"model-00002-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}})");
  Refused(ErrorCode::kInvalidModel,
          {"index.json", "expected 4 tensors in the files it names, found 2",
           "missing: 'b in model-00002-of-00002.safetensors', 'q in model-00001-of-00002.safetensors'"});
}

TEST_F(CheckpointTest, ShardsCannotLieElsewhere) {
  for (const char* const bad : {"../model.safetensors", "/etc/passwd", "a/../../b.safetensors", ".", "..",
                                "./model.safetensors", "a\\\\b", "", "a/", "x\\u0000y"}) {
    Index(std::string(R"({"weight_map":{"a":")") + bad + "\"}}");
    Refused(ErrorCode::kSecurity, {"index.json: weight_map.a: expected the name of a file in the model's directory"});
  }
}

TEST_F(CheckpointTest, RefusesBadIndexes) {
  Index("{");
  Refused(ErrorCode::kInvalidModel, {"index.json: line 1, column 2"});
  Index("[]");
  Refused(ErrorCode::kInvalidModel, {"index.json: expected an object, found an array"});
  Index("{}");
  Refused(ErrorCode::kInvalidModel, {"weight_map: expected an object, found nothing"});
  Index(R"({"weight_map":{}})");
  Refused(ErrorCode::kInvalidModel, {"weight_map: expected the shards of the tensors"});
  Index(R"({"weight_map":{"model.a":7}})");
  Refused(ErrorCode::kInvalidModel, {"weight_map['model.a']: expected a string, found an integer (7)"});
  Index(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})");
  Refused(ErrorCode::kInvalidModel, {"'a' twice"});
  Index("");
  Refused(ErrorCode::kInvalidModel, {"empty document"});
}

TEST_F(CheckpointTest, RefusesDirectoriesWithoutWeights) {
  const TemporaryDirectory dir;
  ExpectError([&] { Checkpoint(dir / "absent"); }, ErrorCode::kInvalidModel, {"absent", "no such model directory"});
  ExpectError([&] { Checkpoint(dir.path()); }, ErrorCode::kInvalidModel,
              {"expected model.safetensors.index.json or model.safetensors, found neither"});
  const fs::path file = dir.Write("pytorch_model.bin", "x");
  ExpectError([&] { Checkpoint{file}; }, ErrorCode::kInvalidModel, {"expected a model directory, found a file"});
  try {
    Checkpoint{dir.path()};
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.tip(), ::testing::HasSubstr("'pytorch_model.bin'; convert the weights to safetensors"));
  }
  WriteSafetensors(dir / "model.safetensors", {});
  ExpectError([&] { Checkpoint(dir.path()); }, ErrorCode::kInvalidModel,
              {"model.safetensors: expected weights, found no tensor at all"});
}

TEST_F(CheckpointTest, AWeightFileThatIsADirectoryIsRefused) {
  const TemporaryDirectory dir;
  fs::create_directory(dir / "model.safetensors");
  EXPECT_THROW(Checkpoint(dir.path()), Error);
}

TEST_F(CheckpointTest, APipeIsRefusedWithoutWaiting) {
  fs::remove(dir_ / kSecond);
  ASSERT_EQ(mkfifo((dir_ / kSecond).c_str(), 0600), 0);
  Refused(ErrorCode::kSecurity, {kSecond, "expected a regular file, found a special file"});
  fs::remove(dir_ / "model.safetensors.index.json");
  ASSERT_EQ(mkfifo((dir_ / "model.safetensors.index.json").c_str(), 0600), 0);
  Refused(ErrorCode::kSecurity, {"index.json", "expected a regular file"});
}

TEST_F(CheckpointTest, FingerprintChangesWithTheFiles) {
  const std::string before = Checkpoint(dir_.path()).Fingerprint();
  EXPECT_EQ(before.size(), 32u);
  EXPECT_EQ(Checkpoint(dir_.path()).Fingerprint(), before);
  const auto time = fs::last_write_time(dir_ / kSecond);
  fs::last_write_time(dir_ / kSecond, time + std::chrono::seconds(1));
  EXPECT_NE(Checkpoint(dir_.path()).Fingerprint(), before);
  fs::last_write_time(dir_ / kSecond, time);
  EXPECT_EQ(Checkpoint(dir_.path()).Fingerprint(), before);
  // Same size, same date, another name inside.
  WriteSafetensors(dir_ / kSecond, {{"z", Values({4, 5, 6}).view()}});
  Index(R"({"weight_map":{"z":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors",
    "b":"model-00001-of-00002.safetensors"}})");
  fs::last_write_time(dir_ / kSecond, time);
  EXPECT_NE(Checkpoint(dir_.path()).Fingerprint(), before);
}

}  // namespace
}  // namespace modelslim
