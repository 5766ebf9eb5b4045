// Builds our tree from the events of a YAML parser, which it knows nothing about.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/yaml.h"

namespace modelslim {

// Thrown by the builder (and caught by ParseYaml) where reading must stop.
struct YamlStop {
  YamlProblem problem;
};

class YamlBuilder {
 public:
  using Anchor = uint64_t;  // 0: none

  explicit YamlBuilder(const YamlLimits& limits) : limits_(limits) {}

  // `tag` is "" for an untagged node, "!" for a quoted scalar, else the resolved tag.
  void Scalar(SourcePos pos, std::string_view tag, Anchor anchor, std::string_view value);
  void Null(SourcePos pos, Anchor anchor);
  void Alias(SourcePos pos, Anchor anchor);
  void StartCollection(SourcePos pos, std::string_view tag, Anchor anchor, YamlKind kind);
  void EndCollection();

  YamlNodePtr root() const { return root_; }
  std::vector<YamlWarning>& warnings() { return warnings_; }

 private:
  struct Pair {
    YamlNodePtr key;
    YamlNodePtr value;
  };
  struct Frame {
    std::shared_ptr<YamlNode> node;
    Anchor anchor = 0;
    YamlNodePtr key;          // of a mapping, waiting for its value
    std::vector<Pair> pairs;  // of a mapping
  };

  std::shared_ptr<YamlNode> NewNode(SourcePos pos);
  void Attach(YamlNodePtr node);
  void CloseMapping(Frame& frame);
  void AddMerged(const Pair& pair, std::vector<YamlEntry>& merged) const;
  void CheckExpanded(const YamlNode& node) const;

  YamlLimits limits_;
  uint64_t built_ = 0;
  std::vector<Frame> stack_;
  std::unordered_map<Anchor, YamlNodePtr> anchors_;
  YamlNodePtr root_;
  std::vector<YamlWarning> warnings_;
};

}  // namespace modelslim
