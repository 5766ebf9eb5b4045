#include <array>
#include <utility>

#include "base/error.h"
#include "io/json_ref.h"
#include "io/quote.h"
#include "text/library_unicode.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

// A replacement or prefix multiplies the text; longer ones are no tokenizer's.
constexpr size_t kMaxInsertion = 4096;

// `found` is not among `known`.
[[noreturn]] void RefuseType(const JsonRef& node, const std::string& kind, const std::string& found,
                             const std::string& known) {
  throw Error(ErrorCode::kUnsupported, node.where() + ": the " + kind + " " + Quote(found) + " is not supported",
              "supported are " + known);
}

std::string ShortText(const JsonRef& node) {
  std::string text = node.AsText();
  if (text.size() > kMaxInsertion) {
    throw Error(ErrorCode::kUnsupported, node.where() + ": a string of " + std::to_string(text.size()) +
                                             " bytes; at most " + std::to_string(kMaxInsertion) + " are supported");
  }
  return text;
}

// {"String": "..."} or {"Regex": "..."}; older files give the string itself.
struct Pattern {
  std::string text;
  bool regex;
  std::string where;
};
Pattern ReadPattern(const JsonRef& node) {
  if (node && node.value()->string() != nullptr) return {ShortText(node), false, node.where()};
  if (const JsonRef text = node["String"]) return {ShortText(text), false, text.where()};
  if (const JsonRef regex = node["Regex"]) return {regex.AsText(), true, regex.where()};
  node.Fail("{\"String\": ...} or {\"Regex\": ...}");
}

NormalizerPtr ReadNormalizer(const JsonRef& node) {
  const std::string& type = node["type"].AsString();
  if (type == "Sequence") {
    std::vector<NormalizerPtr> steps;
    for (const JsonRef& step : node["normalizers"].Elements()) steps.push_back(ReadNormalizer(step));
    return MakeNormalizerSequence(std::move(steps));
  }
  if (type == "NFC") return MakeUnicodeNormalizer(UnicodeForm::kNfc);
  if (type == "NFD") return MakeUnicodeNormalizer(UnicodeForm::kNfd);
  if (type == "NFKC") return MakeUnicodeNormalizer(UnicodeForm::kNfkc);
  if (type == "NFKD") return MakeUnicodeNormalizer(UnicodeForm::kNfkd);
  if (type == "Lowercase") return MakeLowercase();
  if (type == "Prepend") return MakePrepend(ShortText(node["prepend"]));
  if (type == "Replace") {
    const Pattern pattern = ReadPattern(node["pattern"]);
    std::string content = ShortText(node["content"]);
    if (pattern.regex) return MakeRegexReplace(pattern.text, std::move(content), pattern.where);
    return MakeReplace(pattern.text, std::move(content));
  }
  if (type == "Strip") return MakeStrip(node["strip_left"].BoolOr(true), node["strip_right"].BoolOr(true));
  if (type == "StripAccents") return MakeStripAccents();
  if (type == "ByteLevel") return MakeByteLevelNormalizer();
  RefuseType(node, "normalizer", type,
             "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, StripAccents, ByteLevel and Sequence");
}

SplitBehavior ReadBehavior(const JsonRef& node) {
  const std::string& name = node.AsString();
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::kRemoved},
       {"Isolated", SplitBehavior::kIsolated},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  node.Fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

PreTokenizerPtr ReadSplit(const JsonRef& node) {
  const Pattern pattern = ReadPattern(node["pattern"]);
  const SplitBehavior behavior = ReadBehavior(node["behavior"]);
  const bool invert = node["invert"].BoolOr(false);
  if (pattern.regex) return MakeRegexSplit(pattern.text, behavior, invert, pattern.where);
  return MakeStringSplit(pattern.text, behavior, invert, pattern.where);
}

char32_t ReadOneCharacter(const JsonRef& node) {
  const std::string& text = node.AsText();
  if (text.empty() || DecodeUtf8(text.data()).size != text.size()) node.Fail("one character");
  return DecodeUtf8(text.data()).code;
}

