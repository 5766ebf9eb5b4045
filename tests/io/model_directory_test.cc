#include "io/model_directory.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/expect_error.h"
#include "base/temporary_directory.h"

namespace modelslim {
namespace {

constexpr const char* kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 12345\n";

struct DirectoryCase {
  const char* name;
  std::function<void(const TemporaryDirectory&)> make;
  const char* given;  // below the temporary directory
  std::vector<std::string> message, tip;
};

// What the directory is, and a step that leads on, are both in the error.
TEST(ModelDirectoryTest, NamesWhatADirectoryIs) {
  const auto model = [](const TemporaryDirectory& dir, const std::string& at) { dir.Write(at + "config.json", "{}"); };
  const DirectoryCase cases[] = {
      {"nothing", [](const auto&) {}, "absent", {"absent: no such model directory"}, {"config.json"}},
      {"file",
       [](const auto& dir) { dir.Write("file", "x"); },
       "file",
       {"found a file"},
       {"the directory that it is in"}},
      {"no config", [](const auto& dir) { dir.Write("m/x", ""); }, "m", {"expected config.json"}, {"config.json"}},
      {"below", [&](const auto& dir) { model(dir, "m/Qwen3-8B/"); }, "m", {"expected config.json"}, {"m/Qwen3-8B"}},
      {"repository",
       [&](const auto& dir) { model(dir, "models--Qwen--Qwen3-8B/snapshots/0a1b/"); },
       "models--Qwen--Qwen3-8B",
       {"folder of a repository in the Hub's cache"},
       {"models--Qwen--Qwen3-8B/snapshots/0a1b"}},
      {"repository with a slash",
       [&](const auto& dir) { model(dir, "models--Qwen--Qwen3-8B/snapshots/0a1b/"); },
       "models--Qwen--Qwen3-8B/",
       {"folder of a repository in the Hub's cache"},
       {"snapshots/0a1b"}},
      {"repository of two snapshots",
       [&](const auto& dir) {
         model(dir, "models--a--b/snapshots/1111/");
         model(dir, "models--a--b/snapshots/2222/");
         dir.Write("models--a--b/refs/main", "2222\n");
       },
       "models--a--b",
       {"Hub's cache"},
       {"snapshots/2222"}},
      {"main that is not there",
       [&](const auto& dir) {
         model(dir, "models--a--b/snapshots/1111/");
         dir.Write("models--a--b/refs/main", "../../elsewhere");
       },
       "models--a--b",
       {"Hub's cache"},
       {"snapshots/1111"}},
      {"empty repository",
       [&](const auto& dir) { fs::create_directories(dir / "models--Qwen--Qwen3-8B" / "snapshots"); },
       "models--Qwen--Qwen3-8B",
       {"Hub's cache"},
       {"hf download Qwen/Qwen3-8B --local-dir"}},
      {"snapshots",
       [&](const auto& dir) { model(dir, "models--a--b/snapshots/1111/"); },
       "models--a--b/snapshots",
       {"the snapshots of a repository"},
       {"snapshots/1111"}},
      {"cache",
       [&](const auto& dir) { model(dir, "hub/models--a--b/snapshots/1111/"); },
       "hub",
       {"cache of the Hub"},
       {"1111"}},
      {"pointer",
       [&](const auto& dir) {
         model(dir, "m/");
         dir.Write("m/tokenizer.json", kPointer);
       },
       "m",
       {"m/tokenizer.json: expected the file, found a Git LFS pointer"},
       {"git lfs pull"}},
      {"pointer for config.json",
       [&](const auto& dir) { dir.Write("m/config.json", kPointer); },
       "m",
       {"m/config.json", "Git LFS pointer"},
       {"git lfs pull"}},
      {"link to nothing",
       [&](const auto& dir) {
         model(dir, "m/");
         fs::create_symlink("../blobs/ffff", dir / "m/generation_config.json");
       },
       "m",
       {"m/generation_config.json", "a link to a file that is not there ('../blobs/ffff')"},
       {"download the model again", "remove the link"}},
      {"config.json is a link to nothing",
       [&](const auto& dir) {
         fs::create_directories(dir / "m");
         fs::create_symlink("../blobs/ffff", dir / "m/config.json");
       },
       "m",
       {"m/config.json", "a link to a file that is not there"},
       {"download"}},
      {"web page",
       [&](const auto& dir) {
         model(dir, "m/");
         dir.Write("m/tokenizer_config.json", "\n<!DOCTYPE html><html>401</html>");
       },
       "m",
       {"m/tokenizer_config.json", "a web page"},
       {"download"}},
      {"pipeline",
       [](const auto& dir) { dir.Write("m/model_index.json", "{}"); },
       "m",
       {"model_index.json"},
       {"'modelslim models'"}},
      {"gguf", [](const auto& dir) { dir.Write("m/x.gguf", "GGUF"); }, "m", {"'x.gguf'"}, {"quantized already"}}};
  for (const DirectoryCase& each : cases) {
    SCOPED_TRACE(each.name);
    const TemporaryDirectory dir;
    each.make(dir);
    const Error error = ErrorOf([&] { CheckModelDirectory(dir / each.given); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    for (const std::string& part : each.message) EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    for (const std::string& part : each.tip) EXPECT_THAT(error.tip(), ::testing::HasSubstr(part));
  }
}

TEST(ModelDirectoryTest, TakesAModel) {
  const TemporaryDirectory dir;
  dir.Write("blobs/1", "{}");
  fs::create_symlink("blobs/1", dir / "config.json");        // as in a snapshot of the Hub's cache
  dir.Write("README.md", kPointer);                          // goes nowhere
  fs::create_symlink("nowhere", dir / "pytorch_model.bin");  // neither
  fs::create_symlink("nowhere", dir / "notes.json");         // nor is this needed
  dir.Write("snapshots/x/y", "");                            // a model may have a folder of any name
  CheckModelDirectory(dir.path());
  CheckDirectory(dir.path());
}

TEST(ModelDirectoryTest, ANameOfTheHubIsNotDownloaded) {
  const Error error = ErrorOf([&] { CheckModelDirectory("Qwen/Qwen3-8B-of-nobody"); });
  EXPECT_THAT(error.tip(), ::testing::HasSubstr("hf download Qwen/Qwen3-8B-of-nobody"));
}

TEST(ModelDirectoryTest, KnowsTheFilesOfAModel) {
  for (const char* const name : {"config.json", "tokenizer.model", "qwen.tiktoken", "merges.txt", "chat_template.jinja",
                                 "modeling_x.py", "vocab.json"})
    EXPECT_TRUE(IsModelFile(name)) << name;
  for (const char* const name : {"model.safetensors.index.json", "model.safetensors", "README.md", "pytorch_model.bin"})
    EXPECT_FALSE(IsModelFile(name)) << name;
}

}  // namespace
}  // namespace modelslim
