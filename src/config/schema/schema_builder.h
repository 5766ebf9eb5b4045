// Ties the fields of a schema to the members of a struct: how a member of type M is read, written back and described
// follows from M alone, and its default from a default-constructed struct.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/recipe/coerce.h"
#include "config/recipe/recipe.h"
#include "config/schema/schema.h"

namespace modelslim {

// The table of a struct. Declared here for every struct that has one, defined beside its fields (MODELSLIM_TABLE).
template <class T>
const ObjectSchema& SchemaOf();
template <class T>
inline constexpr bool kHasTable = false;

#define MODELSLIM_DECLARE_TABLE(T)           \
  template <>                                \
  inline constexpr bool kHasTable<T> = true; \
  template <>                                \
  const ObjectSchema& SchemaOf<T>();
MODELSLIM_DECLARE_TABLE(QConfigExt)
MODELSLIM_DECLARE_TABLE(QConfig)
MODELSLIM_DECLARE_TABLE(LinearQConfig)
MODELSLIM_DECLARE_TABLE(LinearQuantConfig)
MODELSLIM_DECLARE_TABLE(GroupConfig)
MODELSLIM_DECLARE_TABLE(SmoothQuantConfig)
MODELSLIM_DECLARE_TABLE(IterSmoothConfig)
MODELSLIM_DECLARE_TABLE(FlexSmoothConfig)
MODELSLIM_DECLARE_TABLE(FlexAwqSszConfig)
MODELSLIM_DECLARE_TABLE(AwqConfig)
MODELSLIM_DECLARE_TABLE(KvSmoothConfig)
MODELSLIM_DECLARE_TABLE(DynamicCacheConfig)
MODELSLIM_DECLARE_TABLE(Fa3Details)
MODELSLIM_DECLARE_TABLE(Fa3Config)
MODELSLIM_DECLARE_TABLE(FloatSparseConfig)
MODELSLIM_DECLARE_TABLE(QuarotConfig)
MODELSLIM_DECLARE_TABLE(OnlineQuarotConfig)
MODELSLIM_DECLARE_TABLE(AutoroundStrategy)
MODELSLIM_DECLARE_TABLE(AutoroundConfig)
MODELSLIM_DECLARE_TABLE(AdaptRotationConfig)
MODELSLIM_DECLARE_TABLE(FlatquantConfig)
MODELSLIM_DECLARE_TABLE(SvdResConfig)
MODELSLIM_DECLARE_TABLE(LoadConfig)
MODELSLIM_DECLARE_TABLE(SaverProcessorConfig)
MODELSLIM_DECLARE_TABLE(SaverConfig)
MODELSLIM_DECLARE_TABLE(Label)
MODELSLIM_DECLARE_TABLE(Metadata)
MODELSLIM_DECLARE_TABLE(PriorStage)
MODELSLIM_DECLARE_TABLE(TextSpec)
MODELSLIM_DECLARE_TABLE(VlmSpec)
MODELSLIM_DECLARE_TABLE(SdSpec)
MODELSLIM_DECLARE_TABLE(DumpConfig)
MODELSLIM_DECLARE_TABLE(SdConfig)
MODELSLIM_DECLARE_TABLE(V0FlexConfig)
MODELSLIM_DECLARE_TABLE(V0AntiConfig)
MODELSLIM_DECLARE_TABLE(V0AntiParams)
MODELSLIM_DECLARE_TABLE(V0CalibConfig)
MODELSLIM_DECLARE_TABLE(V0CalibParams)
MODELSLIM_DECLARE_TABLE(V0SaveParams)
MODELSLIM_DECLARE_TABLE(V0Spec)
#undef MODELSLIM_DECLARE_TABLE

#define MODELSLIM_TABLE(T, make)               \
  template <>                                  \
  const ObjectSchema& SchemaOf<T>() {          \
    static const ObjectSchema schema = make(); \
    return schema;                             \
  }

template <class M>
struct Codec;

template <class M>
concept HasNames = requires {
  EnumNames<M>::kList;
};

template <>
struct Codec<bool> {
  static TypeSpec Type() { return {.type = ValueType::kBool, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec&, bool& out) {
    const std::optional<bool> value = ReadBool(reader, node);
    out = value.value_or(out);
    return value.has_value();
  }
  static std::string Text(bool value) { return value ? "true" : "false"; }
};

template <>
struct Codec<int64_t> {
  static TypeSpec Type() { return {.type = ValueType::kInt, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, int64_t& out) {
    const std::optional<int64_t> value = ReadInt(reader, node, field.rule);
    out = value.value_or(out);
    return value.has_value();
  }
  static std::string Text(int64_t value) { return std::to_string(value); }
};

template <>
struct Codec<double> {
  static TypeSpec Type() { return {.type = ValueType::kFloat, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, double& out) {
    const std::optional<double> value = ReadFloat(reader, node, field.rule);
    out = value.value_or(out);
    return value.has_value();
  }
  static std::string Text(double value) { return NumberText(value); }
};

template <>
struct Codec<std::string> {
  static TypeSpec Type() { return {.type = ValueType::kString, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, std::string& out) {
    std::optional<std::string> value = ReadString(reader, node, field);
    if (value) out = std::move(*value);
    return value.has_value();
  }
  static std::string Text(const std::string& value) { return YamlQuoteIfNeeded(value); }
};

template <HasNames E>
struct Codec<E> {
  static std::vector<std::string> Words() {
    std::vector<std::string> words;
    for (const auto& [value, name] : EnumNames<E>::kList) words.emplace_back(name);
    return words;
  }
  static TypeSpec Type() { return {.type = ValueType::kWord, .words = Words()}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec&, E& out) {
    if (node.kind == YamlKind::kString) {
      for (const auto& [value, name] : EnumNames<E>::kList) {
        if (node.text == name) return out = value, true;
      }
    }
    Remark remark;
    remark.expected = JoinWords(Words());
    remark.found = FoundText(node);
    if (node.kind == YamlKind::kString) remark.suggestion = NearestWord(node.text, Words());
    reader.Error(node.pos, node.kind == YamlKind::kString ? "unknown value" : "wrong type", std::move(remark));
    return false;
  }
  static std::string Text(E value) { return std::string(EnumName(value)); }
};

// Absent is a state of its own; null is not accepted unless the field says so.
template <class M>
struct Codec<std::optional<M>> {
  static TypeSpec Type() { return Codec<M>::Type(); }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, std::optional<M>& out) {
    M value{};
    if (!Codec<M>::Read(reader, node, field, value)) return false;
    out = std::move(value);
    return true;
  }
  static std::string Text(const std::optional<M>& value) { return value ? Codec<M>::Text(*value) : ""; }
};

template <class M>
struct Codec<std::vector<M>> {
  static TypeSpec Type() {
    TypeSpec type = Codec<M>::Type();
    type.list = true;
    return type;
  }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, std::vector<M>& out) {
    if (node.kind != YamlKind::kSequence) {
      if (!field.type.single_or_list) return reader.WrongType(node, TypeText(field)), false;
      out.assign(1, M{});
      return Codec<M>::Read(reader, node, field, out[0]);
    }
    out.clear();
    bool good = true;
    for (size_t i = 0; i < node.items.size(); ++i) {
      const Reader::Step step(reader, i);
      M value{};
      good = Codec<M>::Read(reader, *node.items[i], field, value) && good;
      out.push_back(std::move(value));
    }
    return good;
  }
  static std::string Text(const std::vector<M>& values) {
    std::string out = "[";
    for (const M& each : values) out += (out.size() > 1 ? ", " : "") + Codec<M>::Text(each);
    return out + "]";
  }
};

template <>
struct Codec<PatternList> {
  static TypeSpec Type() { return {.type = ValueType::kString, .list = true, .pattern = true, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, PatternList& out);
  static std::string Text(const PatternList& value);
};

template <>
struct Codec<NameList> {
  static TypeSpec Type() { return {.type = ValueType::kString, .list = true, .words = {}}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, NameList& out);
  static std::string Text(const NameList& value);
};

const UnionSchema& ProcessorUnion();
const UnionSchema& SaverUnion();

template <>
struct Codec<ProcessorConfig> {
  static TypeSpec Type() { return {.type = ValueType::kUnion, .words = {}, .alternatives = ProcessorUnion}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, ProcessorConfig& out);
  static std::string Text(const ProcessorConfig&) { return ""; }
};

template <>
struct Codec<SaverConfig> {
  static TypeSpec Type() { return {.type = ValueType::kUnion, .words = {}, .alternatives = SaverUnion}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec& field, SaverConfig& out);
  static std::string Text(const SaverConfig&) { return ""; }
};

// Structs with a table of their own. `pos` and `path` members are filled when the struct has them.
template <class M>
requires kHasTable<M>
struct Codec<M> {
  static TypeSpec Type() { return {.type = ValueType::kObject, .words = {}, .object = SchemaOf<M>}; }
  static bool Read(Reader& reader, const YamlNode& node, const FieldSpec&, M& out) {
    if constexpr (requires { out.pos; }) out.pos = node.pos;
    if constexpr (requires { out.path; }) out.path = reader.path();
    const size_t errors = reader.error_count();
    ReadObject(reader, node, SchemaOf<M>(), &out);
    return reader.error_count() == errors;
  }
  static std::string Text(const M&) { return ""; }
};

template <class M>
struct IsOptional : std::false_type {};
template <class M>
struct IsOptional<std::optional<M>> : std::true_type {};

inline bool IsPlain(const TypeSpec& type) {
  return type.type != ValueType::kObject && type.type != ValueType::kUnion && type.type != ValueType::kFreeMapping;
}

// Options of the field that was just added.
class FieldRef {
 public:
  explicit FieldRef(FieldSpec& field) : field_(field) {}
  FieldRef& Required() { return field_.required = true, *this; }
  FieldRef& Nullable() { return field_.nullable = true, *this; }
  FieldRef& Since26() { return field_.since_26 = true, *this; }
  FieldRef& Rule(NumberRule rule) { return field_.rule = std::move(rule), *this; }
  FieldRef& MaxLength(size_t length) { return field_.max_length = length, *this; }
  FieldRef& NotBlank() { return field_.not_blank = true, *this; }
  FieldRef& SingleOrList() { return field_.type.single_or_list = true, *this; }
  FieldRef& WhenAbsent(std::string_view en, std::string_view zh) { return field_.unset = {en, zh}, *this; }

