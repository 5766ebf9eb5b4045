#include <array>
#include <limits>
#include <utility>

#include "text/json_node.h"
#include "text/library_unicode.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace modelslim {
namespace {

constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max() - 1;
// A replacement or prefix multiplies the text; longer ones are no tokenizer's.
constexpr size_t kMaxInsertion = 4096;

// `found` is not among `known`.
[[noreturn]] void RefuseType(const JsonNode& node, const std::string& kind, const std::string& found,
                             const std::string& known) {
  throw Error(ErrorCode::kUnsupported, node.where() + ": the " + kind + " \"" + found + "\" is not supported",
              "supported are " + known);
}

std::string ShortString(const JsonNode& node) {
  std::string text = node.String();
  if (text.size() > kMaxInsertion) {
    node.Fail("a string of " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxInsertion) +
                  " are supported",
              ErrorCode::kUnsupported);
  }
  return text;
}

// {"String": "..."} or {"Regex": "..."}; older files give the string itself.
struct Pattern {
  std::string text;
  bool regex;
  std::string where;
};
Pattern ReadPattern(const JsonNode& node) {
  if (node.IsString()) return {ShortString(node), false, node.where()};
  if (const auto text = node.Find("String")) return {ShortString(*text), false, text->where()};
  if (const auto regex = node.Find("Regex")) return {regex->String(), true, regex->where()};
  node.Fail("expected {\"String\": ...} or {\"Regex\": ...}");
}

NormalizerPtr ReadNormalizer(const JsonNode& node) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    std::vector<NormalizerPtr> steps;
    node.At("normalizers").ForEachElement([&](const JsonNode& step) { steps.push_back(ReadNormalizer(step)); });
    return steps.empty() ? nullptr : MakeNormalizerSequence(std::move(steps));
  }
  if (type == "NFC") return MakeUnicodeNormalizer(UnicodeForm::kNfc);
  if (type == "NFD") return MakeUnicodeNormalizer(UnicodeForm::kNfd);
  if (type == "NFKC") return MakeUnicodeNormalizer(UnicodeForm::kNfkc);
  if (type == "NFKD") return MakeUnicodeNormalizer(UnicodeForm::kNfkd);
  if (type == "Lowercase") return MakeLowercase();
  if (type == "Prepend") return MakePrepend(ShortString(node.At("prepend")));
  if (type == "Replace") {
    const Pattern pattern = ReadPattern(node.At("pattern"));
    std::string content = ShortString(node.At("content"));
    if (pattern.regex) return MakeRegexReplace(pattern.text, std::move(content), pattern.where);
    return MakeReplace(pattern.text, std::move(content));
  }
  if (type == "Strip") return MakeStrip(node.BoolOr("strip_left", true), node.BoolOr("strip_right", true));
  if (type == "StripAccents") return MakeStripAccents();
  if (type == "ByteLevel") return MakeByteLevelNormalizer();
  RefuseType(node, "normalizer", type,
             "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, StripAccents, ByteLevel and Sequence");
}

SplitBehavior ReadBehavior(const JsonNode& node) {
  const std::string name = node.String();
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::kRemoved},
       {"Isolated", SplitBehavior::kIsolated},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  node.Fail("expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, found \"" + name + "\"");
}

PreTokenizerPtr ReadSplit(const JsonNode& node) {
  const Pattern pattern = ReadPattern(node.At("pattern"));
  const SplitBehavior behavior = ReadBehavior(node.At("behavior"));
  const bool invert = node.BoolOr("invert", false);
  if (pattern.regex) return MakeRegexSplit(pattern.text, behavior, invert, pattern.where);
  return MakeStringSplit(pattern.text, behavior, invert, pattern.where);
}

char32_t ReadOneCharacter(const JsonNode& node) {
  const std::string text = node.String();
  if (text.empty() || DecodeUtf8(text.data()).size != text.size()) node.Fail("expected one character");
  return DecodeUtf8(text.data()).code;
}

