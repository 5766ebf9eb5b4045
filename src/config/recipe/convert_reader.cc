#include <optional>
#include <regex>
#include <utility>

#include "base/words.h"
#include "config/recipe/convert.h"
#include "config/recipe/convert_forms.h"
#include "config/recipe/reader.h"
#include "config/recipe/recipe.h"
#include "io/yaml.h"

namespace modelslim {
namespace {

std::string FormNames() {
  std::vector<std::string_view> names;
  for (const FormName& each : kForms) names.push_back(each.name);
  return Joined(names);
}

bool IsEdge(ConvertForm from, ConvertForm to) {
  if (to == ConvertForm::kFloat) return from == ConvertForm::kFp8Block || from == ConvertForm::kInt4Packed;
  return from == ConvertForm::kFloat && to == ConvertForm::kMxfp8;
}

class ConvertReader {
 public:
  ConvertReader(const std::string& name, Diagnostics& diagnostics) : reader_(name, diagnostics, values_) {}

  ConvertSpec Read(std::string_view text) {
    const YamlDocument document = ParseYaml(text);
    for (const YamlProblem& problem : document.problems) Wrong(problem.pos, problem.message, problem.tip);
    if (!document.root || document.root->kind != YamlKind::kMapping) return std::move(spec_);
    const YamlEntry* const spec = document.root->Find("spec");
    if (spec == nullptr || spec->value->kind == YamlKind::kNull) return std::move(spec_);
    const Reader::Step step(reader_, "spec");
    ReadSpec(*spec->value);
    return std::move(spec_);
  }

 private:
  void Wrong(SourcePos pos, const std::string& message, const std::string& tip = "",
             ErrorCode code = ErrorCode::kSchema) {
    Remark remark;
    remark.tip = tip;
    remark.code = code;
    reader_.Error(pos, message, std::move(remark));
  }

  bool Is(const YamlNode& node, YamlKind kind) {
    if (node.kind == kind) return true;
    reader_.WrongType(node, YamlKindName(kind));
    return false;
  }

  // Calls read(key, value, key_pos) for each entry, with the path at the key.
  template <class Read>
  void Each(const YamlNode& mapping, Read read) {
    if (!Is(mapping, YamlKind::kMapping)) return;
    for (const YamlEntry& entry : mapping.entries) {
      const Reader::Step step(reader_, entry.key);
      read(entry.key, *entry.value, entry.key_pos);
    }
  }

  template <class Read>
  void Items(const YamlNode& list, Read read) {
    if (list.kind == YamlKind::kNull || !Is(list, YamlKind::kSequence)) return;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const Reader::Step step(reader_, i);
      read(*list.items[i]);
    }
  }

  std::vector<std::string> Strings(const YamlNode& list) {
    std::vector<std::string> strings;
    Items(list, [&](const YamlNode& item) {
      if (Is(item, YamlKind::kString)) strings.push_back(item.text);
    });
    return strings;
  }

  void ReadSpec(const YamlNode& node) {
    Each(node, [&](const std::string& key, const YamlNode& value, SourcePos) {
      if (key == "linears") Items(value, [&](const YamlNode& item) { ReadLinear(item); });
      if (key == "preprocess") Items(value, [&](const YamlNode& item) { ReadPreprocess(item); });
      if (key == "save") ReadSave(value);
    });
  }

  std::optional<ConvertForm> ReadForm(const YamlNode& node, bool makes) {
    if (!Is(node, YamlKind::kString)) return std::nullopt;
    for (const FormName& each : kForms) {
      if (each.name != node.text) continue;
      const bool made = each.form && (each.form == ConvertForm::kFloat || each.form == ConvertForm::kMxfp8);
      if (made || (!makes && each.form)) return each.form;
      Wrong(node.pos, node.text + " cannot be made: no conversion leads there", "take FLOAT or W8A8_MXFP8",
            ErrorCode::kUnsupported);
      return std::nullopt;
    }
    Wrong(node.pos, "expected one of " + FormNames() + ", found '" + node.text + "'");
    return std::nullopt;
  }

  void ReadLinear(const YamlNode& node) {
    ConvertLinear linear;
    linear.pos = node.pos;
    linear.path = reader_.path();
    bool has_target = false, complete = true;
    const size_t before = reader_.error_count();
    Each(node, [&](const std::string& key, const YamlNode& value, SourcePos pos) {
      if (key == "match") {
        linear.match = Strings(value);
      } else if (key == "target") {
        has_target = true;
        linear.target = ReadForm(value, /*makes=*/true).value_or(ConvertForm::kFloat);
      } else if (key == "route") {
        complete = ReadRoute(value, &linear) && complete;
      } else {
        Wrong(pos, "unknown key '" + key + "'; expected match, target or route");
      }
    });
    if (!has_target) Wrong(node.pos, "the key target is missing");
    if (reader_.error_count() == before && complete) CheckRoute(linear);
    spec_.linears.push_back(std::move(linear));
  }

  bool ReadRoute(const YamlNode& node, ConvertLinear* linear) {
    if (node.kind == YamlKind::kString && node.text == "auto") return true;
    if (node.kind != YamlKind::kSequence || node.items.empty()) {
      Wrong(node.pos, "expected auto or a list of forms that begins with the source's");
      return false;
    }
    Items(node, [&](const YamlNode& item) {
      if (const std::optional<ConvertForm> form = ReadForm(item, /*makes=*/false)) linear->route.push_back(*form);
    });
    return linear->route.size() == node.items.size();
  }