// Older files say add_prefix_space, newer ones prepend_scheme; the newer field wins.
PreTokenizerPtr ReadMetaspace(const JsonRef& node) {
  const char32_t replacement = ReadOneCharacter(node["replacement"]);
  PrependScheme scheme = node["add_prefix_space"].BoolOr(true) ? PrependScheme::kAlways : PrependScheme::kNever;
  if (const JsonRef field = node["prepend_scheme"]) {
    const std::string& name = field.AsString();
    if (name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      scheme = PrependScheme::kNever;
    } else if (name == "always") {
      scheme = PrependScheme::kAlways;
    } else {
      field.Fail("first, never or always");
    }
  }
  return MakeMetaspace(replacement, scheme, node["split"].BoolOr(true));
}

PreTokenizerPtr MakeSpaceSplit() {
  return MakeCharSplit([](char32_t c) { return (CharClass(c) & kCharSpace) != 0; }, SplitBehavior::kRemoved);
}

PreTokenizerPtr ReadPreTokenizer(const JsonRef& node) {
  const std::string& type = node["type"].AsString();
  if (type == "Sequence") {
    std::vector<PreTokenizerPtr> steps;
    for (const JsonRef& step : node["pretokenizers"].Elements()) steps.push_back(ReadPreTokenizer(step));
    return MakePreTokenizerSequence(std::move(steps));
  }
  if (type == "Split") return ReadSplit(node);
  if (type == "ByteLevel") return MakeByteLevel(node["add_prefix_space"].BoolOr(true), node["use_regex"].BoolOr(true));
  if (type == "Metaspace") return ReadMetaspace(node);
  if (type == "Digits") {
    return MakeCharSplit(
        [](char32_t c) { return (CharClass(c) & kCharNumber) != 0; },
        node["individual_digits"].BoolOr(false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Whitespace") {
    // Of the Rust regex crate, whose \w has the two joiners as well.
    return MakeRegexSplit(R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)", SplitBehavior::kRemoved, true,
                          node.where());
  }
  if (type == "WhitespaceSplit") return MakeSpaceSplit();
  if (type == "CharDelimiterSplit") {
    const char32_t delimiter = ReadOneCharacter(node["delimiter"]);
    return MakeCharSplit([delimiter](char32_t c) { return c == delimiter; }, SplitBehavior::kRemoved);
  }
  if (type == "Punctuation") {
    const JsonRef behavior = node["behavior"];
    return MakeCharSplit(IsLibraryPunctuation, behavior ? ReadBehavior(behavior) : SplitBehavior::kIsolated);
  }
  if (type == "BertPreTokenizer") {
    std::vector<PreTokenizerPtr> steps;
    steps.push_back(MakeSpaceSplit());
    steps.push_back(MakeCharSplit(IsLibraryPunctuation, SplitBehavior::kIsolated));
    return MakePreTokenizerSequence(std::move(steps));
  }
  RefuseType(node, "pre-tokenizer", type,
             "Split, ByteLevel, Metaspace, Digits, Whitespace, WhitespaceSplit, CharDelimiterSplit, Punctuation, "
             "BertPreTokenizer and Sequence");
}

// "a b" or ["a", "b"].
BpeModel::Merges ReadMerges(const JsonRef& node) {
  const JsonArray& list = node.AsArray();
  BpeModel::Merges merges;
  merges.reserve(list.size());
  for (const Json& element : list) {
    if (const std::string* const text = element.string()) {
      const size_t space = text->find(' ');
      if (space == std::string::npos || text->find(' ', space + 1) != std::string::npos) {
        node.at(merges.size()).Fail("two tokens with one space between");
      }
      merges.emplace_back(text->substr(0, space), text->substr(space + 1));
      continue;
    }
    const JsonArray* const pair = element.array();
    const bool good =
        pair != nullptr && pair->size() == 2 && (*pair)[0].string() != nullptr && (*pair)[1].string() != nullptr;
    if (!good) node.at(merges.size()).Fail("a list of two tokens");
    merges.emplace_back(*(*pair)[0].string(), *(*pair)[1].string());
  }
  return merges;
}

std::unique_ptr<const BpeModel> ReadModel(const JsonRef& node) {
  if (!node || node.value()->object() == nullptr) node.Fail("an object");
  // Files older than 2020 name no type; theirs is told by what it holds.
  const std::string type = node["type"].StringOr(node["merges"] ? "BPE" : "(none)");
  if (type != "BPE") RefuseType(node, "model", type, "BPE");
  BpeOptions options;
  if (const JsonRef unk = node["unk_token"]) options.unk_token = unk.AsString();
  if (const JsonRef prefix = node["continuing_subword_prefix"]) options.continuing_subword_prefix = ShortText(prefix);
  if (const JsonRef suffix = node["end_of_word_suffix"]) options.end_of_word_suffix = ShortText(suffix);
  options.fuse_unk = node["fuse_unk"].BoolOr(false);
  options.byte_fallback = node["byte_fallback"].BoolOr(false);
  options.ignore_merges = node["ignore_merges"].BoolOr(false);
  return std::make_unique<BpeModel>(ReadVocabulary(node["vocab"]), ReadMerges(node["merges"]), std::move(options),
                                    node.where());
}

std::vector<AddedToken> ReadAddedTokens(const JsonRef& node) {
  std::vector<AddedToken> tokens;
  if (!node) return tokens;
  for (const JsonRef& item : node.Elements()) {
    tokens.push_back(ReadAddedToken(item));
    tokens.back().id = static_cast<int32_t>(item["id"].AsInt(0, kMaxTokenId));
  }
  return tokens;
}

PostProcessor::Template ReadTemplate(const JsonRef& node) {
  PostProcessor::Template pieces;
  for (const JsonRef& item : node["single"].Elements()) {
    if (const JsonRef sequence = item["Sequence"]) {
      if (sequence["id"].AsString() != "A") sequence.Fail("the sequence A, the only one of a template for one text");
      pieces.push_back(PostProcessor::kText);
      continue;
    }
    const JsonRef token = item["SpecialToken"]["id"];
    const JsonRef entry = node["special_tokens"][token.AsString()];
    if (!entry) token.Fail("one of the special_tokens of this template");
    for (const JsonRef& id : entry["ids"].Elements()) pieces.push_back(static_cast<int32_t>(id.AsInt(0, kMaxTokenId)));
  }
  return pieces;
}

// ["<s>", 0]
int32_t ReadTokenPair(const JsonRef& node) {
  if (node.AsArray().size() != 2) node.Fail("a token and its id");
  return static_cast<int32_t>(node.at(1).AsInt(0, kMaxTokenId));
}

void ReadPostProcessor(const JsonRef& node, PostProcessor& out) {
  const std::string& type = node["type"].AsString();
  if (type == "Sequence") {
    for (const JsonRef& step : node["processors"].Elements()) ReadPostProcessor(step, out);
  } else if (type == "TemplateProcessing") {
    out.Add(ReadTemplate(node));
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    out.Add({ReadTokenPair(node["cls"]), PostProcessor::kText, ReadTokenPair(node["sep"])});
  } else if (type != "ByteLevel") {  // ByteLevel only moves offsets
    RefuseType(node, "post-processor", type,
               "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing and Sequence");
  }
}

}  // namespace

std::unique_ptr<TokenizerParts> ReadTokenizerJson(const JsonRef& root) {
  root.AsObject();
  auto parts = std::make_unique<TokenizerParts>();
  if (const JsonRef node = root["normalizer"]) parts->normalizer = ReadNormalizer(node);
  if (const JsonRef node = root["pre_tokenizer"]) parts->pre_tokenizer = ReadPreTokenizer(node);
  if (const JsonRef node = root["post_processor"]) ReadPostProcessor(node, parts->post_processor);
  parts->model = ReadModel(root["model"]);
  parts->LeaveBytesIfPossible();
  parts->SetAddedTokens(ReadAddedTokens(root["added_tokens"]));
  return parts;
}

}  // namespace modelslim
