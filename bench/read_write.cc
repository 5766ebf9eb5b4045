// Files: what mapping and reading costs, writing past the page cache against writing through it, headers of many
// tensors. MODELSLIM_BENCH_DIR says where the files go (default: the directory for temporary files).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/output_file.h"
#include "io/safetensors.h"

namespace {

using namespace modelslim;

constexpr size_t kFileSize = size_t{512} << 20;

fs::path BenchFile() {
  const char* const dir = std::getenv("MODELSLIM_BENCH_DIR");
  return (dir != nullptr ? fs::path(dir) : fs::temp_directory_path()) / "modelslim_bench_io";
}

const std::vector<std::byte>& Content() {
  static const std::vector<std::byte> content = [] {
    std::vector<std::byte> bytes(kFileSize);
    uint64_t state = 1;
    for (size_t i = 0; i < bytes.size(); i += 8) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(bytes.data() + i, &state, 8);
    }
    return bytes;
  }();
  return content;
}

// Tensors of `range(1)` bytes, one after the other, until they are on the disk.
void WriteFile(benchmark::State& state) {
  OutputFileOptions options;
  options.direct = state.range(0) != 0;
  const auto piece = static_cast<size_t>(state.range(1));
  const auto& content = Content();
  for (auto _ : state) {
    const auto file = OutputFile::Create(BenchFile(), kFileSize + 400, options);
    for (size_t at = 0; at < kFileSize; at += piece) file->Write(400 + at, std::span(content).subspan(at, piece));
    file->Sync();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kFileSize));
  fs::remove(BenchFile());
}
BENCHMARK(WriteFile)
    ->ArgNames({"direct", "tensor"})
    ->ArgsProduct({{1, 0}, {4 << 20, 1 << 20, 512 << 10}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(2)
    ->Repetitions(3);

// Every byte of a mapped file, which is in the page cache.
void ReadMapped(benchmark::State& state) {
  {
    const auto file = OutputFile::Create(BenchFile(), kFileSize);
    file->Write(0, Content());
  }
  for (auto _ : state) {
    const MappedFile file(BenchFile());
    uint64_t sum = 0;
    const auto* const words = reinterpret_cast<const uint64_t*>(file.bytes().data());
    for (size_t i = 0; i < kFileSize / 8; ++i) sum += words[i];
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kFileSize));
  fs::remove(BenchFile());
}
BENCHMARK(ReadMapped)->UseRealTime()->Unit(benchmark::kMillisecond);

std::vector<SafetensorsItem> ManyTensors(int64_t count) {
  std::vector<SafetensorsItem> items;
  for (int64_t i = 0; i < count; ++i) {
    items.push_back(
        {"model.layers." + std::to_string(i / 1000) + ".mlp.experts." + std::to_string(i % 1000) + ".down_proj.weight",
         DType::kI8,
         {7168, 2048}});
  }
  return items;
}

void ParseHeader(benchmark::State& state) {
  const SafetensorsPlan plan = PlanSafetensors(ManyTensors(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(ParseSafetensorsHeader(std::as_bytes(std::span(plan.header)), plan.file_size, "bench"));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * plan.header.size()));
}
BENCHMARK(ParseHeader)->ArgName("tensors")->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

void PlanHeader(benchmark::State& state) {
  const std::vector<SafetensorsItem> items = ManyTensors(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(PlanSafetensors(items));
}
BENCHMARK(PlanHeader)->ArgName("tensors")->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
