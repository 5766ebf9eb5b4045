#include "runner/save_modules.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/stop.h"
#include "ops/finite.h"
#include "processor/linears/linear_result.h"
#include "processor/observing/output_error.h"
#include "quant/weights/weight_error.h"

namespace modelslim {
namespace {

class Saver {
 public:
  Saver(const RunPlan& plan, const WeightSource& source, const SaveOptions& options, modelslim::Facts& found,
        OutputWriter* writer, UnitFacts* facts)
      : plan_(plan), source_(source), options_(options), found_(found), writer_(writer), facts_(facts) {}

  void Linear(LinearModule& module) {
    if (LinearResult* result = QuantizedResult(module)) {
      Quantized(module, *result);
    } else {
      Float(module.weight());
      if (Parameter* bias = module.bias()) Float(*bias);
    }
    module.Release();
    source_.DontNeed(module.weight().info());
  }

  void Norm(NormModule& module) {
    Float(module.weight());
    if (Parameter* bias = module.bias()) Float(*bias);
  }

  void Float(Parameter& parameter) {
    if (writer_ == nullptr) return;
    const OutputTensor* planned = plan_.layout.Find(parameter.name());
    if (planned == nullptr) {
      throw Error(ErrorCode::kUnexpected, "parameter " + parameter.name() + " has no place in the planned output",
                  "please report this with the recipe");
    }
    if (parameter.ComesInRows()) return InPieces(parameter, *planned);
    const bool changed = parameter.modified();
    SharedTensor values = parameter.Take();
    if (const std::optional<int64_t> at = FirstNotFinite(values.view())) {
      if (changed) RefuseMadeHere(parameter, values.view(), *at);
      Note(parameter.name(), values.view(), *at);
    }
    if (values.dtype() != planned->dtype) values = ConvertTo(values.view(), planned->dtype);
    writer_->Put(parameter.name(), std::move(values));
    parameter.Release();
  }

  void FactsOf(const std::string& module) {
    const auto found = found_.find(module);
    if (found == found_.end()) return;
    for (Fact& fact : found->second) {
      if (writer_ != nullptr) plan_.format->WriteFact(module, std::move(fact), sink_);
    }
    found_.erase(found);
  }

 private:
  // What a step has made of numbers that were finite ends the run. values: rows [begin, begin + ...) of the parameter;
  // element `at` of them is not finite.
  void RefuseMadeHere(const Parameter& parameter, const ConstView& values, int64_t at, int64_t begin = 0) const {
    const bool stored = plan_.checkpoint->Find(parameter.info().name) != nullptr;  // else a step made the parameter
    if (stored) {
      const bool part = values.shape != parameter.info().shape;
      const Tensor original =
          part ? source_.LoadRows(parameter.info(), begin, begin + values.rows()) : source_.Load(parameter.info());
      if (FirstNotFinite(original.view())) return;
    }
    ThrowNotFinite(parameter.name(), values, at, /*changed=*/true, begin);
  }

  // Nothing here computes with such numbers: whoever loads the output does. `first`: of values, in the whole tensor.
  void Note(const std::string& name, const ConstView& values, int64_t at, int64_t first = 0) {
    facts_->not_finite.push_back({name, std::string(NotFiniteName(values, at)), first + at});
  }

  void InPieces(Parameter& parameter, const OutputTensor& planned) {
    const int64_t count = planned.shape[0],
                  row_bytes = planned.shape[1] * static_cast<int64_t>(DTypeSize(planned.dtype));
    const int64_t rows = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes) / std::max<int64_t>(1, row_bytes));
    bool noted = false;
    for (int64_t begin = 0; begin < count; begin += rows) {
      ThrowIfStopped();
      Tensor values = parameter.LoadRows(begin, std::min(count, begin + rows));
      if (const std::optional<int64_t> at = FirstNotFinite(values.view())) {
        RefuseMadeHere(parameter, values.view(), *at, begin);
        if (!noted) Note(parameter.name(), values.view(), *at, begin * planned.shape[1]);
        noted = true;
      }
      if (values.dtype() != planned.dtype) values = ConvertTo(std::as_const(values).view(), planned.dtype);
      writer_->PutRows(parameter.name(), begin, std::move(values));
    }
  }

  void Quantized(LinearModule& module, LinearResult& result) {
    const QuantizedWeight& weight = result.Weight(module);
    Measure(module, result, weight);
    if (writer_ == nullptr) return;
    QuantizedLinear linear;
    linear.name = module.name();
    linear.mode = result.mode;
    linear.weight = result.TakeWeight();
    linear.input = result.input;
    if (Parameter* bias = module.bias()) {
      linear.bias = bias->Get();
      if (const std::optional<int64_t> at = FirstNotFinite(linear.bias)) Note(bias->name(), linear.bias, *at);
    }
    plan_.format->WriteLinear(std::move(linear), plan_.family->layout().dtype, sink_);
  }

  void Measure(LinearModule& module, LinearResult& result, const QuantizedWeight& weight) {
    LedgerEntry entry;
    entry.name = module.name();
    entry.type = plan_.format->TypeName(result.mode);
    entry.by = result.by;
    entry.range_from = result.range_from;
    if (result.input) entry.input = LedgerEntry::Input{result.input->scale, result.input->offset};
    if (options_.measure_errors) {
      const WeightError error = Compare(module.weight().Get(), weight);
      entry.weight_error = error.relative();
      entry.max_abs_error = error.max_abs;
      entry.clipped_share = error.clipped_share();
      entry.scale_min = error.scale_min;
      entry.scale_max = error.scale_max;
      if (result.sample) entry.output_error = OutputError(module, result, result.sample->Rows());
    }
    facts_->tensors.push_back(std::move(entry));
  }

  const RunPlan& plan_;
  const WeightSource& source_;
  const SaveOptions& options_;
  modelslim::Facts& found_;
  OutputWriter* writer_;
  const TensorSink sink_ = [this](const std::string& name, Tensor value) { writer_->Put(name, std::move(value)); };
  UnitFacts* facts_;
};

}  // namespace

void SaveModules(Block& block, const std::vector<ModuleInfo>& modules, const std::vector<std::string>& attention,
                 const RunPlan& plan, const WeightSource& source, const SaveOptions& options, Facts& found,
                 OutputWriter* writer, UnitFacts* facts) {
  Saver saver(plan, source, options, found, writer, facts);
  for (const ModuleInfo& module : modules) {
    ThrowIfStopped();
    if (LinearModule* linear = block.FindLinear(module.name)) {
      saver.Linear(*linear);
    } else if (NormModule* norm = block.FindNorm(module.name)) {
      saver.Norm(*norm);
    } else {
      for (const ParamInfo& param : module.params) saver.Float(*block.FindParameter(param.name));
    }
    saver.FactsOf(module.name);
  }
  for (const std::string& name : attention) saver.FactsOf(name);
  saver.FactsOf(kWholeModel);
}

}  // namespace modelslim
