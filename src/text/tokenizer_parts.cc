#include "text/tokenizer_parts.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/error.h"
#include "io/quote.h"

namespace modelslim {
namespace {

// The pattern of the Qwen2 tokenizers, for directories that hold only vocab.json and merges.txt.
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Lines "a b"; the first may be "#version: ...".
BpeModel::Merges ReadMergesText(const fs::path& path) {
  const std::string text = ReadTextFile(path, kMaxTokenizerFile);
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

}  // namespace

BpeModel::Vocabulary ReadVocabulary(const JsonRef& node) {
  BpeModel::Vocabulary vocabulary;
  const JsonObject& members = node.AsObject();
  vocabulary.reserve(members.size());
  for (const JsonMember& member : members) {
    const std::optional<int64_t> id = member.value.integer();
    if (!id || *id < 0 || *id > kMaxTokenId) node[member.key].AsInt(0, kMaxTokenId);  // complains
    vocabulary[member.key] = static_cast<int32_t>(*id);
  }
  return vocabulary;
}

AddedToken ReadAddedToken(const JsonRef& node) {
  AddedToken token;
  token.content = node["content"].AsString();
  token.special = node["special"].BoolOr(false);
  token.single_word = node["single_word"].BoolOr(false);
  token.lstrip = node["lstrip"].BoolOr(false);
  token.rstrip = node["rstrip"].BoolOr(false);
  token.normalized = node["normalized"].BoolOr(!token.special);
  if (token.content.size() > AddedTokenMatcher::kMaxContent) {
    throw Error(ErrorCode::kUnsupported, node.where() + ": an added token of " + std::to_string(token.content.size()) +
                                             " bytes; at most " + std::to_string(AddedTokenMatcher::kMaxContent) +
                                             " are supported");
  }
  return token;
}

std::optional<int32_t> TokenizerParts::Find(const std::string& token) const {
  for (const AddedToken& candidate : added) {
    if (candidate.content == token) return candidate.id;
  }
  return model->Find(token);
}

bool TokenizerParts::IsSpecial(int32_t id) const {
  return std::any_of(added.begin(), added.end(),
                     [id](const AddedToken& token) { return token.special && token.id == id; });
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
    if (!IsUtf8(token.content)) continue;  // half a surrogate pair: no text holds it
    if (!token.normalized) {
      raw_matcher.Add(token, token.content);
      continue;
    }
    std::string content = token.content;
    if (normalizer) normalizer->Apply(content);
    normalized_matcher.Add(token, content);
  }
}

void TokenizerParts::LeaveBytesIfPossible() {
  if (!pre_tokenizer || !pre_tokenizer->EndsInByteStandIns() || !model->TakesBytes()) return;
  pre_tokenizer->LeaveBytes();
  bytes = true;
}

std::vector<AddedToken> ReadAddedTokensDecoder(const JsonRef& decoder) {
  std::vector<AddedToken> tokens;
  if (!decoder) return tokens;
  for (const JsonMember& member : decoder.AsObject()) {
    const std::string& id = member.key;
    const JsonRef item = decoder[id];
    const bool digits = !id.empty() && id.size() < 10 &&
                        std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!digits) throw Error(ErrorCode::kInvalidModel, item.where() + ": the key should be a token id");
    tokens.push_back(ReadAddedToken(item));
    tokens.back().id = std::stoi(id);
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

std::string ContentOfToken(const JsonRef& node) {
  return node.value()->object() != nullptr ? node["content"].AsString() : node.AsString();
}

std::unique_ptr<TokenizerParts> ReadVocabularyFiles(const fs::path& model_dir, const JsonRef& config) {
  auto parts = std::make_unique<TokenizerParts>();
  const fs::path path = model_dir / "vocab.json";
  const Json vocabulary = ParseJson(ReadTextFile(path, kMaxTokenizerFile), path.string());
  parts->model = std::make_unique<BpeModel>(ReadVocabulary(JsonRef(vocabulary, path.string())),
                                            ReadMergesText(model_dir / "merges.txt"), BpeOptions{},
                                            path.string() + " with merges.txt");
  const JsonRef class_node = config["tokenizer_class"];
  const std::string name = class_node.StringOr("Qwen2Tokenizer");
  std::vector<PreTokenizerPtr> steps;
  if (name.starts_with("Qwen2")) {
    parts->normalizer = MakeUnicodeNormalizer(UnicodeForm::kNfc);
    steps.push_back(MakeRegexSplit(kQwen2Pattern, SplitBehavior::kIsolated, false, "Qwen2"));
    steps.push_back(MakeByteLevel(false, false));
  } else if (name.starts_with("GPT2")) {
    steps.push_back(MakeByteLevel(false, true));
  } else {
    throw Error(ErrorCode::kUnsupported,
                class_node.where() + ": cannot build a " + Quote(name) + " from vocab.json and merges.txt",
                "put tokenizer.json into the directory");
  }
  parts->pre_tokenizer = MakePreTokenizerSequence(std::move(steps));
  parts->LeaveBytesIfPossible();
  parts->SetAddedTokens(ReadAddedTokensDecoder(config["added_tokens_decoder"]));
  return parts;
}

void PutLlamaTokens(const JsonRef& config, TokenizerParts& parts) {
  PostProcessor::Template pieces;
  const auto put = [&](std::string_view flag, bool otherwise, std::string_view key, const char* usual) {
    if (!config[flag].BoolOr(otherwise)) return;
    const JsonRef token = config[key];
    const auto id = parts.Find(token ? ContentOfToken(token) : usual);
    if (!id && !token && !config[flag]) return;  // nobody asked for it, and there is none
    if (!id) token.Fail("a token of the vocabulary, which " + std::string(flag) + " asks for");
    pieces.push_back(*id);
  };
  put("add_bos_token", true, "bos_token", "<s>");
  pieces.push_back(PostProcessor::kText);
  put("add_eos_token", false, "eos_token", "</s>");
  parts.post_processor = PostProcessor();
  parts.post_processor.Add(std::move(pieces));
}

void ApplyTokenizerConfig(const JsonRef& config, TokenizerParts& parts) {
  const std::string name = config["tokenizer_class"].StringOr("");
  if (name == "Qwen2Tokenizer") {
    parts.post_processor = PostProcessor();
    return;
  }
  if (name.starts_with("Llama") || name.starts_with("CodeLlama")) PutLlamaTokens(config, parts);
}

}  // namespace modelslim
