#include "app/report.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "app/report_assets.h"
#include "base/error.h"
#include "base/installation.h"
#include "format/saved_output.h"
#include "io/json.h"
#include "runner/ledger.h"

namespace modelslim {
namespace {

std::string TextOf(const Json& object, std::string_view key) {
  const Json* const value = object.Find(key);
  return value == nullptr || value->string() == nullptr ? "" : *value->string();
}

// A finite number, or null: the page's reader of JSON knows no NaN.
Json NumberOf(const Json* value) {
  const std::optional<double> number = value == nullptr ? std::nullopt : value->number();
  return number && std::isfinite(*number) ? Json(*number) : Json();
}

const JsonArray* ListOf(const Json& object, std::string_view key) {
  const Json* const value = object.Find(key);
  return value == nullptr ? nullptr : value->array();
}

// The layers of a ledger, as far as they are what they should be.
Json Layers(const Json& ledger) {
  constexpr std::string_view kNumbers[] = {"weight_error", "max_abs_error", "output_error", "clipped_share",
                                           "scale_min",    "scale_max",     "input_scale",  "input_offset"};
  Json layers{JsonArray()};
  const JsonArray* const listed = ListOf(ledger, "tensors");
  if (listed == nullptr) return layers;
  for (const Json& entry : *listed) {
    if (entry.object() == nullptr) continue;
    Json layer{JsonObject()};
    for (const char* const key : {"name", "type", "by"}) layer[key] = Json(TextOf(entry, key));
    for (const std::string_view key : kNumbers) {
      if (entry.Find(key) != nullptr) layer[std::string(key)] = NumberOf(entry.Find(key));
    }
    layers.Append(std::move(layer));
  }
  return layers;
}

Json Experts(const Json& ledger) {
  Json layers{JsonArray()};
  const JsonArray* const listed = ListOf(ledger, "experts");
  if (listed == nullptr) return layers;
  for (const Json& entry : *listed) {
    const JsonArray* const tokens = entry.object() == nullptr ? nullptr : ListOf(entry, "tokens");
    if (tokens == nullptr || tokens->empty()) continue;
    Json layer{JsonObject()};
    layer["experts"] = Json(TextOf(entry, "experts"));
    layer["tokens"] = Json(JsonArray());
    for (const Json& count : *tokens) layer["tokens"].Append(Json(count.number().value_or(0)));
    layers.Append(std::move(layer));
  }
  return layers;
}

Json NotFinite(const Json& ledger) {
  Json tensors{JsonArray()};
  const JsonArray* const listed = ListOf(ledger, "not_finite");
  if (listed == nullptr) return tensors;
  for (const Json& entry : *listed) {
    if (entry.object() == nullptr) continue;
    Json tensor{JsonObject()};
    tensor["name"] = Json(TextOf(entry, "name"));
    tensor["value"] = Json(TextOf(entry, "value"));
    tensor["index"] = NumberOf(entry.Find("index"));
    tensors.Append(std::move(tensor));
  }
  return tensors;
}

// The evaluation without numbers that are none.
Json Cleaned(const Json& value) {
  if (const JsonObject* const object = value.object()) {
    Json made{JsonObject()};
    for (const JsonMember& member : *object) made[member.key] = Cleaned(member.value);
    return made;
  }
  if (const JsonArray* const array = value.array()) {
    Json made{JsonArray()};
    for (const Json& each : *array) made.Append(Cleaned(each));
    return made;
  }
  if (value.string() != nullptr) return Json(*value.string());
  return NumberOf(&value);
}

// Types of matrices by layer, and elements by type.
void AddTypes(const SavedOutput& output, Json* data) {
  constexpr std::string_view kWeight = ".weight";
  Json types{JsonObject()};
  std::map<std::string, double> parameters;
  Problems ignored;
  std::map<std::string, double> sizes;  // of packed matrices the tensors do not tell
  for (const SavedLinear& linear : output.CheckLinears(ignored))
    sizes[linear.name] = static_cast<double>(linear.out) * static_cast<double>(linear.in);
  for (const CheckpointTensor& tensor : output.weights().tensors()) {
    if (!tensor.name.ends_with(kWeight)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    const std::string type = output.TypeOf(tensor.name);
    if (type.empty()) continue;
    const auto size = sizes.find(name);
    parameters[type] += size != sizes.end() ? size->second : static_cast<double>(NumElements(tensor.shape));
    if (tensor.shape.size() == 2) types[name] = Json(type);
  }
  (*data)["types"] = std::move(types);
  (*data)["parameters"] = Json(JsonObject());
  for (const auto& [type, count] : parameters) (*data)["parameters"][type] = Json(count);
}

Json DataOf(const SavedOutput& output, const ReportArguments& arguments) {
  const SavedSummary summary = output.Summary();
  Json data{JsonObject()};
  const fs::path absolute = fs::weakly_canonical(arguments.output);
  data["name"] = Json(absolute.filename().string());
  data["program"] = Json(kProgramVersion);
  data["model_quant_type"] = Json(summary.model_quant_type);
  data["group_size"] = Json(summary.group_size);
  data["bytes"] = Json(output.weights().total_bytes());
  data["tensor_count"] = Json(output.weights().tensors().size());
  data["model_type"] = Json("");
  if (fs::exists(output.PathOf("config.json"))) {
    const Json config = ReadJson(output.PathOf("config.json"));
    if (config.object() != nullptr) data["model_type"] = Json(TextOf(config, "model_type"));
  }
  Json ledger{JsonObject()};
  if (fs::exists(output.PathOf(kLedgerFile))) ledger = ReadJson(output.PathOf(kLedgerFile));
  if (ledger.object() == nullptr) ledger = Json(JsonObject());
  AddTypes(output, &data);
  data["tensors"] = Layers(ledger);
  data["experts"] = Experts(ledger);
  data["not_finite"] = NotFinite(ledger);
  data["floats"] = Json(JsonArray());
  if (const JsonArray* const floats = ListOf(ledger, "float_share")) {
    for (const Json& part : *floats) {
      if (part.object() == nullptr) continue;
      const double share = part.Find("share") == nullptr ? 0 : part.Find("share")->number().value_or(0);
      data["floats"].Append(Json(fmt::format("{:.1f} % {}", 100 * share, TextOf(part, "reason"))));
    }
  }
  data["evaluation"] = arguments.evaluation.empty() ? Json() : Cleaned(ReadJson(arguments.evaluation));
  return data;
}

// JSON that may stand in a script element: nothing in it can end the element.
std::string ForScript(const Json& data) {
  std::string text;
  for (const char c : data.Dump()) {
    if (c == '<') {
      text += "\\u003c";
    } else if (c == '&') {
      text += "\\u0026";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

fs::path WriteReport(const ReportArguments& arguments) {
  const std::unique_ptr<SavedOutput> output = OpenSaved(arguments.output);
  const std::string data = ForScript(DataOf(*output, arguments));
  const std::pair<std::string_view, std::string_view> parts[] = {
      {"@CSS@", ReportStyle()}, {"@DATA@", data}, {"@CHART@", ChartScript()}, {"@JS@", ReportScript()}};
  std::string page;
  std::string_view rest = ReportPage();
  for (const auto& [mark, part] : parts) {  // they come in this order
    const size_t at = rest.find(mark);
    MODELSLIM_CHECK(at != std::string_view::npos);
    page.append(rest.substr(0, at)).append(part);
    rest.remove_prefix(at + mark.size());
  }
  page.append(rest);
  const fs::path file = arguments.file.empty() ? arguments.output / kReportFile : arguments.file;
  WriteFileAtomically(file, page);
  return file;
}

}  // namespace modelslim