// Older files say add_prefix_space, newer ones prepend_scheme; the newer field wins.
PreTokenizerPtr ReadMetaspace(const JsonNode& node) {
  const char32_t replacement = ReadOneCharacter(node.At("replacement"));
  PrependScheme scheme = node.BoolOr("add_prefix_space", true) ? PrependScheme::kAlways : PrependScheme::kNever;
  if (const auto field = node.Find("prepend_scheme")) {
    const std::string name = field->String();
    if (name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      scheme = PrependScheme::kNever;
    } else if (name == "always") {
      scheme = PrependScheme::kAlways;
    } else {
      field->Fail("expected first, never or always, found \"" + name + "\"");
    }
  }
  return MakeMetaspace(replacement, scheme, node.BoolOr("split", true));
}

PreTokenizerPtr MakeSpaceSplit() {
  return MakeCharSplit([](char32_t c) { return (CharClass(c) & kCharSpace) != 0; }, SplitBehavior::kRemoved);
}

PreTokenizerPtr ReadPreTokenizer(const JsonNode& node) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    std::vector<PreTokenizerPtr> steps;
    node.At("pretokenizers").ForEachElement([&](const JsonNode& step) { steps.push_back(ReadPreTokenizer(step)); });
    return MakePreTokenizerSequence(std::move(steps));
  }
  if (type == "Split") return ReadSplit(node);
  if (type == "ByteLevel") return MakeByteLevel(node.BoolOr("add_prefix_space", true), node.BoolOr("use_regex", true));
  if (type == "Metaspace") return ReadMetaspace(node);
  if (type == "Digits") {
    return MakeCharSplit(
        [](char32_t c) { return (CharClass(c) & kCharNumber) != 0; },
        node.BoolOr("individual_digits", false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Whitespace") {
    // Of the Rust regex crate, whose \w has the two joiners as well.
    return MakeRegexSplit(R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)", SplitBehavior::kRemoved, true,
                          node.where());
  }
  if (type == "WhitespaceSplit") return MakeSpaceSplit();
  if (type == "CharDelimiterSplit") {
    const char32_t delimiter = ReadOneCharacter(node.At("delimiter"));
    return MakeCharSplit([delimiter](char32_t c) { return c == delimiter; }, SplitBehavior::kRemoved);
  }
  if (type == "Punctuation") {
    const auto behavior = node.Find("behavior");
    return MakeCharSplit(IsLibraryPunctuation, behavior ? ReadBehavior(*behavior) : SplitBehavior::kIsolated);
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

BpeModel::Vocabulary ReadVocabulary(const JsonNode& node) {
  BpeModel::Vocabulary vocabulary;
  const auto object = node.Object();
  vocabulary.reserve(object.size());
  for (const auto field : object) {
    int64_t id = 0;
    if (field.value.get_int64().get(id) || id < 0 || id > kMaxId) {
      JsonNode(field.value, node.where() + "/" + std::string(field.key)).Int(0, kMaxId);  // complains
      node.Fail("bad id");
    }
    vocabulary[std::string(field.key)] = static_cast<int32_t>(id);
  }
  return vocabulary;
}

// "a b" or ["a", "b"].
BpeModel::Merges ReadMerges(const JsonNode& node) {
  BpeModel::Merges merges;
  const auto array = node.Array();
  merges.reserve(array.size());
  for (const auto element : array) {
    const JsonNode merge(element,
                         merges.size() < 1 ? node.where() + "/0" : node.where() + "/" + std::to_string(merges.size()));
    if (merge.IsString()) {
      const std::string text = merge.String();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        merge.Fail("expected two tokens with one space between, found \"" + text + "\"");
      }
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      continue;
    }
    const auto pair = merge.Array();
    std::string_view left, right;
    if (pair.size() != 2 || pair.at(0).get_string().get(left) || pair.at(1).get_string().get(right)) {
      merge.Fail("expected a list of two tokens");
    }
    merges.emplace_back(left, right);
  }
  return merges;
}

std::unique_ptr<const BpeModel> ReadModel(const JsonNode& node) {
  // Files older than 2020 name no type; theirs is told by what it holds.
  const auto type_node = node.Find("type");
  const std::string type = type_node ? type_node->String() : node.Find("merges") ? "BPE" : "(none)";
  if (type != "BPE") RefuseType(node, "model", type, "BPE");
  BpeOptions options;
  if (const auto unk = node.Find("unk_token")) options.unk_token = unk->String();
  if (const auto prefix = node.Find("continuing_subword_prefix"))
    options.continuing_subword_prefix = ShortString(*prefix);
  if (const auto suffix = node.Find("end_of_word_suffix")) options.end_of_word_suffix = ShortString(*suffix);
  options.fuse_unk = node.BoolOr("fuse_unk", false);
  options.byte_fallback = node.BoolOr("byte_fallback", false);
  options.ignore_merges = node.BoolOr("ignore_merges", false);
  return std::make_unique<BpeModel>(ReadVocabulary(node.At("vocab")), ReadMerges(node.At("merges")), std::move(options),
                                    node.where());
}

std::vector<AddedToken> ReadAddedTokens(const JsonNode& node) {
  std::vector<AddedToken> tokens;
  node.ForEachElement([&](const JsonNode& item) {
    AddedToken token;
    token.content = item.At("content").String();
    token.id = static_cast<int32_t>(item.At("id").Int(0, kMaxId));
    token.special = item.BoolOr("special", false);
    token.single_word = item.BoolOr("single_word", false);
    token.lstrip = item.BoolOr("lstrip", false);
    token.rstrip = item.BoolOr("rstrip", false);
    token.normalized = item.BoolOr("normalized", !token.special);
    if (token.content.size() > AddedTokenMatcher::kMaxContent) {
      item.Fail("an added token of " + std::to_string(token.content.size()) + " bytes; at most " +
                    std::to_string(AddedTokenMatcher::kMaxContent) + " are supported",
                ErrorCode::kUnsupported);
    }
    tokens.push_back(std::move(token));
  });
  return tokens;
}

PostProcessor::Template ReadTemplate(const JsonNode& node) {
  const auto special = node.Find("special_tokens");
  PostProcessor::Template pieces;
  node.At("single").ForEachElement([&](const JsonNode& item) {
    if (const auto sequence = item.Find("Sequence")) {
      if (sequence->At("id").String() != "A") sequence->Fail("a template of one text can only hold sequence A");
      pieces.push_back(PostProcessor::kText);
      return;
    }
    const JsonNode token = item.At("SpecialToken").At("id");
    const auto entry = special ? special->Find(token.String()) : std::nullopt;
    if (!entry) token.Fail("\"" + token.String() + "\" is not among the special_tokens of this template");
    entry->At("ids").ForEachElement(
        [&](const JsonNode& id) { pieces.push_back(static_cast<int32_t>(id.Int(0, kMaxId))); });
  });
  return pieces;
}

// ["<s>", 0]
int32_t ReadTokenPair(const JsonNode& node) {
  int32_t id = -1;
  int index = 0;
  node.ForEachElement([&](const JsonNode& item) {
    if (index++ == 1) id = static_cast<int32_t>(item.Int(0, kMaxId));
  });
  if (index != 2) node.Fail("expected a token and its id");
  return id;
}

void ReadPostProcessor(const JsonNode& node, PostProcessor& out) {
  const std::string type = node.At("type").String();
  if (type == "Sequence") {
    node.At("processors").ForEachElement([&](const JsonNode& step) { ReadPostProcessor(step, out); });
  } else if (type == "TemplateProcessing") {
    out.Add(ReadTemplate(node));
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    out.Add({ReadTokenPair(node.At("cls")), PostProcessor::kText, ReadTokenPair(node.At("sep"))});
  } else if (type != "ByteLevel") {  // ByteLevel only moves offsets
    RefuseType(node, "post-processor", type,
               "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing and Sequence");
  }
}

}  // namespace

std::unique_ptr<TokenizerParts> ReadTokenizerJson(std::string_view json, const std::string& name) {
  simdjson::dom::parser parser;
  const JsonNode root = ParseJson(parser, json, name);
  auto parts = std::make_unique<TokenizerParts>();
  if (const auto node = root.Find("normalizer")) parts->normalizer = ReadNormalizer(*node);
  if (const auto node = root.Find("pre_tokenizer")) parts->pre_tokenizer = ReadPreTokenizer(*node);
  if (const auto node = root.Find("post_processor")) ReadPostProcessor(*node, parts->post_processor);
  parts->model = ReadModel(root.At("model"));
  if (parts->pre_tokenizer && parts->pre_tokenizer->EndsInByteStandIns() && parts->model->TakesBytes()) {
    parts->pre_tokenizer->LeaveBytes();
    parts->bytes = true;
  }
  const auto added = root.Find("added_tokens");
  parts->SetAddedTokens(added ? ReadAddedTokens(*added) : std::vector<AddedToken>());
  return parts;
}

}  // namespace modelslim
