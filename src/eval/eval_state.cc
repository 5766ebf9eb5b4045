#include "eval/eval_state.h"

#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace modelslim {
namespace {

constexpr const char* kStateFile = "state.json";

double NumberOf(const Json& object, std::string_view key) {
  const Json* const value = object.Find(key);
  return value == nullptr ? 0 : value->number().value_or(0);
}

}  // namespace

EvalState::EvalState(fs::path directory, std::string identity)
    : directory_(std::move(directory)), identity_(std::move(identity)) {
  if (directory_.empty()) return;
  MakeDirectories(directory_);
  if (!fs::exists(directory_ / kStateFile)) return;
  Json state;
  try {
    state = ReadJson(directory_ / kStateFile);
  } catch (const Error&) {
    return;  // none of ours: it is written anew
  }
  const Json* const of = state.Find("evaluation");
  if (of == nullptr || of->string() == nullptr || *of->string() != identity_) return;
  resumed_ = true;
  blocks_ = static_cast<int>(NumberOf(state, "blocks"));
  const Json* const layers = state.Find("layers");
  if (layers == nullptr || layers->array() == nullptr) return;
  for (const Json& layer : *layers->array()) {
    const Json* const block = layer.Find("block");
    if (block == nullptr || block->string() == nullptr) continue;
    layers_.push_back({*block->string(), NumberOf(layer, "streamed"), NumberOf(layer, "forced")});
  }
}

void EvalState::Save(int blocks, const std::vector<LayerError>& layers) const {
  if (directory_.empty()) return;
  Json state{JsonObject()};
  state["evaluation"] = Json(identity_);
  state["blocks"] = Json(blocks);
  state["layers"] = Json(JsonArray());
  for (const LayerError& layer : layers) {
    Json entry{JsonObject()};
    entry["block"] = Json(layer.block);
    entry["streamed"] = Json(layer.streamed);
    entry["forced"] = Json(layer.forced);
    state["layers"].Append(std::move(entry));
  }
  WriteFileAtomically(directory_ / kStateFile, state.Dump());
}

void EvalState::Remove() const {
  if (directory_.empty()) return;
  std::error_code ignored;
  for (const char* const name : {kStateFile, "model-0", "model-1", "reference-0", "reference-1"})
    fs::remove(directory_ / name, ignored);
  fs::remove(directory_, ignored);  // where nothing else is in it
}

}  // namespace modelslim
