#include "app/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "app/names_practice.h"
#include "app/open_model.h"
#include "app/practice_choice.h"
#include "app/save_path.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "io/model_directory.h"
#include "plan/lost_tensors.h"

namespace modelslim {
namespace {

constexpr size_t kLongestArgument = 4096;

void CheckLength(const char* option, const std::string& value) {
  if (value.size() > kLongestArgument) {
    throw Error(ErrorCode::kSecurity,
                fmt::format("{}: expected at most {} characters, found {}", option, kLongestArgument, value.size()));
  }
}

void CheckDevice(const std::string& device) {
  const size_t colon = device.find(':');
  const std::string kind = device.substr(0, colon);
  if (kind != "npu" && kind != "cpu") {
    throw Error(ErrorCode::kSchema, "--device: expected cpu or npu, found '" + device + "'", "leave --device out");
  }
  if (colon != std::string::npos) {
    const std::string indices = device.substr(colon + 1);
    if (indices.empty() || indices.find_first_not_of("0123456789,") != std::string::npos) {
      throw Error(ErrorCode::kSchema, "--device: expected device numbers after the colon, found '" + indices + "'",
                  "leave --device out");
    }
  }
  if (kind == "npu") LogInfo("--device npu: this program computes on the CPU, whatever the device");
}

void CheckModelArguments(const ModelArguments& arguments) {
  CheckLength("--model_type", arguments.model_type);
  CheckLength("--model_path", arguments.model_path.string());
  CheckDevice(arguments.device);
  if (arguments.trust_remote_code != "True" && arguments.trust_remote_code != "False") {
    throw Error(ErrorCode::kSchema,
                "--trust_remote_code: expected True or False, found '" + arguments.trust_remote_code + "'");
  }
  CheckModelDirectory(arguments.model_path);
}

void ChooseRecipe(Session& session) {
  const JobArguments& arguments = session.arguments;
  if (!arguments.config_path.empty() && !arguments.quant_type.empty()) {
    throw Error(ErrorCode::kSchema, "--config_path and --quant_type: only one of them may be given",
                "leave one of them out");
  }
  fs::path file = arguments.config_path;
  if (file.empty() && KnowsNamesOnly(arguments, session)) {
    NamesPractice practice = ChooseNamesPractice(session.config, arguments.model_type,
                                                 arguments.quant_type.empty() ? "w8a8" : arguments.quant_type);
    session.recipe_name = std::move(practice.name);
    session.recipe_text = std::move(practice.text);
  } else {
    if (file.empty()) {
      file = ChoosePracticeFile(QueryFor(*session.entry, arguments.model_type, arguments.quant_type, arguments.tags),
                                arguments.assume_yes);
    }
    session.recipe_name = file.string();
    session.recipe_text = ReadTextFile(file);
  }
  Diagnostics diagnostics;
  session.recipe = ParseRecipe(session.recipe_text, session.recipe_name, diagnostics);
  diagnostics.Sort();
  std::string errors;
  ErrorCode code = ErrorCode::kSchema;
  for (const Diagnostic& diagnostic : diagnostics.items()) {
    const std::string text = RenderDiagnostic(diagnostic, session.recipe_text);
    if (diagnostic.severity == Severity::kWarning) {
      LogWarning(text);
    } else {
      if (errors.empty()) code = diagnostic.code;
      errors += (errors.empty() ? "" : "\n") + text;
    }
  }
  if (!errors.empty()) throw Error(code, "the recipe cannot be used\n" + errors);
}

const MendName& FindMend(const std::string& name) {
  std::string names;
  for (const MendName& mend : AllMends()) {
    if (mend.name == name) return mend;
    names += (names.empty() ? "" : ", ") + std::string(mend.name);
  }
  throw Error(ErrorCode::kSchema, "--mend: there is no mend called '" + name + "'", "there are: " + names);
}

}  // namespace

IdleExperts ParseIdleExperts(const std::string& text) {
  for (const IdleExperts each : {IdleExperts::kReject, IdleExperts::kPool, IdleExperts::kAllTokens}) {
    if (text == IdleExpertsName(each)) return each;
  }
  throw Error(ErrorCode::kSchema, "--idle-experts: expected reject, pool or all-tokens, found '" + text + "'");
}

uint64_t ParseMemory(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  std::string unit;
  for (const char* c = end; *c != '\0'; ++c) {
    if (std::isspace(static_cast<unsigned char>(*c)) == 0)
      unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  }
  constexpr std::pair<std::string_view, double> kUnits[] = {{"", 1.0},
                                                            {"b", 1.0},
                                                            {"k", 1024.0},
                                                            {"kib", 1024.0},
                                                            {"kb", 1e3},
                                                            {"m", 1048576.0},
                                                            {"mib", 1048576.0},
                                                            {"mb", 1e6},
                                                            {"g", 1073741824.0},
                                                            {"gib", 1073741824.0},
                                                            {"gb", 1e9},
                                                            {"t", 1099511627776.0},
                                                            {"tib", 1099511627776.0},
                                                            {"tb", 1e12}};
  for (const auto& [name, factor] : kUnits) {
    if (name == unit && end != text.c_str() && number > 0 && number * factor < 9e18)
      return static_cast<uint64_t>(number * factor);
  }
  throw Error(ErrorCode::kSchema, "--memory: expected a size such as 12GiB or 800MiB, found '" + text + "'",
              "give a number with a unit: KiB, MiB, GiB or TiB");
}

OpenedModel OpenModel(const ModelArguments& arguments) {
  CheckModelArguments(arguments);
  SetComputeThreads(arguments.threads);
  OpenedModel model;
  OpenConfig(arguments, model);
  OpenCheckpoint(arguments, model, /*conversion=*/nullptr);
  const ModelLayout& layout = model.family->layout();
  const std::vector<std::string> unused = CheckAgainstCheckpoint(layout, *model.checkpoint);
  for (const std::string& line : LossLines(GroupUnused(layout, *model.checkpoint, unused)))
    LogWarning("not used: " + line);
  return model;
}

std::unique_ptr<Session> OpenSession(JobArguments arguments) {
  auto session = std::make_unique<Session>();
  CheckLength("--save_path", arguments.save_path.string());
  CheckLength("--config_path", arguments.config_path.string());
  CheckModelArguments(arguments);
  if (!arguments.save_path.empty()) CheckSavePath(arguments.save_path, arguments.model_path);
  SetComputeThreads(arguments.threads);
  session->arguments = std::move(arguments);
  OpenConfig(session->arguments, *session);
  ChooseRecipe(*session);
  OpenCheckpoint(session->arguments, *session, session->recipe.conversion.get());
  session->plan = PlanSession(*session, nullptr);
  return session;
}

RunPlan PlanSession(const Session& session, const InputRanges* ranges) {
  return PlanJob(session, LowerRecipe(session.recipe, *session.family, ranges));
}

RunPlan PlanJob(const Session& session, const Job& job) {
  const JobArguments& given = session.arguments;
  PlanOptions options;
  options.steps.compat.december_2025 = given.december_2025;
  options.steps.compat.fp8_for_vllm = given.fp8_type == kFp8TypeOfVllm;
  options.servers = ChooseServers(given.servers, given.server_version);
  options.drop = given.drop;
  for (const std::string& mend : given.mends) options.steps.mends.*FindMend(mend).on = true;
  if (options.steps.mends.f32_router_bias) session.family->KeepRouterBias(*session.checkpoint);
  return MakePlan(job, session.recipe, *session.family, *session.checkpoint, given.model_path, options);
}

}  // namespace modelslim
