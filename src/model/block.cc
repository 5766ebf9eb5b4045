#include "model/block.h"

#include "model/finite_watch.h"

#include <utility>

namespace modelslim {
namespace {

template <class Map>
auto* FindIn(Map& map, std::string_view name) {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : &found->second;
}

std::string FullName(const std::string& block, std::string_view suffix) {
  return block.empty() ? std::string(suffix) : block + "." + std::string(suffix);
}

// What several Linears made of one input, so that each form is computed once: views by the object that made them. The
// lists are as long as the number of Linears, so they are searched from the front.
class SharedInput {
 public:
  explicit SharedInput(const ConstView& x) : x_(x) {}

  const ConstView& Transformed(const InputTransform* transform) {
    if (transform == nullptr) return x_;
    return Remember(transform, [&] { return transform->Apply(x_); });
  }

  const ConstView& Staged(ActivationStage* stage, const ConstView& x, const RowGroups& groups) {
    if (stage == nullptr) return x;
    return Remember(stage, [&] { return stage->Apply(x, groups); });
  }

 private:
  template <class Make>
  const ConstView& Remember(const void* key, Make make) {
    for (const std::unique_ptr<Entry>& entry : entries_) {
      if (entry->key == key) return entry->view;
    }
    auto entry = std::make_unique<Entry>();
    entry->key = key;
    entry->value = make();
    entry->view = std::as_const(entry->value).view();
    entries_.push_back(std::move(entry));
    return entries_.back()->view;
  }

  struct Entry {
    const void* key = nullptr;
    Tensor value;
    ConstView view;
  };
  ConstView x_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

// Lets modules whose untouched stages would compute the same from the same input share one of them.
void ShareStages(std::span<LinearModule* const> modules) {
  for (size_t i = 1; i < modules.size(); ++i) {
    if (!modules[i]->forward()) continue;
    std::shared_ptr<ActivationStage>& mine = modules[i]->forward()->activation();
    for (size_t j = 0; mine && j < i; ++j) {
      if (!modules[j]->forward() || modules[j]->input_transform() != modules[i]->input_transform()) continue;
      const std::shared_ptr<ActivationStage>& other = modules[j]->forward()->activation();
      if (!other || other == mine) continue;
      if (mine->SameAs(*other)) {
        mine = other;
        break;
      }
    }
  }
}

}  // namespace

LinearModule* Block::FindLinear(std::string_view name) {
  auto* const found = FindIn(linears_, name);
  return found ? found->get() : nullptr;
}

NormModule* Block::FindNorm(std::string_view name) {
  auto* const found = FindIn(norms_, name);
  return found ? found->get() : nullptr;
}

Parameter* Block::FindParameter(std::string_view tensor_name) { return FindIn(parameters_, tensor_name); }

LinearModule& Block::linear(std::string_view suffix) {
  LinearModule* const found = FindLinear(FullName(name(), suffix));
  MODELSLIM_CHECK(found != nullptr);
  return *found;
}

NormModule& Block::norm(std::string_view suffix) {
  NormModule* const found = FindNorm(FullName(name(), suffix));
  MODELSLIM_CHECK(found != nullptr);
  return *found;
}

Parameter& Block::parameter(std::string_view suffix) {
  Parameter* const found = FindParameter(FullName(name(), suffix));
  MODELSLIM_CHECK(found != nullptr);
  return *found;
}

std::vector<LinearModule*> Block::linears() { return order_; }

void Block::Add(std::unique_ptr<LinearModule> module) {
  order_.push_back(module.get());
  const std::string name = module->name();
  linears_.emplace(name, std::move(module));
}

void Block::Add(std::unique_ptr<NormModule> module) {
  const std::string name = module->name();
  norms_.emplace(name, std::move(module));
}

void Block::Add(Parameter parameter) {
  const std::string name = parameter.name();
  parameters_.emplace(name, std::move(parameter));
}

std::vector<Tensor> ForwardLinears(std::span<LinearModule* const> modules, const ConstView& x, const RowGroups& groups,
                                   Keep keep) {
  ShareStages(modules);
  FiniteWatch* const watch = groups.watch;
  if (watch != nullptr) watch->Enter(modules.front()->name(), "input", x, groups);
  SharedInput input(x);
  std::vector<Tensor> results;
  results.reserve(modules.size());
  for (LinearModule* const module : modules) {
    const ConstView& transformed = input.Transformed(module->input_transform().get());
    for (InputObserver* const observer : module->observers()) observer->Observe(transformed, groups);
    if (!module->forward()) {
      results.push_back(module->FloatForward(transformed, keep));
    } else {
      const ConstView& staged = input.Staged(module->forward()->activation().get(), transformed, groups);
      results.push_back(module->forward()->Apply(*module, staged));
    }
    if (watch != nullptr) watch->Leave(module->name(), std::as_const(results.back()).view(), groups);
    module->Release(keep);
  }
  return results;
}

Tensor ForwardLinear(LinearModule& module, const ConstView& x, const RowGroups& groups, Keep keep) {
  LinearModule* const one[] = {&module};
  return std::move(ForwardLinears(one, x, groups, keep).front());
}

void ObserveKeysAndValues(const ForwardContext& context, const std::string& attention, const ConstView& keys,
                          const ConstView& values) {
  if (context.kv == nullptr) return;
  if (FiniteWatch* const watch = context.groups.watch) {
    watch->Enter(attention, "keys", keys, context.groups);
    watch->Enter(attention, "values", values, context.groups);
  }
  context.kv->Observe(attention, keys, values, context.groups);
}

}  // namespace modelslim
