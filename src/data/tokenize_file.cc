#include "data/tokenize_file.h"

#include <ostream>

#include "base/error.h"

namespace modelslim {

std::vector<std::string> TokenizeFile(const Tokenizer& tokenizer, const fs::path& file, const TokenizeOptions& options,
                                      std::ostream& out) {
  const std::string name = file.string();
  if (!fs::is_regular_file(file)) throw Error(ErrorCode::kSecurity, name + ": no such regular file");
  TextKeys keys;
  keys.keys = options.text_keys;
  keys.before_the_line = "text";
  const TextDataset dataset = ReadTextDataset(ReadTextFile(file), name, name.ends_with(".json"), keys);
  std::string row;
  for (const TextSample& sample : dataset.samples) {
    row = "{\"ids\":[";
    for (const int32_t id : tokenizer.Encode(sample.text, options.add_special)) {
      row.append(std::to_string(id)).push_back(',');
    }
    if (row.back() == ',') row.pop_back();
    out << row << "]}\n";
  }
  return dataset.warnings;
}

}  // namespace modelslim
