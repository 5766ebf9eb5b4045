#include "app/plan_text.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <map>
#include <utility>

#include "app/names_text.h"
#include "base/progress.h"
#include "base/words.h"
#include "io/json_writer.h"
#include "plan/lost_tensors.h"

namespace modelslim {
namespace {

struct TypeRow {
  int64_t linears = 0;
  uint64_t weights = 0;  // elements
};

std::map<std::string, TypeRow> CountTypes(const RunPlan& plan) {
  std::map<std::string, TypeRow> rows;
  for (const BlockInfo& block : plan.family->layout().blocks) {
    for (const ModuleInfo& module : block.modules) {
      if (module.kind != ModuleKind::kLinear) continue;
      TypeRow& row = rows[std::string(plan.format->TypeName(plan.model.decisions.linear(module.name).mode))];
      ++row.linears;
      row.weights += static_cast<uint64_t>(module.out_features() * module.in_features());
    }
  }
  return rows;
}

uint64_t BytesRead(const RunPlan& plan) {
  uint64_t bytes = 0;
  for (const BlockCost& cost : plan.blocks) bytes += cost.bytes_read;
  return bytes;
}

void PrintSteps(const RunPlan& plan, std::ostream& out) {
  std::map<std::string, std::map<std::string, int64_t>> made;  // entry -> type -> layers
  for (const auto& [name, decision] : plan.model.decisions.linears) {
    if (!decision.by.empty()) ++made[decision.by][std::string(plan.format->TypeName(decision.mode))];
  }
  const auto print = [&](const std::string& path, const std::string& type, std::string_view needs) {
    std::string what;
    for (const auto& [mode, count] : made[path])
      what += fmt::format("{}{} layers -> {}", what.empty() ? "" : ", ", count, mode);
    fmt::print(out, "  {:<28} {:<18} {:<12} {}\n", path, type, needs, what);
  };
  size_t steps = 0;
  for (const PlannedStage& stage : plan.stages) steps += stage.steps.size();
  for (const PlannedStage& stage : plan.stages) {
    for (const auto& processor : stage.steps) {
      print(processor->path(), processor->type(),
            !processor->NeedsData()      ? "no data"
            : processor->ForwardsAgain() ? "two passes"
                                         : "one pass");
      // Members of a group are decided under their own paths.
      for (const auto& [path, types] : made) {
        if (path.starts_with(processor->path() + ".configs")) print(path, "  in the group", "");
      }
    }
  }
  if (steps == 0) fmt::print(out, "  none: the recipe has no processors\n");
}

// Says how many tokens an expert can hope for where a step has to see its input.
void PrintExperts(const RunPlan& plan, const TokenBatch& batch, std::ostream& out) {
  int64_t layers = 0;
  Family::ExpertCount count;
  for (const BlockInfo& block : plan.family->layout().blocks) {
    const Family::ExpertCount here = plan.family->Experts(block.index);
    if (here.experts == 0) continue;
    ++layers;
    count = here;
  }
  if (layers == 0) return;
  fmt::print(out,
             "experts  {} in each of {} layers, {} for a token: {:.0f} calibration tokens for one on the average\n",
             count.experts, layers, count.chosen,
             static_cast<double>(batch.offsets.back() * count.chosen) / static_cast<double>(count.experts));
}

void PrintData(const RunPlan& plan, const StageBatches& batches, std::ostream& out) {
  const TokenBatch* last = nullptr;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i] == nullptr) continue;
    last = batches[i];
    const PlannedStage& stage = plan.stages[i];
    fmt::print(out, "data     {}{} samples, {} tokens, {} through every layer\n",
               plan.stages.size() > 1 ? stage.name + ": " : "", last->samples(), last->offsets.back(),
               stage.passes == 1 ? "1 pass" : fmt::format("{} passes", stage.passes));
  }
  if (last == nullptr)
    fmt::print(out, "data     none needed\n");
  else
    PrintExperts(plan, *last, out);
}

// A row for each stage; samples and tokens beside them are those of the last stage that has any.
void AddData(const RunPlan& plan, const StageBatches& batches, Json& json) {
  const TokenBatch* last = nullptr;
  json["stages"] = Json(JsonArray());
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    if (batches[i] != nullptr) last = batches[i];
    Json entry{JsonObject()};
    entry["name"] = Json(plan.stages[i].name);
    entry["passes"] = Json(plan.stages[i].passes);
    entry["samples"] = Json(batches[i] != nullptr ? batches[i]->samples() : int64_t{0});
    entry["tokens"] = Json(batches[i] != nullptr ? batches[i]->offsets.back() : int64_t{0});
    json["stages"].Append(std::move(entry));
  }
  json["needs_data"] = Json(plan.needs_data());
  json["passes"] = Json(plan.passes());
  json["samples"] = Json(last != nullptr ? last->samples() : int64_t{0});
  json["tokens"] = Json(last != nullptr ? last->offsets.back() : int64_t{0});
}

void PrintTensors(const RunPlan& plan, std::ostream& out) {
  fmt::print(out, "\ntensors\n");
  for (const OutputTensor& tensor : plan.layout.tensors) {
    fmt::print(out, "  {:<72} {:<9} {:<18} {:<22} {:>12} {}+{}\n", tensor.name, DTypeName(tensor.dtype),
               ShapeText(tensor.shape), tensor.type.empty() ? "-" : tensor.type, tensor.bytes(),
               plan.layout.shards[tensor.shard].file, tensor.offset);
  }
}

