// What a quantizer cannot be faster than: reads every weight file of SOURCE once and writes files of the sizes of
// OUTPUT's weight files into TARGET, by the same writer as the program, and with nothing in between.
//
//   bench_plain_copy SOURCE OUTPUT TARGET
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "io/output_file.h"

namespace modelslim {
namespace {

constexpr size_t kPiece = size_t{8} << 20;
constexpr uint64_t kAhead = 8 * kPiece;  // what the kernel is asked for in advance: page faults alone read slowly

std::vector<fs::path> WeightFiles(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

uint64_t TotalSize(const std::vector<fs::path>& files) {
  uint64_t total = 0;
  for (const fs::path& file : files) total += fs::file_size(file);
  return total;
}

// The output files, filled one after the other.
class Sink {
 public:
  Sink(const std::vector<fs::path>& like, const fs::path& directory) {
    for (const fs::path& file : like) {
      files_.push_back(OutputFile::Create(directory / file.filename(), fs::file_size(file)));
    }
  }

  void Write(std::span<const std::byte> bytes) {
    while (!bytes.empty() && current_ < files_.size()) {
      OutputFile& file = *files_[current_];
      const size_t room = static_cast<size_t>(std::min<uint64_t>(file.size() - at_, bytes.size()));
      file.Write(at_, bytes.first(room));
      bytes = bytes.subspan(room);
      at_ += room;
      if (at_ == file.size()) {
        ++current_;
        at_ = 0;
      }
    }
  }

  void Sync() {
    for (const std::unique_ptr<OutputFile>& file : files_) file->Sync();
  }

 private:
  std::vector<std::unique_ptr<OutputFile>> files_;
  size_t current_ = 0;
  uint64_t at_ = 0;
};

void Copy(const fs::path& source, const fs::path& output, const fs::path& target) {
  const std::vector<fs::path> inputs = WeightFiles(source), outputs = WeightFiles(output);
  const uint64_t read = TotalSize(inputs), written = TotalSize(outputs);
  fs::create_directories(target);
  const auto start = std::chrono::steady_clock::now();
  Sink sink(outputs, target);
  std::vector<std::byte> piece(kPiece);
  uint64_t done = 0, sent = 0;
  for (const fs::path& input : inputs) {
    const MappedFile file(input);
    const uint64_t total = file.bytes().size();
    file.WillNeed(0, kAhead);
    for (uint64_t at = 0; at < total; at += kPiece) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(kPiece, total - at));
      file.WillNeed(at + kAhead, kPiece);
      std::memcpy(piece.data(), file.bytes().data() + at, size);
      done += size;
      // As much of what was read as keeps the output in step with the input.
      const uint64_t due =
          static_cast<uint64_t>(static_cast<double>(written) * (static_cast<double>(done) / static_cast<double>(read)));
      while (sent < due) {
        const size_t part = static_cast<size_t>(std::min<uint64_t>(due - sent, size));
        sink.Write({piece.data(), part});
        sent += part;
      }
    }
  }
  while (sent < written) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(written - sent, kPiece));
    sink.Write({piece.data(), part});
    sent += part;
  }
  sink.Sync();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("seconds %.3f read %llu written %llu\n", took.count(), static_cast<unsigned long long>(read),
              static_cast<unsigned long long>(written));
}

}  // namespace
}  // namespace modelslim

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_plain_copy SOURCE OUTPUT TARGET\n");
    return 2;
  }
  try {
    modelslim::Copy(argv[1], argv[2], argv[3]);
  } catch (const modelslim::Error& error) {
    std::fprintf(stderr, "%s\n", error.Text().c_str());
    return 1;
  }
  return 0;
}