 private:
  FieldSpec& field_;
};

template <class T>
class SchemaBuilder {
 public:
  SchemaBuilder(std::string_view name, std::string_view en, std::string_view zh) {
    schema_.name = name;
    schema_.doc = {en, zh};
  }

  // `get` is a pointer to member or a callable T& -> M&.
  template <class Get>
  FieldRef Field(std::string_view name, Get get, std::string_view en, std::string_view zh) {
    using M = std::remove_reference_t<std::invoke_result_t<Get, T&>>;
    FieldSpec& field = schema_.fields.emplace_back();
    field.name = name;
    field.type = Codec<M>::Type();
    field.doc = {en, zh};
    T defaults{};
    field.default_text = Codec<M>::Text(std::invoke(get, defaults));
    field.read = [get](Reader& reader, const YamlNode& node, const FieldSpec& spec, void* object) {
      M& member = std::invoke(get, *static_cast<T*>(object));
      if (node.kind == YamlKind::kNull && spec.nullable) {
        if constexpr (IsOptional<M>::value) member.reset();
        reader.Record(node.pos, "null");
        return;
      }
      if (Codec<M>::Read(reader, node, spec, member) && IsPlain(spec.type))
        reader.Record(node.pos, Codec<M>::Text(member));
    };
    field.absent = [get](Reader& reader, const FieldSpec& spec, void* object) {
      M& member = std::invoke(get, *static_cast<T*>(object));
      if (IsPlain(spec.type)) {
        const std::string text =
            spec.unset.en.empty() ? Codec<M>::Text(member) : "(" + std::string(spec.unset.en) + ")";
        if (!text.empty()) reader.Record({}, text);
      } else if constexpr (!IsOptional<M>::value) {
        if (spec.type.type == ValueType::kObject && !spec.type.list)
          Codec<M>::Read(reader, EmptyMapping(), spec, member);
      }
    };
    return FieldRef(field);
  }

