// Small tokenizers written by hand, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer.h"

namespace modelslim {

using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// A directory that goes away with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    static std::atomic<int> count{0};
    path_ = fs::temp_directory_path() / ("text_test." + std::to_string(getpid()) + "." + std::to_string(count++));
    fs::create_directories(path_);
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const fs::path& path() const { return path_; }
  fs::path Write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  fs::path path_;
};

// a b c ab abc and the space; ids in this order. No pre-tokenizer: the whole text is one piece.
inline Json SmallTokenizer() {
  return Json::parse(R"({
    "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, " ": 5, "?": 6},
              "merges": ["a b", ["ab", "c"]]}})");
}

inline std::unique_ptr<Tokenizer> Make(const Json& json) { return Tokenizer::FromJson(json.dump(), "t.json"); }

// The error that `action` throws; fails the test when it throws none.
template <typename Action>
Error ErrorOf(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorCode::kUnexpected, "none");
}

}  // namespace modelslim
