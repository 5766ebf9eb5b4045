#include "text/tokenize_file.h"

#include <simdjson.h>

#include <ostream>
#include <string>

#include "base/error.h"

namespace modelslim {
namespace {

// The text of one line.
std::string_view TextOf(simdjson::dom::parser& parser, const std::string& line, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorCode::kInvalidDataset, where + ": " + what); };
  simdjson::dom::element root;
  const auto error = parser.parse(line).get(root);
  if (error) fail("expected a JSON object: " + std::string(simdjson::error_message(error)));
  if (!root.is_object()) fail("expected a JSON object");
  for (const char* key : {"text", "inputs_pretokenized"}) {
    simdjson::dom::element value;
    if (root.at_key(key).get(value)) continue;
    std::string_view text;
    if (value.get_string().get(text)) fail(std::string("\"") + key + "\" is not a string");
    return text;
  }
  fail("neither \"text\" nor \"inputs_pretokenized\" is there");
  return {};
}

}  // namespace

void TokenizeJsonl(const Tokenizer& tokenizer, const fs::path& file, bool add_special, std::ostream& out) {
  if (!fs::is_regular_file(file)) throw Error(ErrorCode::kSecurity, file.string() + ": no such regular file");
  const std::string content = ReadTextFile(file);
  simdjson::dom::parser parser;
  int64_t number = 0;
  std::string line, row;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    line.assign(content, begin, end - begin);
    begin = end + 1;
    const std::string where = file.string() + ":" + std::to_string(++number);
    const std::string_view text = TextOf(parser, line, where);
    row = "{\"ids\":[";
    for (const int32_t id : tokenizer.Encode(text, add_special)) row.append(std::to_string(id)).push_back(',');
    if (row.back() == ',') row.pop_back();
    out << row << "]}\n";
  }
}

}  // namespace modelslim