  // A key of the reference that may only repeat its default, so that no member has to keep it.
  template <class M>
  FieldRef Fixed(std::string_view name, M value, std::string_view en, std::string_view zh) {
    FieldSpec& field = schema_.fields.emplace_back();
    field.name = name;
    field.type = Codec<M>::Type();
    field.doc = {en, zh};
    field.nullable = IsOptional<M>::value;
    field.default_text = field.nullable ? "null" : Codec<M>::Text(value);
    field.fixed = true;
    field.read = [value](Reader& reader, const YamlNode& node, const FieldSpec& spec, void*) {
      M found{};
      const bool null = node.kind == YamlKind::kNull && spec.nullable;
      if (!null && !Codec<M>::Read(reader, node, spec, found)) return;
      if (found == value) return reader.Record(node.pos, spec.default_text);
      Remark remark;
      remark.expected = spec.default_text;
      remark.found = FoundText(node);
      remark.tip = "leave the key out";
      reader.Error(node.pos, "the value of " + spec.name + " cannot be changed", std::move(remark));
    };
    field.absent = [](Reader& reader, const FieldSpec& spec, void*) { reader.Record({}, spec.default_text); };
    return FieldRef(field);
  }

  // A key with its own reader, for what is no plain value. `type` describes it.
  FieldRef Custom(std::string_view name, TypeSpec type, std::string_view en, std::string_view zh,
                  void (*read)(Reader&, const YamlNode&, T&)) {
    FieldSpec& field = schema_.fields.emplace_back();
    field.name = name;
    field.type = std::move(type);
    field.doc = {en, zh};
    field.read = [read](Reader& reader, const YamlNode& node, const FieldSpec&, void* object) {
      read(reader, node, *static_cast<T*>(object));
    };
    field.absent = [](Reader&, const FieldSpec&, void*) {};
    return FieldRef(field);
  }

