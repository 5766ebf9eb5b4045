// The fuzzers' seed inputs, and inputs that once broke something, as an ordinary test.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace modelslim {
namespace {

TEST(FuzzCorpus, SafetensorsHeaders) {
  int inputs = 0;
  for (const auto& entry : fs::directory_iterator(MODELSLIM_SOURCE_DIR "/fuzz/corpus/safetensors_fuzz")) {
    const std::string bytes = ReadTextFile(entry.path());
    // Every beginning of it too: the cheapest mutation there is.
    for (size_t size = 0; size <= bytes.size(); ++size) {
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), size);
    }
    ++inputs;
  }
  EXPECT_GE(inputs, 10);
}

}  // namespace
}  // namespace modelslim
