#include "io/output_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>
#include <thread>

#include "base/expect_error.h"
#include "base/progress.h"
#include "base/temporary_directory.h"

namespace modelslim {
namespace {

class OutputFileTest : public ::testing::Test {
 protected:
  ~OutputFileTest() override { SetWriteFaultsForTesting({}); }

  // Bytes that repeat nowhere at page distance.
  static std::string Noise(size_t size, unsigned seed = 1) {
    std::mt19937_64 random(seed);
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(random());
    return bytes;
  }

  // Writes `content` in pieces of odd sizes, last piece first, and compares the file.
  void FillsExactly(const OutputFileOptions& options) {
    const std::string content = Noise((size_t{12} << 20) + 777);
    const auto file = OutputFile::Create(dir_ / "f", content.size(), options);
    size_t end = content.size();
    for (const size_t piece : {size_t{1}, size_t{4096}, size_t{1 << 20} + 4097, size_t{8 << 20} + 8192 + 13, size_t{5},
                               size_t{4095}, size_t{2 << 20}}) {
      file->Write(end - piece, std::string_view(content).substr(end - piece, piece));
      end -= piece;
    }
    file->Write(0, std::string_view(content).substr(0, end));
    file->Sync();
    EXPECT_TRUE(ReadTextFile(dir_ / "f") == content);
  }

  TemporaryDirectory dir_;
};

TEST_F(OutputFileTest, FillsInAnyOrderDirectly) { FillsExactly({}); }

TEST_F(OutputFileTest, FillsInAnyOrderThroughTheCache) {
  OutputFileOptions options;
  options.direct = false;
  FillsExactly(options);
}

TEST_F(OutputFileTest, FillsWhereDirectWritesAreRefused) {
  WriteFaults faults;
  faults.refuse_direct = true;
  SetWriteFaultsForTesting(faults);
  FillsExactly({});
}

TEST_F(OutputFileTest, FillsWhenTheSystemWritesLittleAtATime) {
  WriteFaults faults;
  for (const uint64_t longest : {uint64_t{100'000}, uint64_t{8192}, uint64_t{3000}}) {
    faults.longest_write = longest;
    SetWriteFaultsForTesting(faults);
    FillsExactly({});
  }
}

TEST_F(OutputFileTest, ManyThreadsFillOneFile) {
  const std::string content = Noise(size_t{24} << 20, 2);
  const auto file = OutputFile::Create(dir_ / "f", content.size());
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const size_t piece = (size_t{1} << 20) + 1001;  // neighbours share a page, and belong to different threads
      for (size_t at = t * piece; at < content.size(); at += 4 * piece)
        file->Write(at, std::string_view(content).substr(at, piece));
    });
  }
  for (std::thread& thread : threads) thread.join();
  file->Publish(dir_ / "g");
  EXPECT_TRUE(ReadTextFile(dir_ / "g") == content);
}

TEST_F(OutputFileTest, HasItsSizeAndSpaceAtOnce) {
  const auto file = OutputFile::Create(dir_ / "f", 3'000'001);
  EXPECT_EQ(fs::file_size(dir_ / "f"), 3'000'001u);
  struct stat info {};
  ASSERT_EQ(stat((dir_ / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(ReadTextFile(dir_ / "f"), std::string(3'000'001, '\0'));
}

TEST_F(OutputFileTest, GoesOnWithAnUnfinishedFile) {
  { OutputFile::Create(dir_ / "f", 10)->Write(0, "01234"); }
  OutputFile::Open(dir_ / "f", 10)->Write(5, "56789");
  EXPECT_EQ(ReadTextFile(dir_ / "f"), "0123456789");
  ExpectError([&] { OutputFile::Open(dir_ / "f", 11); }, ErrorCode::kMisuse,
              {"expected an unfinished output of 11 bytes, found 10 bytes"});
  EXPECT_THROW(OutputFile::Open(dir_ / "absent", 10), Error);
  fs::create_symlink("f", dir_ / "link");
  EXPECT_THROW(OutputFile::Open(dir_ / "link", 10), Error);
}

TEST_F(OutputFileTest, CreateReplacesALinkInsteadOfFollowingIt) {
  dir_.Write("precious", "do not touch");
  fs::create_symlink("precious", dir_ / "f");
  OutputFile::Create(dir_ / "f", 3)->Write(0, "new");
  EXPECT_EQ(ReadTextFile(dir_ / "precious"), "do not touch");
}

TEST_F(OutputFileTest, PublishRenamesAndSetsPermissions) {
  OutputFileOptions options;
  options.mode = 0400;
  const auto file = OutputFile::Create(dir_ / "f.partial", 4, options);
  file->Write(0, "done");
  file->Publish(dir_ / "f");
  EXPECT_FALSE(fs::exists(dir_ / "f.partial"));
  EXPECT_EQ(ReadTextFile(dir_ / "f"), "done");
  struct stat info {};
  ASSERT_EQ(stat((dir_ / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
}

TEST_F(OutputFileTest, AnEmptyFileIsFine) {
  OutputFile::Create(dir_ / "f", 0)->Publish(dir_ / "g");
  EXPECT_EQ(fs::file_size(dir_ / "g"), 0u);
}

TEST_F(OutputFileTest, AFullDiskIsFoundBeforeTheFirstWrite) {
  const fs::space_info space = fs::space(dir_.path());
  ExpectError([&] { OutputFile::Create(dir_ / "f", space.available + (uint64_t{1} << 30)); }, ErrorCode::kUnexpected,
              {"cannot reserve", (dir_ / "f").string(), "No space left on device", "are available"});
  EXPECT_FALSE(fs::exists(dir_ / "f"));
}

TEST_F(OutputFileTest, AFullDiskIsSaidWhileWriting) {
  for (const bool direct : {true, false}) {
    OutputFileOptions options;
    options.direct = direct;
    const auto file = OutputFile::Create(dir_ / "f", size_t{8} << 20, options);
    WriteFaults faults;
    faults.bytes_until_full = size_t{3} << 20;
    SetWriteFaultsForTesting(faults);
    const std::string content = Noise(size_t{8} << 20);
    ExpectError([&] { file->Write(0, content); }, ErrorCode::kUnexpected,
                {"cannot write", (dir_ / "f").string(), "No space left on device"});
    SetWriteFaultsForTesting({});
    file->Write(0, content);  // the disk has room again
    EXPECT_TRUE(ReadTextFile(dir_ / "f") == content);
  }
}

TEST_F(OutputFileTest, WritesStayInsideTheFile) {
  const auto file = OutputFile::Create(dir_ / "f", 10);
  EXPECT_THROW(file->Write(5, "123456"), Error);
  EXPECT_THROW(file->Write(11, ""), Error);
  EXPECT_THROW(file->Write(~uint64_t{0}, "12"), Error);
  EXPECT_NO_THROW(file->Write(10, ""));
}

TEST_F(OutputFileTest, SaysWhereItCannotCreate) {
  ExpectError([&] { OutputFile::Create(dir_ / "no" / "f", 1); }, ErrorCode::kSecurity,
              {"cannot create", "No such file"});
  fs::create_directory(dir_ / "d");
  EXPECT_THROW(OutputFile::Create(dir_ / "d", 1), Error);
}

}  // namespace
}  // namespace modelslim