  // include and exclude. 26.1.0 limits their entries to 200 characters.
  void Selection(modelslim::Selection T::*member, bool nullable, std::string_view subject_en,
                 std::string_view subject_zh);

  void Unknown(UnknownKeys unknown) { schema_.unknown = unknown; }
  void Refuse(std::string_view key, std::string_view reason) { schema_.refused.push_back({key, reason}); }
  void Check(void (*check)(Reader&, const YamlNode&, T&)) {
    schema_.check = [check](Reader& reader, const YamlNode& node, void* object) {
      check(reader, node, *static_cast<T*>(object));
    };
  }

  ObjectSchema Build() { return std::move(schema_); }

 private:
  ObjectSchema schema_;
};

inline constexpr size_t kMaxPatternLength = 200;

template <class T>
void SchemaBuilder<T>::Selection(modelslim::Selection T::*member, bool nullable, std::string_view subject_en,
                                 std::string_view subject_zh) {
  FieldRef include = Field(
      "include", [member](T& t) -> PatternList& { return (t.*member).include; }, subject_en, subject_zh);
  include.MaxLength(kMaxPatternLength);
  if (nullable) include.Nullable();
  FieldRef exclude = Field(
      "exclude", [member](T& t) -> PatternList& { return (t.*member).exclude; },
      "Patterns of what is left out; exclude always wins.", "排除的名称模式；exclude 始终优先。");
  exclude.MaxLength(kMaxPatternLength);
  if (nullable) exclude.Nullable();
}

}  // namespace modelslim
