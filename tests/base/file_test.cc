#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/expect_error.h"
#include "base/file_identity.h"
#include "base/temporary_directory.h"

namespace modelslim {
namespace {

class FileTest : public ::testing::Test {
 protected:
  fs::path Put(const std::string& name, const std::string& text = "x") {
    std::ofstream(dir_.path() / name) << text;
    return dir_.path() / name;
  }
  TemporaryDirectory dir_;
};

TEST_F(FileTest, DirectoriesNameTheFirstThatFails) {
  Put("file");
  const fs::path wanted = dir_.path() / "file" / "a" / "b";
  const std::string named = " " + (dir_.path() / "file").string() + ": Not a directory";
  ExpectError([&] { MakeDirectories(wanted); }, ErrorCode::kSecurity, {named});
  ExpectError([&] { CheckDirectoryCanBeWritten(wanted); }, ErrorCode::kSecurity, {named});
  ExpectError([&] { MakeDirectories(dir_.path() / "new" / std::string(300, 'o')); }, ErrorCode::kSecurity,
              {"File name too long"});
  MakeDirectories(dir_.path() / "one" / "two");
  MakeDirectories(dir_.path() / "one" / "two");
  EXPECT_TRUE(fs::is_directory(dir_.path() / "one" / "two"));
}

TEST_F(FileTest, WhatCannotBeMadeIsToldWithoutMakingAnything) {
  const fs::path longest = dir_.path() / "new" / std::string(300, 'o');
  ExpectError([&] { CheckDirectoryCanBeWritten(longest); }, ErrorCode::kSecurity, {"File name too long"});
  CheckDirectoryCanBeWritten(dir_.path() / "new" / "newer");
  EXPECT_FALSE(fs::exists(dir_.path() / "new"));
  fs::create_symlink("nowhere", dir_.path() / "link");
  ExpectError([&] { CheckDirectoryCanBeWritten(dir_.path() / "link" / "a"); }, ErrorCode::kSecurity,
              {"link that leads nowhere"});
  if (geteuid() == 0) return;  // for whom no permission counts
  fs::create_directory(dir_.path() / "closed");
  fs::permissions(dir_.path() / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  ExpectError([&] { CheckDirectoryCanBeWritten(dir_.path() / "closed" / "a" / "b"); }, ErrorCode::kSecurity,
              {(dir_.path() / "closed" / "a").string() + ": Permission denied"});
}

TEST_F(FileTest, LongNamesAreWrittenAtomicallyToo) {
  const fs::path path = dir_.path() / std::string(255, 'n');
  WriteFileAtomically(path, "text");
  EXPECT_EQ(ReadTextFile(path), "text");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()), 1);
}

TEST_F(FileTest, IdentitiesSeeThroughLinks) {
  const fs::path file = Put("file"), other = Put("other");
  fs::create_hard_link(file, dir_.path() / "hard");
  fs::create_symlink("file", dir_.path() / "soft");
  EXPECT_EQ(IdentityOf(file), IdentityOf(dir_.path() / "hard"));
  EXPECT_EQ(IdentityOf(file), IdentityOf(dir_.path() / "soft"));
  EXPECT_NE(IdentityOf(file), IdentityOf(other));
  EXPECT_FALSE(IdentityOf(dir_.path() / "nothing"));
}

TEST_F(FileTest, InsideIsSeenThroughLinksAndMissingParts) {
  fs::create_directories(dir_.path() / "model" / "sub");
  fs::create_directory_symlink("model", dir_.path() / "link");
  const fs::path model = dir_.path() / "model";
  for (const char* inner :
       {"model", "model/", "link", "link/new/newer", "model/sub/..", "nowhere/../link/x", "./model"})
    EXPECT_TRUE(IsInside(dir_.path() / inner, model)) << inner;
  for (const char* inner : {"", "model2", "nowhere", "link/../other"})
    EXPECT_FALSE(IsInside(dir_.path() / inner, model)) << inner;
}

}  // namespace
}  // namespace modelslim
