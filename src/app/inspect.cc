#include "app/inspect.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <string>

#include "base/words.h"
#include "io/json.h"
#include "model/architectures.h"
#include "model/family.h"

namespace modelslim {
namespace {

JsonArray ToJson(const std::vector<std::string_view>& names) {
  JsonArray array;
  for (const std::string_view name : names) array.push_back(Json(name));
  return array;
}

}  // namespace

void ListModels(bool json, std::ostream& out) {
  if (json) {
    Json list{JsonArray()};
    for (const FamilyEntry& entry : Families()) {
      Json item{JsonObject()};
      item["adapter"] = Json(entry.adapter);
      item["practices"] = Json(entry.pedigree);
      item["model_types"] = Json(ToJson(entry.model_types));
      item["config_types"] = Json(ToJson(entry.config_types));
      list.Append(std::move(item));
    }
    for (const ArchitectureRow& row : ArchitectureRows()) {
      Json item{JsonObject()};
      item["architecture"] = Json(row.name);
      item["known_by"] = Json("names");
      item["model_types"] = Json(JsonArray());  // --model_type names adapters, which these have not
      item["config_types"] = Json(ToJson(row.types));
      item["source"] = Json(CertaintyName(row.sure));
      list.Append(std::move(item));
    }
    out << list.Dump(2) << "\n";
    return;
  }
  for (const FamilyEntry& entry : Families()) {
    fmt::print(out, "{}\n  --model_type          {}\n  config.json model_type {}\n", entry.adapter,
               entry.model_types.empty() ? "any other name" : Joined(entry.model_types), Joined(entry.config_types));
  }
  fmt::print(out, "\nknown by name: recipes that need no data; what stays float is set for the architecture\n");
  for (const ArchitectureRow& row : ArchitectureRows()) {
    fmt::print(out, "  {:<24} config.json model_type {} (known from {})\n", row.name, Joined(row.types),
               CertaintyName(row.sure));
  }
  fmt::print(out,
             "\nall others, by their headers only: recipes that need no data; 'modelslim plan' shows what becomes of "
             "every group of names\n");
}

}  // namespace modelslim
