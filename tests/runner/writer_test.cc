#include "runner/output_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "io/hash.h"
#include "io/output_file.h"
#include "io/safetensors.h"

namespace modelslim {
namespace {

class WriterTest : public testing::Test {
 protected:
  WriterTest() {
    layout_ = LayOut({{"a", DType::kF32, {3}, "FLOAT", 0, 0, 0}, {"b", DType::kI8, {100000}, "W8A8", 1, 0, 0}},
                     {.part_gib = 0});
  }
  ~WriterTest() override { SetWriteFaultsForTesting({}); }

  static Tensor Filled(DType dtype, Shape shape, int value) {
    Tensor tensor(dtype, std::move(shape));
    std::memset(tensor.view().data, value, tensor.bytes());
    return tensor;
  }

  const TemporaryDirectory temporary_;
  const fs::path& directory_ = temporary_.path();
  OutputLayout layout_;
};

TEST_F(WriterTest, PublishesOnlyWhatIsWhole) {
  Journal journal(directory_ / "journal", "run", false);
  OutputWriter writer(layout_, directory_, journal, false);
  writer.Put("a", Filled(DType::kF32, {3}, 1));
  writer.FinishUnit(0, nullptr, "");
  EXPECT_THROW(writer.Publish(), Error);  // b is missing
  writer.Put("b", Filled(DType::kI8, {100000}, 2));
  writer.FinishUnit(1, nullptr, "");
  EXPECT_FALSE(fs::exists(directory_ / "quant_model_weights.safetensors"));
  writer.Publish();
  const SafetensorsFile file(directory_ / "quant_model_weights.safetensors");
  EXPECT_EQ(file.View("b").as<int8_t>()[99999], 2);
}

TEST_F(WriterTest, RefusesWhatIsNotPlanned) {
  Journal journal(directory_ / "journal", "run", false);
  OutputWriter writer(layout_, directory_, journal, false);
  EXPECT_THROW(writer.Put("c", Filled(DType::kF32, {3}, 0)), Error);
  EXPECT_THROW(writer.Put("a", Filled(DType::kF32, {4}, 0)), Error);
  EXPECT_THROW(writer.Put("a", Filled(DType::kI32, {3}, 0)), Error);
}

TEST_F(WriterTest, GoesOnAfterACut) {
  {
    Journal journal(directory_ / "journal", "run", false);
    OutputWriter writer(layout_, directory_, journal, false);
    writer.Put("a", Filled(DType::kF32, {3}, 1));
    writer.FinishUnit(0, nullptr, "facts");
    writer.Drain();
  }
  Journal journal(directory_ / "journal", "run", false);
  ASSERT_EQ(journal.finished().size(), 1u);
  OutputWriter writer(layout_, directory_, journal, true);
  writer.Put("b", Filled(DType::kI8, {100000}, 2));
  writer.FinishUnit(1, nullptr, "");
  writer.Publish();
  const SafetensorsFile file(directory_ / "quant_model_weights.safetensors");
  EXPECT_EQ(reinterpret_cast<const unsigned char*>(file.View("a").data)[11], 1);
  EXPECT_EQ(file.View("b").as<int8_t>()[0], 2);
  EXPECT_EQ(writer.hashes().size(), 2u);
}

TEST_F(WriterTest, AFullDiskIsTheCallersError) {
  Journal journal(directory_ / "journal", "run", false);
  OutputWriter writer(layout_, directory_, journal, false);
  WriteFaults faults;
  faults.bytes_until_full = 10;
  SetWriteFaultsForTesting(faults);
  writer.Put("b", Filled(DType::kI8, {100000}, 2));
  EXPECT_THROW(writer.Drain(), Error);
  EXPECT_THROW(writer.Put("a", Filled(DType::kF32, {3}, 1)), Error);
}

}  // namespace
}  // namespace modelslim
