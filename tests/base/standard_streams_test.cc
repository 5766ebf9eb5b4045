#include "base/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <sstream>

#include "base/expect_error.h"
#include "base/file.h"
#include "base/temporary_directory.h"

namespace modelslim {
namespace {

class StandardBufferTest : public ::testing::Test {
 protected:
  // What reaches the descriptor of a StandardBuffer that `print` prints to.
  std::string Printed(bool styled, const std::function<void(std::ostream&)>& print) {
    const fs::path path = dir_.path() / "printed";
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    {
      StandardBuffer buffer(fd, styled, StandardBuffer::OnFailure::kThrow);
      std::ostream out(&buffer);
      print(out);
      buffer.Finish();
    }
    close(fd);
    return ReadTextFile(path);
  }

  TemporaryDirectory dir_;
};

TEST_F(StandardBufferTest, PassesPrintableTextOnly) {
  EXPECT_EQ(Printed(false, [](std::ostream& out) { out << "a" << '\033' << 7 << "\n"; }), "a\\x1b7\n");
}

TEST_F(StandardBufferTest, CharactersMayComeInPieces) {
  const auto print = [](std::ostream& out) {
    for (const char c : std::string("量|\xc2\x9b")) out << c << std::flush;
    out << "\xe9\x87";
  };
  EXPECT_EQ(Printed(false, print), "量|\\u009b\\xe9\\x87");
}

TEST_F(StandardBufferTest, ColoursAreOursAlone) {
  const auto print = [](std::ostream& out) { out << Style::kError << "bad \033[1m" << Style::kPlain << "."; };
  EXPECT_EQ(Printed(true, print), "\033[1;31mbad \\x1b[1m\033[0m.");
  EXPECT_EQ(Printed(false, print), "bad \\x1b[1m.");
  std::ostringstream other;
  print(other);
  EXPECT_EQ(other.str(), "bad \033[1m.");  // not a way to the terminal
}

TEST_F(StandardBufferTest, AFullDiskIsAnError) {
  const int full = open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "no /dev/full";
  StandardBuffer buffer(full, false, StandardBuffer::OnFailure::kThrow);
  std::ostream out(&buffer);
  out.exceptions(std::ios::badbit);
  ExpectError([&] { out << "text" << std::flush; }, ErrorCode::kUnexpected,
              {"standard output", "No space left on device"});
  // Nor is it forgotten.
  ExpectError([&] { buffer.Finish(); }, ErrorCode::kUnexpected, {"standard output"});
  StandardBuffer lost(full, false, StandardBuffer::OnFailure::kIgnore);
  std::ostream err(&lost);
  err << "text" << std::flush;
  EXPECT_TRUE(err.good());
  close(full);
}

}  // namespace
}  // namespace modelslim
