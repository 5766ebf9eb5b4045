#include "cli/job_options.h"

#include <CLI/CLI.hpp>

#include "app/names_practice.h"
#include "app/practice_choice.h"
#include "cli/home.h"

namespace modelslim {

CLI::Option* AsPath(CLI::Option* option) {
  const CLI::Validator expand(
      [](std::string& text) {
        text = ExpandHome(text);
        return std::string();
      },
      "");
  return option->transform(expand);
}

void AddTextKeyOption(CLI::App& command, std::vector<std::string>& keys, const std::string& without) {
  command
      .add_option("--text_key", keys,
                  "Keys under which a sample keeps its text, for example text, messages or instruction,input,output; "
                  "without it " +
                      without)
      ->delimiter(',')
      ->allow_extra_args(false);
}

void AddStackedOption(CLI::App& command, std::string& stacked) {
  command
      .add_option("--stacked-experts", stacked,
                  "How experts lie in one tensor where neither the architecture nor its sizes tell: out-in for "
                  "[experts, out, in], in-out for [experts, in, out]")
      ->check(CLI::IsMember({"out-in", "in-out"}));
}

void AddModelOptions(CLI::App& command, ModelArguments& model) {
  command.add_option(
      "--model_type", model.model_type,
      "Name of the model, for example Qwen3-32B ('modelslim models' lists them); default: by config.json");
  AsPath(command.add_option("--model_path", model.model_path, "Directory of the Hugging Face checkpoint"))->required();
  command.add_option("--device", model.device, "Accepted for compatibility; everything is computed on the CPU")
      ->capture_default_str();
  command
      .add_option("--trust_remote_code", model.trust_remote_code,
                  "Accepted for compatibility; no remote code is ever run")
      ->capture_default_str();
  command.add_option("--threads", model.threads, "Compute threads; 0: all that are available")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--memory", model.memory,
                     "Limit for the memory of the process, for example 12GiB; default: 80 % of what there is");
  command.add_flag(
      "--no-forward", model.no_forward,
      "Work by the names of the tensors alone, whatever the model is: for recipes whose steps need no data");
  command.add_option("--float", model.keep_float,
                     "Linear layers that stay float whatever the recipe says, as a pattern such as '*.o_proj'; may be "
                     "given several times");
  AddStackedOption(command, model.stacked_experts);
  AddTextKeyOption(command, model.text_keys, "inputs_pretokenized, else the JSON text of the line as it stands");
}

void AddServerOptions(CLI::App& command, std::vector<std::string>& servers, std::string& version) {
  command
      .add_option("--for", servers,
                  "The server that is to load the output: what it refuses or misreads is told (vllm-ascend, sglang or "
                  "mindie; 'modelslim servers' shows the rules)")
      ->delimiter(',');
  command.add_option("--server-version", version, "Its version, where there are rules for several");
}

void AddJobOptions(CLI::App& command, JobArguments& job, bool saves) {
  AddModelOptions(command, job);
  CLI::Option* const save = AsPath(command.add_option("--save_path", job.save_path, "Directory to write"));
  if (saves) save->required();
  AsPath(command.add_option("--config_path,--config", job.config_path, "Recipe (YAML)"));
  std::vector<std::string> types = QuantTypes();
  types.insert(types.end(), NamesQuantTypes().begin(), NamesQuantTypes().end());
  command.add_option("--quant_type", job.quant_type, "Use the best verified recipe for this type instead")
      ->check(CLI::IsMember(types));
  command.add_option("--tag,--tags", job.tags, "Scenario tags that the verified recipe must have");
  std::string mends;
  for (const MendName& mend : AllMends()) {
    mends += (mends.empty() ? "" : "; ") + std::string(mend.name) + " (" + std::string(mend.what) + ")";
  }
  command.add_option("--drop", job.drop,
                     "Tensors of the checkpoint that the output may lack, as a pattern such as 'visual.*'; may be "
                     "given several times");
  command.add_option("--mend", job.mends, "Depart from msModelSlim's numbers where they are wrong: " + mends);
  AddServerOptions(command, job.servers, job.server_version);
  command
      .add_option("--fp8-type", job.fp8_type,
                  "What the description calls fp8 layers: msModelSlim's WFP8AFP8_DYNAMIC, or W8A8FP8_DYNAMIC, which "
                  "vLLM-Ascend reads")
      ->check(CLI::IsMember({std::string(QuantModeName(QuantMode::kWFP8AFP8Dynamic)), std::string(kFp8TypeOfVllm)}))
      ->capture_default_str();
  command
      .add_option(
          "--idle-experts", job.idle_experts,
          "Experts that no calibration token chose, where a step must have seen their input: reject (an error "
          "that lists them), pool (they get the range of the other experts of their layer) or all-tokens (every "
          "token is sent through them)")
      ->check(CLI::IsMember({"reject", "pool", "all-tokens"}))
      ->capture_default_str();
  command.add_flag("--format-2025-12", job.december_2025,
                   "Write the file forms of the December 2025 release of msModelSlim");
  command.add_flag("--yes", job.assume_yes, "Answer yes where the look-up of a recipe would ask");
}

}  // namespace modelslim
