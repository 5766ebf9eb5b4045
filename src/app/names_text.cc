#include "app/names_text.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/progress.h"
#include "model/name_parts.h"

namespace modelslim {
namespace {

struct NameGroup {
  std::string pattern, shape, becomes, why;
  int64_t count = 0;
  uint64_t bytes = 0;
};

uint64_t BytesOf(const ParamInfo& param) {
  return static_cast<uint64_t>(NumElements(param.shape)) * DTypeSize(param.dtype);
}

class Grouper {
 public:
  explicit Grouper(const RunPlan& plan) : plan_(plan) {}

  std::vector<NameGroup> Run() {
    const ModelLayout& layout = plan_.family->layout();
    for (const BlockInfo& block : layout.blocks) {
      for (const ModuleInfo& module : block.modules) Add(module);
    }
    for (const ModuleInfo& module : layout.rest) Add(module);
    return std::move(groups_);
  }

 private:
  void Add(const ModuleInfo& module) {
    const auto decision = plan_.model.decisions.linears.find(module.name);
    for (const ParamInfo& param : module.params) {
      std::string becomes = "copied", why;
      if (decision != plan_.model.decisions.linears.end()) {
        becomes = plan_.format->TypeName(decision->second.mode);
        if (decision->second.by.empty()) why = module.kept_float ? module.kept_float->reason : "no entry selects it";
      } else if (module.kind == ModuleKind::kLinear) {
        why = "outside of the layers";
      }
      AddTo(PatternOf(param.name), ShapeText(param.shape), becomes, why, BytesOf(param));
    }
  }

  void AddTo(const std::string& pattern, const std::string& shape, const std::string& becomes, const std::string& why,
             uint64_t bytes) {
    const auto [place, fresh] = places_.emplace(std::tuple(pattern, shape, becomes, why), groups_.size());
    if (fresh) groups_.push_back({pattern, shape, becomes, why});
    NameGroup& group = groups_[place->second];
    ++group.count;
    group.bytes += bytes;
  }

  const RunPlan& plan_;
  std::vector<NameGroup> groups_;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, size_t> places_;
};

}  // namespace

double FloatPercent(const RunPlan& plan) {
  double kept = 0, all = 0;
  for (const NameGroup& group : Grouper(plan).Run()) {
    const bool stays = group.becomes == "copied" || group.becomes == "FLOAT";
    kept += stays ? static_cast<double>(group.bytes) : 0;
    all += static_cast<double>(group.bytes);
  }
  return all == 0 ? 0 : 100 * kept / all;
}

void PrintNames(const RunPlan& plan, std::ostream& out) {
  if (plan.family->HasForward()) return;
  fmt::print(out, "names    what becomes of them, how many, shape, bytes\n");
  for (const NameGroup& group : Grouper(plan).Run()) {
    fmt::print(out, "  {:<14} {:>6} x {:<16} {:>10}  {}{}\n", group.becomes, group.count, group.shape,
               FormatBytes(group.bytes), group.pattern, group.why.empty() ? "" : "  (" + group.why + ")");
  }
  fmt::print(out, "bytes    {:.2f} % stay float or are copied\n", FloatPercent(plan));
}

Json NamesJson(const RunPlan& plan) {
  Json list{JsonArray()};
  for (const NameGroup& group : Grouper(plan).Run()) {
    Json entry{JsonObject()};
    entry["names"] = Json(group.pattern);
    entry["becomes"] = Json(group.becomes);
    if (!group.why.empty()) entry["why"] = Json(group.why);
    entry["count"] = Json(group.count);
    entry["shape"] = Json(group.shape);
    entry["bytes"] = Json(group.bytes);
    list.Append(std::move(entry));
  }
  return list;
}

}  // namespace modelslim
