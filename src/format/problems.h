// What is found wrong with an output, in words.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace modelslim {

// Thread-safe.
class Problems {
 public:
  void Add(std::string text) {
    const std::lock_guard lock(mutex_);
    found_.push_back(std::move(text));
  }
  bool empty() const { return found_.empty(); }
  std::vector<std::string> Take() { return std::move(found_); }

 private:
  std::mutex mutex_;
  std::vector<std::string> found_;
};

}  // namespace modelslim
