#include "text/tokenizer.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/memory.h"
#include "base/stop.h"
#include "io/quote.h"
#include "text/growth.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace modelslim {

struct EncodeState {
  BpeScratch bpe;
  PieceList list;
  std::string normalized;
  size_t room = 0;  // bytes that the steps may still make of the text

  void Spend(size_t bytes) {
    CheckGrowth(bytes, room);
    room -= bytes;
  }
  std::vector<AddedTokenMatcher::Part> raw_parts, normalized_parts;
};

// States wait here between calls, with the pieces they remember. As many as there were calls at one time.
struct Tokenizer::StatePool {
  std::mutex mutex;
  std::vector<std::unique_ptr<EncodeState>> idle;

  std::unique_ptr<EncodeState> Take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<EncodeState>();
    auto state = std::move(idle.back());
    idle.pop_back();
    return state;
  }
  void Return(std::unique_ptr<EncodeState> state) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(state));
  }
};

Tokenizer::Tokenizer(std::unique_ptr<TokenizerParts> parts)
    : parts_(std::move(parts)), pool_(std::make_unique<StatePool>()) {}
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::FromJson(std::string_view json, const std::string& name) {
  const Json root = ParseJson(json, name);
  return std::make_unique<Tokenizer>(ReadTokenizerJson(JsonRef(root, name)));
}

namespace {

Json ReadTokenizerFile(const fs::path& path) {
  const std::string text = ReadTextFile(path, kMaxTokenizerFile);
  Json root = ParseJson(text, path.string());
  LookAtMemory();
  return root;
}

// Nothing that is read here; perhaps a tokenizer in another form.
[[noreturn]] void RefuseWithoutFiles(const fs::path& model_dir) {
  std::string other;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(model_dir, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_other =
        name.ends_with(".tiktoken") || name.ends_with(".model") || name.starts_with("tokenizer.model.");
    if (is_other && (other.empty() || name < other)) other = name;
  }
  const std::string there = other.empty() ? "" : " (only " + Quote(other) + ", a form that is not read)";
  throw Error(other.empty() ? ErrorCode::kInvalidModel : ErrorCode::kUnsupported,
              model_dir.string() + ": found neither tokenizer.json nor vocab.json with merges.txt" + there,
              other.empty() ? "copy tokenizer.json from where the checkpoint came from"
                            : "put a tokenizer.json of this model there, or take a recipe whose steps need no data");
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::Load(const fs::path& model_dir) {
  const fs::path json = model_dir / "tokenizer.json", config = model_dir / "tokenizer_config.json";
  // A directory without config.json holds a tokenizer and no model: the class that a model's loader would pick does not
  // matter there, and tokenizer.json is obeyed as it stands.
  const bool class_counts = fs::exists(model_dir / "config.json");
  const bool needed = class_counts || !fs::exists(json);
  const Json settings = needed && fs::exists(config) ? ReadTokenizerFile(config) : Json();
  const JsonRef settings_ref(settings, config.string());
  std::unique_ptr<TokenizerParts> parts;
  if (fs::exists(json)) {
    const Json root = ReadTokenizerFile(json);
    parts = ReadTokenizerJson(JsonRef(root, json.string()));
    LookAtMemory();
  } else if (fs::exists(model_dir / "vocab.json") && fs::exists(model_dir / "merges.txt")) {
    parts = ReadVocabularyFiles(model_dir, settings_ref);
  } else if (const fs::path model = model_dir / "tokenizer.model"; fs::exists(model)) {
    parts = ReadSentencePiece(ReadTextFile(model, kMaxTokenizerFile), model.string(), settings_ref);
  } else {
    RefuseWithoutFiles(model_dir);
  }
  if (class_counts) ApplyTokenizerConfig(settings_ref, *parts);
  return std::make_unique<Tokenizer>(std::move(parts));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special) const {
  constexpr size_t kMaxText = size_t{1} << 30;
  if (text.size() > kMaxText) {
    throw Error(ErrorCode::kInvalidDataset,
                "a text of " + std::to_string(text.size()) + " bytes; at most 1 GiB can be tokenized at once");
  }
  if (const size_t bad = FirstInvalidUtf8(text); bad != std::string_view::npos) {
    throw Error(ErrorCode::kInvalidDataset, "the text is not UTF-8: byte " + std::to_string(bad));
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  auto state = pool_->Take();
  state->room = GrowthLimit(text.size());
  EncodeRaw(text, true, *state, ids);
  pool_->Return(std::move(state));
  if (add_special) parts_->post_processor.Apply(ids);
  return ids;
}

void Tokenizer::EncodeRaw(std::string_view text, bool at_start, EncodeState& state, std::vector<int32_t>& ids) const {
  auto& found = state.raw_parts;
  found.clear();
  parts_->raw_matcher.Split(text, found);
  for (const auto& part : found) {
    if (part.id >= 0) {
      const bool behind_one = ids.size() == 1 && ids[0] == parts_->dropped_at_start && found[0].id < 0;
      if (behind_one && parts_->IsSpecial(part.id)) ids.clear();
      ids.push_back(part.id);
      continue;
    }
    ThrowIfStopped();
    const std::string_view gap = text.substr(part.begin, part.end - part.begin);
    if (parts_->normalizer) {
      state.normalized.assign(gap);
      parts_->normalizer->Rewrite(state.normalized, state.room);
      state.Spend(state.normalized.size());
      EncodeNormalized(state.normalized, at_start && part.begin == 0, state, ids);
    } else {
      EncodeNormalized(gap, at_start && part.begin == 0, state, ids);
    }
  }
}

void Tokenizer::EncodeNormalized(std::string_view text, bool at_start, EncodeState& state,
                                 std::vector<int32_t>& ids) const {
  auto& found = state.normalized_parts;
  found.clear();
  parts_->normalized_matcher.Split(text, found);
  for (const auto& part : found) {
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      EncodeSegment(text.substr(part.begin, part.end - part.begin), at_start && part.begin == 0, state, ids);
    }
  }
}

void Tokenizer::EncodeSegment(std::string_view text, bool at_start, EncodeState& state,
                              std::vector<int32_t>& ids) const {
  PieceList& list = state.list;
  list.text = text;
  list.at_start = at_start;
  list.limit = state.room;
  list.pieces.assign(1, {0, static_cast<uint32_t>(text.size())});
  if (parts_->pre_tokenizer) {
    parts_->pre_tokenizer->Apply(list);
    state.Spend(list.text.size());
  }
  const BpeModel& model = *parts_->model;
  constexpr size_t kPiecesBetweenLooks = 1024;
  size_t done = 0;
  for (const TextRange& range : list.pieces) {
    if (++done % kPiecesBetweenLooks == 0) ThrowIfStopped();
    if (parts_->bytes) {
      model.EncodeBytes(list.Piece(range), state.bpe, ids);
    } else {
      model.Encode(list.Piece(range), state.bpe, ids);
    }
  }
}

int64_t Tokenizer::vocab_size() const {
  int64_t largest = -1;
  for (const auto& [token, id] : parts_->model->vocabulary()) largest = std::max<int64_t>(largest, id);
  for (const AddedToken& token : parts_->added) largest = std::max<int64_t>(largest, token.id);
  for (const auto& pieces : parts_->post_processor.templates()) {
    for (const int32_t id : pieces) largest = std::max<int64_t>(largest, id);
  }
  return largest + 1;
}

}  // namespace modelslim
