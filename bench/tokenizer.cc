// Megabytes of text that a tokenizer encodes in a second of CPU time of one thread.
//   bench_tokenizer MODEL_DIR FILE.jsonl [SECONDS]
// FILE's lines hold `text` or `inputs_pretokenized`; any other file is taken as one text. Every repetition encodes all
// of it; the spread is over repetitions. The first one, with nothing remembered, is shown by itself.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "text/tokenizer.h"
#include "thread_seconds.h"

namespace {

std::vector<std::string> ReadTexts(const std::string& path) {
  const std::string content = modelslim::ReadTextFile(path);
  if (!path.ends_with(".jsonl")) return {content};
  std::vector<std::string> texts;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const modelslim::Json line = modelslim::ParseJson(content.substr(begin, end - begin), path);
    const modelslim::Json* const text =
        line.Find("text") != nullptr ? line.Find("text") : line.Find("inputs_pretokenized");
    if (text != nullptr && text->string() != nullptr) texts.push_back(*text->string());
    begin = end + 1;
  }
  return texts;
}

void Run(const std::string& model_dir, const std::string& file, double seconds) {
  using modelslim::ThreadSeconds;
  const auto since = [](double from) { return ThreadSeconds() - from; };
  const auto texts = ReadTexts(file);
  double megabytes = 0;
  for (const auto& text : texts) megabytes += static_cast<double>(text.size()) / 1e6;
  double start = ThreadSeconds();
  const auto tokenizer = modelslim::Tokenizer::Load(model_dir);
  std::printf("load %.0f ms, %.2f MB in %zu texts\n", since(start) * 1e3, megabytes, texts.size());
  std::vector<double> rates;
  size_t tokens = 0;
  for (const double begin = ThreadSeconds(); rates.size() < 4 || since(begin) < seconds;) {
    tokens = 0;
    start = ThreadSeconds();
    for (const auto& text : texts) tokens += tokenizer->Encode(text, true).size();
    rates.push_back(megabytes / since(start));
  }
  std::printf("first %.1f MB/s\n", rates[0]);
  std::sort(rates.begin() + 1, rates.end());
  std::printf("then  %.1f MB/s (median; %.1f to %.1f over %zu runs), %zu tokens\n", rates[1 + (rates.size() - 1) / 2],
              rates[1], rates.back(), rates.size() - 1, tokens);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s MODEL_DIR FILE.jsonl [SECONDS]\n", argv[0]);
    return 2;
  }
  try {
    Run(argv[1], argv[2], argc > 3 ? std::atof(argv[3]) : 2.0);
  } catch (const modelslim::Error& e) {
    std::fprintf(stderr, "%s\n", e.Text().c_str());
    return 1;
  }
  return 0;
}
