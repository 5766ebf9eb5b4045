#include "data/batch.h"

#include "base/parallel.h"
#include "data/test_support.h"

namespace modelslim {
namespace {

TEST(Batch, SamplesLieOneBehindTheOther) {
  const auto tokenizer = SmallTokenizer();
  const std::vector<TextSample> samples = {{"ab", "f:1"}, {"", "f:2"}, {"cab", "f:3"}};
  for (const int threads : {1, 3}) {
    SetComputeThreads(threads);
    const TokenBatch batch = MakeTokenBatch(*tokenizer, samples, {});
    EXPECT_EQ(batch.ids, (std::vector<int32_t>{4, 3, 4, 4, 2, 3}));
    EXPECT_EQ(batch.offsets, (std::vector<int64_t>{0, 2, 3, 6}));
    EXPECT_EQ(batch.samples(), 3);
    EXPECT_EQ(batch.Sample(2).size(), 3U);
    EXPECT_EQ(batch.Sample(2)[1], 2);
  }
  SetComputeThreads(0);
  EXPECT_EQ(MakeTokenBatch(*tokenizer, {}, {}).samples(), 0);
}

TEST(Batch, ASampleWithoutTokensIsNamed) {
  const auto tokenizer = SmallTokenizer();
  BatchOptions options;
  options.add_special = false;
  EXPECT_EQ(MakeTokenBatch(*tokenizer, {{"ab", "f:1"}}, options).ids, (std::vector<int32_t>{3}));
  const Error error = ErrorOf([&] { MakeTokenBatch(*tokenizer, {{"ab", "f:1"}, {"", "f:2"}}, options); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidDataset);
  EXPECT_TRUE(Holds(error, "f:2"));
}

TEST(Batch, IdsBeyondTheModelAreNamed) {
  const auto tokenizer = SmallTokenizer();
  BatchOptions options;
  options.vocab_size = 5;
  EXPECT_NO_THROW(MakeTokenBatch(*tokenizer, {{"cab", "f:7"}}, options));
  options.vocab_size = 4;
  const Error error = ErrorOf([&] { MakeTokenBatch(*tokenizer, {{"cab", "f:7"}}, options); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
  EXPECT_TRUE(Holds(error, "f:7") && Holds(error, "token 0") && Holds(error, "id 4")) << error.what();
}

TEST(Batch, TextThatIsNotUtf8NamesTheSample) {
  const Error error = ErrorOf([&] { MakeTokenBatch(*SmallTokenizer(), {{"a\xff", "f:9"}}, {}); });
  EXPECT_TRUE(Holds(error, "f:9"));
}

}  // namespace
}  // namespace modelslim
