// The reference pages in both languages, from the same tables that read recipes.
#include <functional>

#include "config/recipe/coerce.h"
#include "config/recipe/commands.h"
#include "config/recipe/quant_mode.h"
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

enum class Language { kEnglish, kChinese };

// Everything the pages say beyond the tables.
struct Words {
  std::string_view key, type, default_value, meaning, required, none, since, generated, any_of_these;
  std::string_view boolean, integer, number, string, pattern, mapping, item, list_of, one_or_list, also_null, fixed;
  std::string_view unknown_error, unknown_warn, unknown_keep, refused, act, weight, becomes, distributed;
};

constexpr Words kEnglish{"key",
                         "type",
                         "default",
                         "meaning",
                         "required",
                         "none",
                         "since 26.1.0",
                         "This page is generated from the tables that read recipes (`modelslim recipe reference`).",
                         "one of",
                         "boolean",
                         "integer",
                         "number",
                         "string",
                         "pattern",
                         "mapping",
                         "item with `type`",
                         "list of ",
                         "one or a list of ",
                         "null allowed",
                         "only this value",
                         "Unknown keys are errors.",
                         "Unknown keys are ignored with a warning.",
                         "Other keys are kept and unused.",
                         "Refused",
                         "activation",
                         "weight",
                         "becomes",
                         "May run under `dp_layer_wise`."};
constexpr Words kChinese{"键",
                         "类型",
                         "默认值",
                         "含义",
                         "必填",
                         "无",
                         "26.1.0 起支持",
                         "本页由读取配方的表自动生成（`modelslim recipe reference`）。",
                         "取值",
                         "布尔",
                         "整数",
                         "数值",
                         "字符串",
                         "名称模式",
                         "映射",
                         "带 `type` 的项",
                         "列表：",
                         "单个或列表：",
                         "可为 null",
                         "只能取默认值",
                         "未知的键会报错。",
                         "未知的键会被忽略并给出警告。",
                         "其他键会保留，但不使用。",
                         "不接受的键",
                         "激活",
                         "权重",
                         "结果类型",
                         "可在 `dp_layer_wise` 下运行。"};

class Page {
 public:
  explicit Page(Language language)
      : language_(language), words_(language == Language::kEnglish ? kEnglish : kChinese) {}

  std::string_view Say(const Doc& doc) const { return language_ == Language::kEnglish ? doc.en : doc.zh; }
  const Words& words() const { return words_; }
  std::string& text() { return text_; }

  void Title(std::string_view title) {
    text_ += "# " + std::string(title) + "\n\n" + std::string(words_.generated) + "\n\n";
  }
  void Heading(std::string_view title) { text_ += "## " + std::string(title) + "\n\n"; }
  void Paragraph(std::string_view text) { text_ += std::string(text) + "\n\n"; }

  void Object(const ObjectSchema& schema) {
    Paragraph(Say(schema.doc));
    if (!schema.fields.empty()) {
      Row({std::string(words_.key), std::string(words_.type), std::string(words_.default_value),
           std::string(words_.meaning)});
      text_ += "|---|---|---|---|\n";
      for (const FieldSpec& field : schema.fields) FieldRow(field);
      text_ += "\n";
    }
    Paragraph(schema.unknown == UnknownKeys::kError  ? words_.unknown_error
              : schema.unknown == UnknownKeys::kWarn ? words_.unknown_warn
                                                     : words_.unknown_keep);
    if (schema.refused.empty()) return;
    std::string refused = std::string(words_.refused) + ": ";
    for (const RefusedKey& each : schema.refused)
      refused += (refused.ends_with(' ') ? "`" : ", `") + std::string(each.name) + "`";
    Paragraph(refused + ".");
  }

  void Row(const std::vector<std::string>& cells) {
    text_ += "|";
    for (const std::string& cell : cells) {
      text_ += ' ';
      for (char c : cell) text_ += c == '|' ? std::string("\\|") : std::string(1, c);
      text_ += " |";
    }
    text_ += "\n";
  }

 private:
  std::string Type(const FieldSpec& field) const {
    const TypeSpec& type = field.type;
    std::string text;
    switch (type.type) {
      case ValueType::kBool:
        text = words_.boolean;
        break;
      case ValueType::kInt:
        text = words_.integer;
        break;
      case ValueType::kFloat:
        text = words_.number;
        break;
      case ValueType::kString:
        text = type.pattern ? words_.pattern : words_.string;
        break;
      case ValueType::kWord:
        text = std::string(words_.any_of_these);
        for (const std::string& word : type.words) text += (&word == &type.words.front() ? " `" : ", `") + word + "`";
        break;
      case ValueType::kObject:
        text = "[" + type.object().name + "]";
        break;
      case ValueType::kUnion:
        text = words_.item;
        break;
      case ValueType::kFreeMapping:
        text = words_.mapping;
        break;
    }
    if (type.list) text = std::string(type.single_or_list ? words_.one_or_list : words_.list_of) + text;
    if (field.rule.any()) text += ", " + Rule(field.rule);
    if (field.max_length > 0) text += ", ≤ " + std::to_string(field.max_length);
    if (field.nullable) text += ", " + std::string(words_.also_null);
    if (field.fixed) text += ", " + std::string(words_.fixed);
    return text;
  }

