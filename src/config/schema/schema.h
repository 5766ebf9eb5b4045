// The declarative description of everything a recipe may hold. One table per mapping drives reading, messages, `recipe
// explain`, the reference pages and the JSON Schema for editors.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/recipe/reader.h"
#include "io/yaml.h"

namespace modelslim {

// A text in the two languages of the reference pages.
struct Doc {
  std::string_view en;
  std::string_view zh;
};

// The limits of a number (of each element of a list of numbers).
struct NumberRule {
  std::optional<double> low;
  std::optional<double> high;
  bool low_open = false;
  bool high_open = false;
  bool power_of_two = false;
  bool or_minus_one = false;    // -1 is allowed, too
  std::vector<int64_t> one_of;  // when not empty, nothing else counts

  bool any() const { return low || high || power_of_two || !one_of.empty(); }
  bool Allows(double value) const;  // NaN: true, as comparisons of the reference let it through
  std::string Text() const;         // "in (0, 1)", ">= 0", "-1 or a power of two"
};

NumberRule Open(double low, double high);
NumberRule Closed(double low, double high);
NumberRule AtLeast(double low);
NumberRule Above(double low);
NumberRule PowerOfTwo(std::optional<double> high = std::nullopt);
NumberRule MinusOneOrPowerOfTwo();
NumberRule OneOf(std::vector<int64_t> values);

struct ObjectSchema;
struct UnionSchema;

enum class ValueType { kBool, kInt, kFloat, kString, kWord, kObject, kUnion, kFreeMapping };

struct TypeSpec {
  ValueType type = ValueType::kString;
  bool list = false;                               // a list of these
  bool pattern = false;                            // strings that are module-name patterns
  bool single_or_list = false;                     // one element may stand without brackets
  std::vector<std::string> words;                  // kWord
  const ObjectSchema& (*object)() = nullptr;       // kObject
  const UnionSchema& (*alternatives)() = nullptr;  // kUnion
};

struct FieldSpec {
  std::string name;
  TypeSpec type;
  Doc doc;
  bool required = false;
  bool nullable = false;
  bool since_26 = false;     // known since 26.1.0
  bool omit_text = false;    // explain does not list it
  bool fixed = false;        // the reference knows the key and takes no value but the default
  std::string default_text;  // YAML; "" when there is no default value
  Doc unset;                 // what it means when an optional value is absent
  NumberRule rule;
  size_t max_length = 0;  // of a string, in bytes; 0: any
  bool not_blank = false;

  std::function<void(Reader&, const YamlNode&, const FieldSpec&, void* object)> read;
  // Records the default for `recipe explain`, descends into absent mappings that have defaults.
  std::function<void(Reader&, const FieldSpec&, void* object)> absent;
};

enum class UnknownKeys { kError, kWarn, kKeep };

// A key that users try and that cannot be honoured, with the reason.
struct RefusedKey {
  std::string_view name;
  std::string_view reason;
};

struct ObjectSchema {
  std::string name;  // of the page and of the JSON Schema definition
  Doc doc;
  std::vector<FieldSpec> fields;
  UnknownKeys unknown = UnknownKeys::kError;
  std::vector<RefusedKey> refused;
  // Rules between fields; runs only when every field was read without error.
  std::function<void(Reader&, const YamlNode&, void* object)> check;

  const FieldSpec* Find(std::string_view field) const;
  std::vector<std::string> Names() const;
};

// One possibility of a list whose items say what they are by `type`.
struct UnionMember {
  std::string type;
  Doc doc;
  bool since_26 = false;
  bool advertised = true;     // listed in messages and pages
  bool distributed = false;   // may run under dp_layer_wise
  std::string_view refused;   // not empty: known to the reference, and why it is refused
  std::string_view alias_of;  // not empty: another spelling
  const ObjectSchema& (*schema)() = nullptr;
};

struct UnionSchema {
  std::string name;
  std::vector<UnionMember> members;

  const UnionMember* Find(std::string_view type) const;
  std::vector<std::string> Names() const;  // the advertised ones
};

// Reads `node` into `object` (of the schema's type). Keys named in `handled` are the caller's.
void ReadObject(Reader& reader, const YamlNode& node, const ObjectSchema& schema, void* object,
                const std::vector<std::string_view>& handled = {});

// Reads the `type` of a union item; null after an error.
const UnionMember* ReadUnionType(Reader& reader, const YamlNode& node, const UnionSchema& schema);

// An empty mapping without a place, for defaults.
const YamlNode& EmptyMapping();

// "a, b or c"
std::string JoinWords(const std::vector<std::string>& words);

}  // namespace modelslim
