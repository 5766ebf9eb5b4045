#include "io/yaml_builder.h"

#include <utility>

#include "io/yaml_scalar.h"

namespace modelslim {
namespace {

constexpr std::string_view kStandardTag = "tag:yaml.org,2002:";

[[noreturn]] void Stop(SourcePos pos, std::string message, std::string tip = "") {
  throw YamlStop{{pos, std::move(message), std::move(tip)}};
}

[[noreturn]] void RejectTag(SourcePos pos, std::string_view tag) {
  std::string shown(tag);
  if (shown.starts_with(kStandardTag)) shown = "!!" + shown.substr(kStandardTag.size());
  Stop(pos, "the tag " + shown + " is not allowed",
       "recipes hold plain data only; if the text begins with ! put it in quotes");
}

// Two keys are the same in a Python dict when these texts are equal.
std::string KeyIdentity(const YamlNode& key) {
  switch (key.kind) {
    case YamlKind::kBool:
      return key.boolean ? "n1" : "n0";
    case YamlKind::kInt:
      return key.integer_ok ? "n" + std::to_string(key.integer) : "t" + key.text;
    case YamlKind::kNull:
      return "z";
    default:
      return "s" + key.text;
  }
}

std::string KeyIdentity(const YamlEntry& entry) {
  YamlNode key;
  key.text = entry.key;
  key.kind = entry.key_kind;
  if (entry.key_kind != YamlKind::kString) ResolvePlainScalar(key);
  return KeyIdentity(key);
}

std::string PosText(SourcePos pos) {
  return "line " + std::to_string(pos.line) + ", column " + std::to_string(pos.column);
}

bool IsMergeKey(const YamlNode& key) { return !key.quoted && key.text == "<<" && key.kind == YamlKind::kString; }

}  // namespace

std::shared_ptr<YamlNode> YamlBuilder::NewNode(SourcePos pos) {
  if (++built_ > limits_.nodes) {
    Stop(pos, "more than " + std::to_string(limits_.nodes) + " values", "a recipe is a small file: check the path");
  }
  auto node = std::make_shared<YamlNode>();
  node->pos = pos;
  return node;
}

void YamlBuilder::Scalar(SourcePos pos, std::string_view tag, Anchor anchor, std::string_view value) {
  auto node = NewNode(pos);
  node->text = value;
  if (tag.empty()) {
    ResolvePlainScalar(*node);
  } else if (tag == "!") {
    node->kind = YamlKind::kString;
    node->quoted = true;
  } else {
    if (tag.substr(0, kStandardTag.size()) != kStandardTag) RejectTag(pos, tag);
    const std::string_view name = tag.substr(kStandardTag.size());
    if (!ResolveTaggedScalar(name, *node)) RejectTag(pos, tag);
    node->quoted = node->kind == YamlKind::kString;
  }
  if (anchor != 0) anchors_[anchor] = node;
  Attach(std::move(node));
}

void YamlBuilder::Null(SourcePos pos, Anchor anchor) {
  // The parser places an absent value at the next token, which may be lines away: it belongs to its key.
  if (!stack_.empty() && stack_.back().key && stack_.back().key->pos.line != pos.line) pos = stack_.back().key->pos;
  auto node = NewNode(pos);
  if (anchor != 0) anchors_[anchor] = node;
  Attach(std::move(node));
}

void YamlBuilder::Alias(SourcePos pos, Anchor anchor) {
  for (const Frame& frame : stack_) {
    if (frame.anchor == anchor) Stop(pos, "an alias inside its own anchor", "write the value out");
  }
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) Stop(pos, "the referenced anchor is not defined");
  Attach(found->second);
}

void YamlBuilder::StartCollection(SourcePos pos, std::string_view tag, Anchor anchor, YamlKind kind) {
  if (static_cast<int>(stack_.size()) >= limits_.depth) {
    Stop(pos, "nested deeper than " + std::to_string(limits_.depth) + " levels");
  }
  const std::string_view standard = kind == YamlKind::kMapping ? "tag:yaml.org,2002:map" : "tag:yaml.org,2002:seq";
  if (!tag.empty() && tag != standard) RejectTag(pos, tag);
  auto node = NewNode(pos);
  node->kind = kind;
  stack_.push_back(Frame{std::move(node), anchor, nullptr, {}});
}

