#include "base/mapping_fault.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "base/temporary_directory.h"

namespace modelslim {
namespace {

unsigned ByteAt(const MappedFile& file, size_t position) {
  const volatile std::byte* const byte = &file.bytes()[position];
  return static_cast<unsigned>(*byte);
}

// Both end the process.
void ReadWhatWasCutOff(const fs::path& path, const fs::path& other) {
  ReportMappingFaults();
  const MappedFile first(other);
  const MappedFile file(path);
  { const MappedFile gone(other); }  // its entry is used again
  const MappedFile last(other);
  if (ByteAt(file, 1 << 19) != 'x') std::exit(9);
  fs::resize_file(path, 4096);
  std::exit(ByteAt(file, 1 << 19) == 'x' ? 8 : 7);
}

void SendABusError(const fs::path& path) {
  ReportMappingFaults();
  const MappedFile file(path);
  std::raise(SIGBUS);
}

TEST(MappingFaultDeathTest, AFileThatIsCutShortIsNamed) {
  const TemporaryDirectory dir;
  const fs::path path = dir.Write("weights", std::string(1 << 20, 'x')),
                 other = dir.Write("other", std::string(9, 'x'));
  EXPECT_EXIT(ReadWhatWasCutOff(path, other), testing::ExitedWithCode(1),
              "Code: 201, Message: .*weights: expected the 1048576 bytes");
}

TEST(MappingFaultDeathTest, OtherFaultsStayWhatTheyAre) {
  const TemporaryDirectory dir;
  const fs::path path = dir.Write("weights", std::string(4096, 'x'));
  EXPECT_EXIT(SendABusError(path), testing::KilledBySignal(SIGBUS), "");
}

TEST(FileStamp, TellsWhetherAFileIsStillTheOneItWas) {
  const TemporaryDirectory dir;
  const fs::path path = dir.Write("a", "1234");
  const MappedFile file(path);
  EXPECT_EQ(file.stamp(), StampOf(path));
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::nanoseconds(1000));
  EXPECT_NE(file.stamp(), StampOf(path));
}

}  // namespace
}  // namespace modelslim
