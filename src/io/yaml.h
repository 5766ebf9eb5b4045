// YAML 1.1 as recipes use it, with the place of every key and value. Scalars resolve exactly as PyYAML's safe_load
// resolves them. Nothing of a document is trusted: size, nesting, alias expansion, encoding and tags are checked while
// it is read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/source_pos.h"

namespace modelslim {

struct YamlNode;
// Nodes are shared: an alias is the very node of its anchor (so its pos is the anchor's).
using YamlNodePtr = std::shared_ptr<const YamlNode>;

enum class YamlKind : uint8_t { kNull, kBool, kInt, kFloat, kString, kSequence, kMapping };
// "a mapping", "an integer", ... for messages.
std::string_view YamlKindName(YamlKind kind);

struct YamlEntry {
  std::string key;  // as written; YAML 1.1 booleans and numbers are possible keys, too
  YamlKind key_kind = YamlKind::kString;
  SourcePos key_pos;
  bool merged = false;  // came through "<<"
  YamlNodePtr value;
};

struct YamlNode {
  YamlKind kind = YamlKind::kNull;
  bool quoted = false;      // a quoted or block scalar: always a string
  bool boolean = false;     // kBool
  bool integer_ok = false;  // kInt: the value fits int64
  SourcePos pos;
  int64_t integer = 0;             // kInt
  double number = 0;               // kInt and kFloat
  std::string text;                // scalars: as written, escapes resolved; "" for an empty null
  std::vector<YamlNodePtr> items;  // kSequence
  std::vector<YamlEntry> entries;  // kMapping: merges applied, keys unique, in PyYAML's order
  uint64_t expanded_nodes = 1;     // nodes below and including this one, aliases counted as often as they are used

  const YamlEntry* Find(std::string_view key) const;
};

struct YamlWarning {
  SourcePos pos;
  std::string message;
  std::string tip;
};

struct YamlProblem {
  SourcePos pos;
  std::string message;
  std::string tip;
};

struct YamlLimits {
  uint64_t bytes = uint64_t{16} << 20;
  int depth = 100;             // nested sequences and mappings
  uint64_t nodes = 1'000'000;  // after alias expansion
};

struct YamlDocument {
  YamlNodePtr root;                   // null when there are problems
  std::vector<YamlWarning> warnings;  // duplicate keys (the last one wins)
  std::vector<YamlProblem> problems;  // usually one: reading stops at it; every unquoted "*..." pattern is reported
};

// Reads one document. Never throws for what `text` may hold; an empty text is a null root.
YamlDocument ParseYaml(std::string_view text, const YamlLimits& limits = {});

// As ParseYaml; a problem is thrown as Error(kSchema) "name:line:column: message".
YamlNodePtr ParseYamlOrThrow(std::string_view text, const std::string& name, const YamlLimits& limits = {});

// One line of flow YAML that reads back as the same value; strings are quoted only where they must be.
std::string YamlFlowText(const YamlNode& node, size_t max_length = 400);
// A string as a YAML scalar: quoted when a plain one would resolve to something else.
std::string YamlQuoteIfNeeded(std::string_view text);

}  // namespace modelslim