void YamlBuilder::EndCollection() {
  Frame frame = std::move(stack_.back());
  stack_.pop_back();
  if (frame.node->kind == YamlKind::kMapping) CloseMapping(frame);
  CheckExpanded(*frame.node);
  if (frame.anchor != 0) anchors_[frame.anchor] = frame.node;
  Attach(std::move(frame.node));
}

void YamlBuilder::Attach(YamlNodePtr node) {
  if (stack_.empty()) {
    root_ = std::move(node);
    return;
  }
  Frame& frame = stack_.back();
  YamlNode& parent = *frame.node;
  if (parent.kind == YamlKind::kSequence) {
    parent.expanded_nodes += node->expanded_nodes;
    CheckExpanded(parent);
    parent.items.push_back(std::move(node));
  } else if (frame.key == nullptr) {
    if (node->kind == YamlKind::kSequence || node->kind == YamlKind::kMapping) {
      Stop(node->pos, "a mapping key must be a single value, found " + std::string(YamlKindName(node->kind)),
           "put text with brackets or braces in quotes");
    }
    frame.key = std::move(node);
  } else {
    frame.pairs.push_back({std::move(frame.key), std::move(node)});
    frame.key = nullptr;
  }
}

void YamlBuilder::AddMerged(const Pair& pair, std::vector<YamlEntry>& merged) const {
  std::vector<YamlNodePtr> sources;
  if (pair.value->kind == YamlKind::kMapping) sources.push_back(pair.value);
  // Of a list the earlier mapping wins, so it comes later here, where the last one wins.
  if (pair.value->kind == YamlKind::kSequence) sources.assign(pair.value->items.rbegin(), pair.value->items.rend());
  if (sources.empty() && pair.value->kind != YamlKind::kSequence) {
    Stop(pair.value->pos,
         "<< merges a mapping or a list of mappings, found " + std::string(YamlKindName(pair.value->kind)));
  }
  uint64_t size = merged.size();
  for (const YamlNodePtr& source : sources) {
    if (source->kind != YamlKind::kMapping) {
      Stop(source->pos, "<< merges mappings, found " + std::string(YamlKindName(source->kind)));
    }
    size += source->entries.size();
    if (size > limits_.nodes) Stop(pair.key->pos, "too many merged keys");
    for (YamlEntry entry : source->entries) {
      entry.merged = true;
      merged.push_back(std::move(entry));
    }
  }
}

void YamlBuilder::CloseMapping(Frame& frame) {
  YamlNode& node = *frame.node;
  std::vector<YamlEntry> all;
  for (const Pair& pair : frame.pairs) {
    if (IsMergeKey(*pair.key)) AddMerged(pair, all);
  }
  for (Pair& pair : frame.pairs) {
    if (IsMergeKey(*pair.key)) continue;
    all.push_back({pair.key->text, pair.key->kind, pair.key->pos, false, std::move(pair.value)});
  }
  std::unordered_map<std::string, size_t> seen;
  for (YamlEntry& entry : all) {
    node.expanded_nodes += 1 + entry.value->expanded_nodes;
    CheckExpanded(node);
    const auto [at, is_new] = seen.try_emplace(KeyIdentity(entry), node.entries.size());
    if (is_new) {
      node.entries.push_back(std::move(entry));
      continue;
    }
    YamlEntry& first = node.entries[at->second];
    if (!first.merged && !entry.merged) {
      warnings_.push_back({entry.key_pos,
                           "the key " + YamlQuoteIfNeeded(entry.key) + " is given twice (first at " +
                               PosText(first.key_pos) + "); this last one counts",
                           "delete one of them"});
    }
    first = std::move(entry);
  }
}

void YamlBuilder::CheckExpanded(const YamlNode& node) const {
  if (node.expanded_nodes > limits_.nodes) {
    Stop(node.pos, "aliases expand to more than " + std::to_string(limits_.nodes) + " values");
  }
}

}  // namespace modelslim
