#include "runner/output_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

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
    layout_ = LayOut({{"a", DType::kF32, {3}, "FLOAT", 0}, {"b", DType::kI8, {100000}, "W8A8", 1}},
                     {"quant_model_weights", 0});
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
  writer.FinishUnit(0, {}, "");
  EXPECT_THROW(writer.Publish(), Error);  // b is missing
  writer.Put("b", Filled(DType::kI8, {100000}, 2));
  writer.FinishUnit(1, {}, "");
  EXPECT_FALSE(fs::exists(directory_ / "quant_model_weights.safetensors"));
  writer.Publish();
  const SafetensorsFile file(directory_ / "quant_model_weights.safetensors");
  const SharedTensor b = file.Get("b");
  EXPECT_EQ(b.view().as<int8_t>()[99999], 2);
}

TEST_F(WriterTest, RefusesWhatIsNotPlanned) {
  Journal journal(directory_ / "journal", "run", false);
  OutputWriter writer(layout_, directory_, journal, false);
  EXPECT_THROW(writer.Put("c", Filled(DType::kF32, {3}, 0)), Error);
  EXPECT_THROW(writer.Put("a", Filled(DType::kF32, {4}, 0)), Error);
  EXPECT_THROW(writer.Put("a", Filled(DType::kI32, {3}, 0)), Error);
}

// What waits in the queue keeps its memory: no bare view can get there, and a tensor of the source needs its file no
// more.
static_assert(!std::is_constructible_v<SharedTensor, ConstView> && !std::is_constructible_v<SharedTensor, View>);

TEST_F(WriterTest, PinsWhatIsPut) {
  for (const int blanks : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const Tensor values = Filled(DType::kF32, {3}, 5);
    WriteSafetensors(directory_ / "source.safetensors", {{"a", values.view()}});
    std::string bytes = ReadTextFile(directory_ / "source.safetensors");
    const size_t data = bytes.size() - values.bytes();
    bytes.insert(data, static_cast<size_t>(blanks), ' ');
    bytes[0] = static_cast<char>(data - 8 + static_cast<size_t>(blanks));
    WriteFileAtomically(directory_ / "source.safetensors", bytes);
    auto source = std::make_unique<const SafetensorsFile>(directory_ / "source.safetensors");

    Journal journal(directory_ / "journal", "run", true);
    OutputWriter writer(layout_, directory_, journal, false);
    // The large one comes first, so that the other waits while its source goes.
    writer.Put("b", Filled(DType::kI8, {100000}, 2));
    writer.Put("a", source->Get("a"));
    source->DontNeed(*source->Find("a"));
    source.reset();
    writer.Drain();
    EXPECT_EQ(writer.hashes().at("a"), HashHex({static_cast<const std::byte*>(values.view().data), values.bytes()}));
  }
}

TEST_F(WriterTest, PiecesAreTheWhole) {
  layout_ =
      LayOut({{"m", DType::kI8, {5, 3}, "W8A8", 0}, {"n", DType::kI8, {2, 3}, "W8A8", 0}}, {"quant_model_weights", 0});
  Journal journal(directory_ / "journal", "run", false);
  OutputWriter writer(layout_, directory_, journal, false);
  EXPECT_THROW(writer.PutRows("m", 1, Filled(DType::kI8, {2, 3}, 1)), Error);  // not the beginning
  EXPECT_THROW(writer.PutRows("m", 0, Filled(DType::kI8, {2, 4}, 1)), Error);
  EXPECT_THROW(writer.PutRows("m", 0, Filled(DType::kU8, {2, 3}, 1)), Error);
  EXPECT_THROW(writer.PutRows("m", 0, Filled(DType::kI8, {6, 3}, 1)), Error);
  writer.PutRows("m", 0, Filled(DType::kI8, {2, 3}, 1));
  EXPECT_THROW(writer.PutRows("m", 0, Filled(DType::kI8, {2, 3}, 1)), Error);  // again
  writer.PutRows("m", 2, Filled(DType::kI8, {2, 3}, 2));
  EXPECT_THROW(writer.Publish(), Error);  // a row is missing
  writer.PutRows("m", 4, Filled(DType::kI8, {1, 3}, 3));
  writer.PutRows("n", 0, Filled(DType::kI8, {2, 3}, 4));  // one piece
  writer.FinishUnit(0, {}, "");
  writer.Publish();
  const SafetensorsFile file(directory_ / "quant_model_weights.safetensors");
  const SharedTensor written = file.Get("m");
  const auto* const values = written.view().as<int8_t>();
  EXPECT_EQ(std::vector<int>(values, values + 15), (std::vector<int>{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3}));
  EXPECT_EQ(writer.hashes().at("m"), HashHex({static_cast<const std::byte*>(written.view().data), 15}));
}

TEST_F(WriterTest, GoesOnAfterACut) {
  {
    Journal journal(directory_ / "journal", "run", false);
    OutputWriter writer(layout_, directory_, journal, false);
    writer.Put("a", Filled(DType::kF32, {3}, 1));
    writer.FinishUnit(0, {}, "facts");
    writer.Drain();
  }
  Journal journal(directory_ / "journal", "run", false);
  ASSERT_EQ(journal.finished().size(), 1u);
  OutputWriter writer(layout_, directory_, journal, true);
  writer.Put("b", Filled(DType::kI8, {100000}, 2));
  writer.FinishUnit(1, {}, "");
  writer.Publish();
  const SafetensorsFile file(directory_ / "quant_model_weights.safetensors");
  const SharedTensor a = file.Get("a"), b = file.Get("b");
  EXPECT_EQ(static_cast<const unsigned char*>(a.view().data)[11], 1);
  EXPECT_EQ(b.view().as<int8_t>()[0], 2);
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