  void CheckRoute(const ConvertLinear& linear) {
    if (linear.route.empty()) return;
    if (linear.route.back() != linear.target) {
      return Wrong(linear.pos, "the route ends at " + std::string(ConvertFormName(linear.route.back())) +
                                   " and the target is " + std::string(ConvertFormName(linear.target)));
    }
    for (size_t i = 1; i < linear.route.size(); ++i) {
      if (linear.route[i - 1] == linear.route[i] || IsEdge(linear.route[i - 1], linear.route[i])) continue;
      return Wrong(linear.pos,
                   "nothing leads from " + std::string(ConvertFormName(linear.route[i - 1])) + " to " +
                       std::string(ConvertFormName(linear.route[i])),
                   "go through FLOAT", ErrorCode::kUnsupported);
    }
  }

  void ReadPreprocess(const YamlNode& node) {
    std::string type;
    Each(node, [&](const std::string& key, const YamlNode& value, SourcePos pos) {
      if (key == "type" && Is(value, YamlKind::kString)) type = value.text;
      if (key == "patterns") Items(value, [&](const YamlNode& item) { ReadRename(item); });
      if (key == "source") sources_ = value.kind == YamlKind::kString ? std::vector{value.text} : Strings(value);
      if (key == "ops") Items(value, [&](const YamlNode& item) { ReadOp(item); });
      const bool known = key == "type" || key == "patterns" || key == "ops" || key == "source" || key == "target";
      if (!known) Wrong(pos, "unknown key '" + key + "'");
    });
    if (type != "rename" && type != "convert") Wrong(node.pos, "expected type rename or convert, found '" + type + "'");
  }

  void ReadRename(const YamlNode& node) {
    ConvertRename rename;
    Each(node, [&](const std::string& key, const YamlNode& value, SourcePos) {
      if (key == "from" && Is(value, YamlKind::kString)) rename.from = value.text;
      if (key == "to" && Is(value, YamlKind::kString)) rename.to = value.text;
    });
    if (rename.from.empty()) Wrong(node.pos, "a rename needs from and to");
    ConvertSpec one;
    one.renames = {rename};
    try {
      Renamed(one, "");
    } catch (const std::regex_error&) {
      Wrong(node.pos, "from: '" + rename.from + "' is no regular expression that is known here");
      return;
    }
    spec_.renames.push_back(std::move(rename));
  }

  void ReadOp(const YamlNode& node) {
    ConvertChunk chunk;
    chunk.source = sources_.empty() ? "*.mlp.experts.gate_up_proj" : sources_.front();
    std::string type;
    int64_t dim = 1;
    Each(node, [&](const std::string& key, const YamlNode& value, SourcePos) {
      if (key == "type" && Is(value, YamlKind::kString)) type = value.text;
      if (key == "dim" && Is(value, YamlKind::kInt)) dim = value.integer;
      if (key == "projections") chunk.projections = Strings(value);
    });
    if (type != "chunk") {
      return Wrong(node.pos, "ops: '" + type + "' is not available; only chunk is", "", ErrorCode::kUnsupported);
    }
    if (dim != 0) {
      return Wrong(node.pos, "chunk: only dim 0, the rows of an expert, can be cut, found dim " + std::to_string(dim),
                   "write dim: 0 for stacks [experts, 2 * width, hidden]", ErrorCode::kUnsupported);
    }
    if (chunk.projections.empty()) chunk.projections = {"gate_proj", "up_proj"};
    spec_.chunks.push_back(std::move(chunk));
  }

  void ReadSave(const YamlNode& node) {
    bool first = true;
    Items(node, [&](const YamlNode& item) {
      if (!std::exchange(first, false)) return;
      Each(item, [&](const std::string& key, const YamlNode& value, SourcePos pos) {
        if (key == "type" && Is(value, YamlKind::kString)) CheckSaver(LowerAscii(value.text), pos);
        if (key == "part_file_size" && Is(value, YamlKind::kInt)) spec_.part_file_size = value.integer;
        if (key == "part_file_size" && spec_.part_file_size < 0) Wrong(value.pos, "part_file_size is negative");
      });
    });
  }

  void CheckSaver(const std::string& type, SourcePos pos) {
    if (type == "ascend_v1" || type == "ascendv1" || type == "ascendv1_saver") return;
    if (type == "huggingface" || type == "hf" || type == "compressed_tensors") {
      return Wrong(pos, "save type " + type + ": this version writes conversions as ascend_v1 only",
                   "write type: ascend_v1", ErrorCode::kToDo);
    }
    Wrong(pos, "unknown save type '" + type + "'; expected ascend_v1");
  }

  std::vector<EffectiveValue> values_;
  Reader reader_;
  ConvertSpec spec_;
  std::vector<std::string> sources_;
};

}  // namespace

ConvertSpec ReadConversion(std::string_view text, const std::string& name, Diagnostics& diagnostics) {
  ConvertSpec spec = ConvertReader(name, diagnostics).Read(text);
  diagnostics.Sort();
  return spec;
}

}  // namespace modelslim
