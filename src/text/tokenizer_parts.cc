#include "text/tokenizer_parts.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/error.h"
#include "text/json_node.h"

namespace modelslim {
namespace {

// The pattern of the Qwen2 tokenizers, for directories that hold only vocab.json and merges.txt.
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr uint64_t kMaxFile = uint64_t{1} << 30;

// Lines "a b"; the first may be "#version: ...".
BpeModel::Merges ReadMergesText(const fs::path& path) {
  const std::string text = ReadTextFile(path, kMaxFile);
  BpeModel::Merges merges;
  int64_t line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || line.find(' ', space + 1) != std::string_view::npos) {
      throw Error(ErrorCode::kInvalidModel, path.string() + ":" + std::to_string(line_number) +
                                                ": expected two tokens with one space between, found \"" +
                                                std::string(line.substr(0, 80)) + "\"");
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

BpeModel::Vocabulary ReadVocabularyJson(const fs::path& path) {
  simdjson::dom::parser parser;
  const JsonNode root = ParseJson(parser, ReadTextFile(path, kMaxFile), path.string());
  BpeModel::Vocabulary vocabulary;
  root.ForEachMember([&](std::string_view token, const JsonNode& id) {
    vocabulary[std::string(token)] = static_cast<int32_t>(id.Int(0, (int64_t{1} << 31) - 2));
  });
  return vocabulary;
}

std::vector<AddedToken> ReadAddedTokensDecoder(const fs::path& path) {
  std::vector<AddedToken> tokens;
  simdjson::dom::parser parser;
  const JsonNode root = ParseJson(parser, ReadTextFile(path, kMaxFile), path.string());
  const auto decoder = root.Find("added_tokens_decoder");
  if (!decoder) return tokens;
  decoder->ForEachMember([&](std::string_view id, const JsonNode& item) {
    const bool digits = !id.empty() && id.size() < 10 &&
                        std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!digits) item.Fail("the key should be a token id");
    AddedToken token;
    token.id = std::stoi(std::string(id));
    token.content = item.At("content").String();
    token.special = item.BoolOr("special", false);
    token.single_word = item.BoolOr("single_word", false);
    token.lstrip = item.BoolOr("lstrip", false);
    token.rstrip = item.BoolOr("rstrip", false);
    token.normalized = item.BoolOr("normalized", !token.special);
    if (token.content.size() > AddedTokenMatcher::kMaxContent) item.Fail("the added token is too long");
    tokens.push_back(std::move(token));
  });
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

// A token that tokenizer_config.json gives as a string or as an object with its content.
std::optional<std::string> TokenOf(const JsonNode& config, std::string_view key) {
  const auto node = config.Find(key);
  if (!node) return std::nullopt;
  return node->IsObject() ? node->At("content").String() : node->String();
}

std::optional<std::string> TokenizerClass(const fs::path& config) {
  simdjson::dom::parser parser;
  const auto node = ParseJson(parser, ReadTextFile(config, kMaxFile), config.string()).Find("tokenizer_class");
  return node ? std::optional<std::string>(node->String()) : std::nullopt;
}

}  // namespace

std::optional<int32_t> TokenizerParts::Find(const std::string& token) const {
  for (const AddedToken& candidate : added) {
    if (candidate.content == token) return candidate.id;
  }
  return model->Find(token);
}

void TokenizerParts::SetAddedTokens(std::vector<AddedToken> listed) {
  const auto vocabulary_size = static_cast<int64_t>(model->vocabulary().size());
  int64_t largest = -1;
  std::unordered_map<std::string, size_t> index_of;
  for (AddedToken& token : listed) {
    if (token.content.empty()) continue;
    const auto seen = index_of.find(token.content);
    if (seen != index_of.end()) {  // listed twice: the later flags count
      token.id = added[seen->second].id;
      added[seen->second] = std::move(token);
      continue;
    }
    const auto known = model->Find(token.content);
    const int64_t id = known ? *known : largest >= vocabulary_size ? largest + 1 : vocabulary_size;
    if (id >= INT32_MAX) throw Error(ErrorCode::kInvalidModel, "too many added tokens");
    token.id = static_cast<int32_t>(id);
    largest = std::max(largest, id);
    index_of.emplace(token.content, added.size());
    added.push_back(std::move(token));
  }
  for (const AddedToken& token : added) {
    if (!token.normalized) {
      raw_matcher.Add(token, token.content);
      continue;
    }
    std::string content = token.content;
    if (normalizer) normalizer->Apply(content);
    normalized_matcher.Add(token, content);
  }
}

std::unique_ptr<TokenizerParts> ReadVocabularyFiles(const fs::path& model_dir) {
  auto parts = std::make_unique<TokenizerParts>();
  const fs::path vocabulary = model_dir / "vocab.json", config = model_dir / "tokenizer_config.json";
  parts->model = std::make_unique<BpeModel>(ReadVocabularyJson(vocabulary), ReadMergesText(model_dir / "merges.txt"),
                                            BpeOptions{}, vocabulary.string() + " with merges.txt");
  std::vector<AddedToken> added;
  std::string name = "Qwen2Tokenizer";
  if (fs::exists(config)) {
    added = ReadAddedTokensDecoder(config);
    name = TokenizerClass(config).value_or(name);
  }
  std::vector<PreTokenizerPtr> steps;
  if (name.starts_with("Qwen2")) {
    parts->normalizer = MakeUnicodeNormalizer(UnicodeForm::kNfc);
    steps.push_back(MakeRegexSplit(kQwen2Pattern, SplitBehavior::kIsolated, false, "Qwen2"));
    steps.push_back(MakeByteLevel(false, false));
  } else if (name.starts_with("GPT2")) {
    steps.push_back(MakeByteLevel(false, true));
  } else {
    throw Error(ErrorCode::kUnsupported,
                config.string() + ": /tokenizer_class: cannot build a " + name + " from vocab.json and merges.txt",
                "put tokenizer.json into the directory");
  }
  parts->pre_tokenizer = MakePreTokenizerSequence(std::move(steps));
  if (parts->model->TakesBytes()) {
    parts->pre_tokenizer->LeaveBytes();
    parts->bytes = true;
  }
  parts->SetAddedTokens(std::move(added));
  return parts;
}

void ApplyTokenizerConfig(const fs::path& config, TokenizerParts& parts) {
  simdjson::dom::parser parser;
  const JsonNode root = ParseJson(parser, ReadTextFile(config, kMaxFile), config.string());
  const auto class_node = root.Find("tokenizer_class");
  if (!class_node) return;
  const std::string name = class_node->String();
  if (name == "Qwen2Tokenizer") {
    parts.post_processor = PostProcessor();
    return;
  }
  if (!name.starts_with("Llama") && !name.starts_with("CodeLlama")) return;
  PostProcessor::Template pieces;
  const auto put = [&](std::string_view flag, bool otherwise, std::string_view key) {
    if (!root.BoolOr(flag, otherwise)) return;
    const auto token = TokenOf(root, key);
    if (!token) root.Fail(std::string(flag) + " asks for " + std::string(key) + ", which is missing");
    const auto id = parts.Find(*token);
    if (!id) root.Fail(std::string(key) + " \"" + *token + "\" is not in the vocabulary");
    pieces.push_back(*id);
  };
  put("add_bos_token", true, "bos_token");
  pieces.push_back(PostProcessor::kText);
  put("add_eos_token", false, "eos_token");
  parts.post_processor = PostProcessor();
  parts.post_processor.Add(std::move(pieces));
}

}  // namespace modelslim