  // Interval notation reads the same in every language.
  static std::string Rule(const NumberRule& rule) {
    std::string text = rule.or_minus_one ? "−1, " : "";
    if (!rule.one_of.empty()) {
      for (int64_t each : rule.one_of) text += (text.empty() ? "" : ", ") + std::to_string(each);
      return text;
    }
    if (rule.power_of_two) return text + "2^n" + (rule.high ? " ≤ " + NumberText(*rule.high) : "");
    if (rule.low && rule.high) {
      return text + (rule.low_open ? "(" : "[") + NumberText(*rule.low) + ", " + NumberText(*rule.high) +
             (rule.high_open ? ")" : "]");
    }
    return text + (rule.low_open ? "> " : "≥ ") + NumberText(rule.low.value_or(0));
  }

  void FieldRow(const FieldSpec& field) {
    std::string value;
    if (field.required)
      value = words_.required;
    else if (!field.unset.en.empty())
      value = Say(field.unset);
    else if (!field.default_text.empty())
      value = "`" + field.default_text + "`";
    else
      value = words_.none;
    std::string meaning(Say(field.doc));
    if (field.since_26) meaning += " (" + std::string(words_.since) + ")";
    Row({"`" + field.name + "`", Type(field), value, meaning});
  }

  Language language_;
  const Words& words_;
  std::string text_;
};

void SpecPage(Page& page) {
  page.Title("spec");
  for (const auto* schema :
       {&SchemaOf<TextSpec>(), &SchemaOf<VlmSpec>(), &SchemaOf<SdSpec>(), &SchemaOf<PriorStage>(),
        &SchemaOf<SdConfig>(), &SchemaOf<DumpConfig>(), &SchemaOf<Metadata>(), &SchemaOf<Label>()}) {
    page.Heading(schema->name);
    page.Object(*schema);
  }
}

void UnionPage(Page& page, std::string_view title, const UnionSchema& schema) {
  page.Title(title);
  for (const UnionMember& member : schema.members) {
    if (!member.advertised) continue;
    page.Heading(member.type);
    if (member.since_26) page.Paragraph(page.words().since);
    if (page.Say(member.doc) != page.Say(member.schema().doc)) page.Paragraph(page.Say(member.doc));
    page.Object(member.schema());
    if (member.distributed && &schema == &ProcessorUnion()) page.Paragraph(page.words().distributed);
  }
}

void ProcessorPage(Page& page) {
  UnionPage(page, "process", ProcessorUnion());
  for (const auto* schema : {&SchemaOf<AutoroundStrategy>(), &SchemaOf<Fa3Details>()}) {
    page.Heading(schema->name);
    page.Object(*schema);
  }
}

void PairTable(Page& page, PairUse use) {
  page.Row({std::string(page.words().act), std::string(page.words().weight), std::string(page.words().becomes)});
  page.text() += "|---|---|---|\n";
  for (const LegalPair& pair : LegalPairs(use)) {
    page.Row({pair.act, pair.weight, std::string(QuantModeName(pair.mode))});
  }
  page.text() += "\n";
}

void QConfigPage(Page& page) {
  page.Title("qconfig");
  for (const auto* schema : {&SchemaOf<LinearQConfig>(), &SchemaOf<QConfig>(), &SchemaOf<QConfigExt>()}) {
    page.Heading(schema->name);
    page.Object(*schema);
  }
  page.Heading("linear_quant");
  PairTable(page, PairUse::kLinearQuant);
  page.Heading("autoround_quant");
  PairTable(page, PairUse::kAutoround);
}

void SaverPage(Page& page) { UnionPage(page, "save", SaverUnion()); }

void V0Page(Page& page) {
  page.Title("modelslim_v0");
  for (const auto* schema :
       {&SchemaOf<V0Spec>(), &SchemaOf<V0AntiConfig>(), &SchemaOf<V0FlexConfig>(), &SchemaOf<V0AntiParams>(),
        &SchemaOf<V0CalibConfig>(), &SchemaOf<V0CalibParams>(), &SchemaOf<V0SaveParams>()}) {
    page.Heading(schema->name);
    page.Object(*schema);
  }
}

}  // namespace

std::vector<std::string> WriteReferencePages(const fs::path& directory, bool write) {
  struct Entry {
    const char* name;
    void (*fill)(Page&);
  };
  constexpr Entry kPages[] = {{"spec.md", SpecPage},
                              {"process.md", ProcessorPage},
                              {"qconfig.md", QConfigPage},
                              {"save.md", SaverPage},
                              {"v0.md", V0Page}};
  std::vector<std::string> changed;
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const fs::path folder = directory / (language == Language::kEnglish ? "en" : "zh");
    if (write) MakeDirectories(folder);
    for (const Entry& entry : kPages) {
      Page page(language);
      entry.fill(page);
      const fs::path file = folder / entry.name;
      if (fs::exists(file) && ReadTextFile(file) == page.text()) continue;
      changed.push_back(file.string());
      if (write) WriteFileAtomically(file, page.text(), 0644);
    }
  }
  return changed;
}

}  // namespace modelslim