Json FloatShareJson(const FloatShare& share) {
  Json json{JsonArray()};
  for (const FloatShare::Part& part : share.parts) {
    Json entry{JsonObject()};
    entry["reason"] = Json(part.reason);
    entry["parameters"] = Json(part.parameters);
    entry["tensors"] = Json(part.tensors);
    entry["example"] = Json(part.example);
    json.Append(std::move(entry));
  }
  return json;
}

}  // namespace

void PrintPlan(const Session& session, const StageBatches& batches, const PlanTextOptions& options, std::ostream& out) {
  const RunPlan& plan = session.plan;
  const ModelLayout& layout = session.family->layout();
  fmt::print(out, "model    {} ({}), {} layers, {}, {} of weights\n", session.arguments.model_path.string(),
             session.family->name(), layout.blocks.size(), DTypeName(layout.dtype),
             FormatBytes(session.checkpoint->total_bytes()));
  fmt::print(out, "recipe   {}\n", session.recipe_name);
  fmt::print(out, "steps\n");
  PrintSteps(plan, out);
  fmt::print(out, "layers\n");
  for (const auto& [type, row] : CountTypes(plan)) {
    fmt::print(out, "  {:<22} {:>6} linear layers, {:.3f} billion weights\n", type, row.linears,
               static_cast<double>(row.weights) * 1e-9);
  }
  fmt::print(out, "float    {}\n", FloatShareText(plan.floats));
  PrintNames(plan, out);
  PrintData(plan, batches, out);
  if (plan.writes) {
    fmt::print(out, "output   {}, model_quant_type {}, {} tensors, {} in {}\n",
               session.arguments.save_path.empty() ? "(no --save_path given)" : session.arguments.save_path.string(),
               plan.summary.model_quant_type, plan.layout.tensors.size(), FormatBytes(plan.layout.total_size),
               Counted(plan.layout.shards.size(), "file"));
  } else {
    fmt::print(out, "output   nothing is written\n");
  }
  fmt::print(out, "costs    reads {}, writes {}, at most about {} of memory\n", FormatBytes(BytesRead(plan)),
             FormatBytes(plan.writes ? plan.layout.total_size : 0), FormatBytes(options.peak_memory));
  if (!plan.unused.empty()) fmt::print(out, "warning  not in the output:\n");
  for (const std::string& line : LossLines(plan.unused)) fmt::print(out, "         {}\n", line);
  for (const PlanNote& note : plan.model.notes.all()) {
    fmt::print(out, "{}  {}: {}\n", note.kind == PlanNote::Kind::kWarning ? "warning" : "note   ", note.where,
               note.text);
  }
  if (options.tensors) PrintTensors(plan, out);
}

std::string PlanJson(const Session& session, const StageBatches& batches, const PlanTextOptions& options) {
  const RunPlan& plan = session.plan;
  Json json{JsonObject()};
  json["model_path"] = Json(session.arguments.model_path.string());
  json["family"] = Json(session.family->name());
  json["dtype"] = Json(DTypeName(session.family->layout().dtype));
  json["recipe"] = Json(session.recipe_name);
  json["layers"] = Json(static_cast<int64_t>(session.family->layout().blocks.size()));
  AddData(plan, batches, json);
  json["bytes_read"] = Json(BytesRead(plan));
  json["bytes_written"] = Json(plan.writes ? plan.layout.total_size : uint64_t{0});
  json["peak_memory"] = Json(options.peak_memory);
  json["model_quant_type"] = Json(plan.summary.model_quant_type);
  for (const auto& [name, decision] : plan.model.decisions.linears) {
    Json entry{JsonObject()};
    entry["type"] = Json(plan.format->TypeName(decision.mode));
    entry["by"] = Json(decision.by);
    if (!decision.shadowed.empty())
      entry["shadowed"] = Json(JsonArray(decision.shadowed.begin(), decision.shadowed.end()));
    json["linears"][name] = std::move(entry);
  }
  json["float_share"] = FloatShareJson(plan.floats);
  if (!plan.family->HasForward()) {
    json["float_bytes"] = Json(FloatPercent(plan) / 100);
    json["names"] = NamesJson(plan);
  }
  json["notes"] = Json(JsonArray());
  for (const PlanNote& note : plan.model.notes.all()) {
    Json entry{JsonObject()};
    entry["kind"] = Json(note.kind == PlanNote::Kind::kWarning ? "warning" : "note");
    entry["where"] = Json(note.where);
    entry["text"] = Json(note.text);
    json["notes"].Append(std::move(entry));
  }
  json["unused_tensors"] = Json(JsonArray());
  for (const UnusedTensors& group : plan.unused) {
    for (const CheckpointTensor* const tensor : group.tensors) {
      Json entry{JsonObject()};
      entry["name"] = Json(tensor->name);
      entry["bytes"] = Json(tensor->bytes);
      entry["reason"] = Json(group.reason);
      json["unused_tensors"].Append(std::move(entry));
    }
  }
  json["files"] = Json(JsonArray());
  for (const OutputShard& shard : plan.layout.shards) json["files"].Append(Json(shard.file));
  if (options.tensors) {
    json["tensors"] = Json(JsonArray());
    for (const OutputTensor& tensor : plan.layout.tensors) {
      Json entry{JsonObject()};
      entry["name"] = Json(tensor.name);
      entry["dtype"] = Json(DTypeName(tensor.dtype));
      entry["shape"] = Json(JsonArray(tensor.shape.begin(), tensor.shape.end()));
      entry["type"] = Json(tensor.type);
      entry["file"] = Json(plan.layout.shards[tensor.shard].file);
      entry["offset"] = Json(tensor.offset);
      json["tensors"].Append(std::move(entry));
    }
  }
  return json.Dump(2, /*ensure_ascii=*/false);
}

}  // namespace modelslim
