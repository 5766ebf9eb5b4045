#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "app/analyze.h"
#include "app/eval.h"
#include "app/inspect.h"
#include "app/practice_choice.h"
#include "app/quant.h"
#include "app/recipe_convert.h"
#include "app/report.h"
#include "app/servers.h"
#include "app/verify.h"
#include "base/error.h"
#include "base/installation.h"
#include "base/log.h"
#include "cli/abbreviations.h"
#include "cli/completion.h"
#include "cli/job_options.h"
#include "cli/newer_options.h"
#include "config/recipe/commands.h"
#include "data/tokenize_file.h"
#include "io/model_directory.h"
#include "processor/processor.h"
#include "text/tokenizer.h"

namespace modelslim {
namespace {

// An option that names a file or directory.
template <typename Value>
CLI::Option* AddPath(CLI::App& command, const std::string& name, Value& value, const std::string& description) {
  return AsPath(command.add_option(name, value, description));
}

class CommandLine {
 public:
  CommandLine(std::ostream& out, std::ostream& err)
      : out_(out),
        err_(err),
        app_("Quantizes Hugging Face checkpoints by msModelSlim recipes, without Python and without an accelerator.",
             "modelslim") {
    app_.set_version_flag("-V,--version", kProgramVersion);
    app_.footer(
        "Examples:\n"
        "  modelslim quant --model_type Qwen3-8B --model_path Qwen3-8B --save_path out --quant_type w8a8\n"
        "  modelslim plan  --model_path Qwen3-8B --config_path recipe.yaml\n"
        "'modelslim COMMAND --help' tells more.");
    AddQuant();
    AddConvert();
    AddPlan();
    AddAnalyze();
    AddVerify();
    AddEval();
    AddReport();
    AddTokenize();
    AddInspection();
  }

  int Run(std::vector<std::string> arguments) {
    arguments.erase(arguments.begin());
    if (arguments.empty()) {
      out_ << app_.help();
      return 0;
    }
    try {
      arguments = FillBareOptions(ExpandAbbreviations(app_, std::move(arguments)));
      if (const std::string unknown = UnknownOption(app_, arguments); !unknown.empty()) {
        err_ << "unknown option " << unknown << "\nRun with --help for more information.\n";
        return 2;
      }
      std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
      app_.parse(std::move(reversed));
    } catch (const CLI::ParseError& error) {
      // CLI11 reports help and version as errors with status 0.
      return app_.exit(error, out_, err_) == 0 ? 0 : 2;
    }
    return action_ ? action_() : 0;
  }

 private:
  CLI::App& AddCommand(const std::string& name, const std::string& description, const std::string& footer,
                       std::function<int()> action) {
    CLI::App& command = *app_.add_subcommand(name, description);
    if (!footer.empty()) command.footer(footer);
    command.callback([this, action = std::move(action)] { action_ = action; });
    return command;
  }

  // A command that writes an output.
  CLI::App& AddWriting(const std::string& name, const std::string& description, const std::string& footer) {
    CLI::App& command = AddCommand(name, description, footer, [this] {
      newer_.Apply();
      Quantize(quant_, out_);
      return 0;
    });
    AddJobOptions(command, quant_, /*saves=*/true);
    newer_.AddTo(command);
    command.add_flag("--fresh", quant_.fresh, "Start over even if an interrupted run could be resumed");
    command.add_flag("!--no-verify", quant_.verify,
                     "Do not read the output back, and do not measure quantization errors");
    return command;
  }

  void AddQuant() {
    CLI::App& command = AddWriting("quant", "Quantize a checkpoint",
                                   "An interrupted run goes on when the same command is given again.\n"
                                   "Example:\n"
                                   "  modelslim quant --model_type Qwen3-8B --model_path Qwen3-8B --save_path out "
                                   "--config_path w8a8.yaml --memory 16GiB");
    command.add_flag("--eval", quant_.evaluation.wanted,
                     "Then measure the output against the source, as 'modelslim eval' does");
    AddPath(command, "--eval-data", quant_.evaluation.data, "Texts for that")->capture_default_str();
    command.add_option("--eval-windows", quant_.evaluation.windows, "Pieces of the texts")->capture_default_str();
    command.add_option("--eval-window", quant_.evaluation.window, "Tokens of a piece")
        ->check(CLI::Range(2, 1 << 20))
        ->capture_default_str();
    command.add_flag("--debug", debug_, "Accepted for compatibility");
  }

  void AddConvert() {
    AddWriting("convert", "Convert weights to another form, by a recipe of modelslim_convert",
               "Example:\n"
               "  modelslim convert --model_path Qwen3-8B-FP8 --save_path out --config_path mxfp8.yaml");
  }

  void AddPlan() {
    CLI::App& command =
        AddCommand("plan", "Show what quant would do, without doing it",
                   "Example:\n  modelslim plan --model_path Qwen3-8B --config_path w8a8.yaml --tensors", [this] {
                     newer_.Apply();
                     ShowPlan(plan_, plan_tensors_, json_, out_);
                     return 0;
                   });
    AddJobOptions(command, plan_, /*saves=*/false);
    newer_.AddTo(command);
    command.add_flag("--tensors", plan_tensors_, "A line for every tensor of the output");
    command.add_flag("--json", json_, "As JSON");
  }

  void AddVerify() {
    CLI::App& command = AddCommand(
        "verify", "Read a finished output back and check it",
        "Examples:\n  modelslim verify out --model_path Qwen3-8B\n  modelslim verify out --for vllm-ascend", [this] {
          const ServerChoice servers = ChooseServers(plan_.servers, plan_.server_version);
          VerifyReport report = VerifyOutput(
              directory_,
              {.source = source_, .stacks_transposed = Transposed(plan_.stacked_experts), .checksums = checksums_});
          if (servers.by_name) AddServerFindings(directory_, servers, &report);
          PrintVerify(report, directory_, out_);
          if (report.problems.empty()) return 0;
          throw Error(ErrorCode::kInvalidModel, directory_.string() + ": " + report.problems.front(),
                      "quantize again into a fresh directory");
        });
    AddPath(command, "directory", directory_, "Output of a run")->required();
    AddPath(command, "--model_path", source_, "Source checkpoint: compare dequantized weights with it");
    AddStackedOption(command, plan_.stacked_experts);
    AddServerOptions(command, plan_.servers, plan_.server_version);
    command.add_flag("!--no-checksums", checksums_,
                     "Do without quant_model_ledger.json, which outputs of other programs do not have");
  }

  void AddAnalyze() {
    CLI::App& command = AddCommand(
        "analyze", "Rank the layers by how hard their input is to quantize",
        "Prints the ranking and, as YAML, the names to leave unquantized.\n"
        "Example:\n  modelslim analyze --model_path Qwen3-8B --metrics kurtosis --pattern '*.mlp.down_proj' --topk 5",
        [this] {
          newer_.Apply();
          analyze_.json = json_;
          Analyze(analyze_, out_);
          return 0;
        });
    AddModelOptions(command, analyze_);
    newer_.AddTo(command);
    command.get_option("--device")->check(CLI::IsMember({"cpu", "npu"}));
    command
        .add_option("--pattern,--patterns", analyze_.patterns,
                    "Layers to look at: shell wildcards on full names, without braces; several may be given")
        ->capture_default_str();
    command
        .add_option("--metrics", analyze_.metric,
                    "std: largest value by deviation; quantile: int8 step by the spread of the middle half; kurtosis")
        ->check(CLI::IsMember({"std", "quantile", "kurtosis"}))
        ->capture_default_str();
    AddPath(command, "--calib_dataset,--calibration_dataset", analyze_.dataset,
            "Calibration texts (.json or .jsonl), a path or a name from lab_calib")
        ->capture_default_str();
    command
        .add_option("--topk,--top_k", analyze_.topk,
                    "How many different scores to print; layers of equal score come together")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command.add_flag("--json", json_, "As JSON");
    // 26.1.0 knows three; without a word it means linear too.
    command.add_option("scope", analyze_scope_, "What to rank: linear")->check(CLI::IsMember({"linear"}));
  }

  void AddEval() {
    CLI::App& command = AddCommand(
        "eval", "Measure an output as a server computes it, against the float model",
        "Perplexity with its standard error; with --reference also the KL divergence (mean, percentiles, largest), how "
        "often both find the same token the likeliest, and how the right token's probability changed.\n"
        "Example:\n  modelslim eval out --reference Qwen3-8B --windows 24 --per-layer",
        [this] {
          eval_.json = json_;
          EvaluateOutput(eval_, out_);
          return 0;
        });
    AddPath(command, "directory", eval_.output, "Output of a run, or a float checkpoint")->required();
    AddPath(command, "--reference", eval_.reference, "The float checkpoint that the output was made of");
    AddPath(command, "--data", eval_.data, "Texts (.json or .jsonl), a path or a name from lab_eval")
        ->capture_default_str();
    AddTextKeyOption(command, eval_.text_keys, "inputs_pretokenized or text");
    command.add_option("--windows", eval_.windows, "How many pieces of the texts are predicted, evenly spaced; 0: all")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command.add_option("--window", eval_.window, "Tokens of a piece")
        ->check(CLI::Range(2, 1 << 20))
        ->capture_default_str();
    command.add_flag("--per-layer", eval_.layers,
                     "Also the error of what every layer puts out: in the stream, and by itself");
    command.add_flag("--decode", eval_.decode, "W8A8_MIX as in decode (static inputs) instead of prefill");
    command.add_option("--threads", eval_.threads, "Compute threads; 0: all that are available")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command.add_option("--memory", eval_.memory,
                       "Limit for the memory of the process, for example 2GiB; default: 1 GiB, or what is needed");
    AddPath(command, "--work", eval_.work,
            "A directory for what is finished: the same command goes on from there when it was interrupted");
    command.add_flag("--json", json_, "As JSON");
  }

  void AddReport() {
    CLI::App& command = AddCommand(
        "report", "Write a page about an output, for any browser and without a network",
        "Types by layer, errors of weights and outputs, ranges, experts, and with --evaluation what 'modelslim eval "
        "--json' measured.\n"
        "Example:\n  modelslim report out",
        [this] {
          out_ << WriteReport(report_).string() << "\n";
          return 0;
        });
    AddPath(command, "directory", report_.output, "Output of a run")->required();
    AddPath(command, "--evaluation", report_.evaluation, "What 'modelslim eval --json' printed");
    AddPath(command, "--out", report_.file, "The file to write; default: quant_model_report.html in the output");
  }

  void AddTokenize() {
    CLI::App& command =
        AddCommand("tokenize", "Print the token ids of every line of a JSONL file",
                   "Reads `inputs_pretokenized` (or `text`) of every line and prints {\"ids\":[...]} for it.", [this] {
                     CheckDirectory(source_);
                     const auto tokenizer = Tokenizer::Load(source_);
                     const TokenizeOptions options{.add_special = !no_special_, .text_keys = text_keys_};
                     for (const std::string& warning : TokenizeFile(*tokenizer, directory_, options, out_))
                       LogWarning(warning);
                     return 0;
                   });
    AddPath(command, "--model_path", source_, "Directory with tokenizer.json, or vocab.json and merges.txt")
        ->required();
    AddTextKeyOption(command, text_keys_, "inputs_pretokenized, else text, else the JSON text of the line");
    command.add_flag("--no-special", no_special_, "Do not add special tokens such as BOS");
    AddPath(command, "file", directory_, "JSONL file")->required();
  }

  void AddInspection() {
    CLI::App& models = AddCommand("models", "List the model names and the families that compute them", "", [this] {
      ListModels(json_, out_);
      return 0;
    });
    models.add_flag("--json", json_, "As JSON");
    CLI::App& processors = AddCommand("processors", "List the processors and savers with their fields", "", [this] {
      ListProcessors(out_, json_, IsProcessorImplemented);
      return 0;
    });
    processors.add_flag("--json", json_, "As JSON");
    CLI::App& servers =
        AddCommand("servers", "Show what the servers' loaders take, by type and kind of layer", "", [this] {
          ListServers(json_, out_);
          return 0;
        });
    servers.add_flag("--json", json_, "As JSON");
    AddPractices();
    AddRecipe();
    CLI::App& completion = AddCommand("completion", "Print a completion script for bash or zsh",
                                      "Example:\n  eval \"$(modelslim completion bash)\"", [this] {
                                        WriteCompletion(app_, shell_, out_);
                                        return 0;
                                      });
    completion.add_option("shell", shell_, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  }

  void AddPractices() {
    CLI::App& command = AddCommand(
        "practices", "List the verified recipes, or explain which one --quant_type would take",
        "Examples:\n  modelslim practices\n  modelslim practices --model_type Qwen3-32B --quant_type w8a8", [this] {
          const PracticeRepository repository(PracticeDirectories());
          if (plan_.model_type.empty() && plan_.quant_type.empty()) {
            ListPractices(repository, out_, json_);
          } else {
            const PracticeQuery query =
                QueryFor(FindFamily(plan_.model_type), plan_.model_type, plan_.quant_type, plan_.tags);
            ExplainChoice(ChoosePractice(repository, query), out_, json_);
          }
          return 0;
        });
    command.add_option("--model_type", plan_.model_type, "Name of the model");
    command.add_option("--quant_type", plan_.quant_type, "Quantization type")->check(CLI::IsMember(QuantTypes()));
    command.add_option("--tag", plan_.tags, "Scenario tags");
    command.add_flag("--json", json_, "As JSON");
  }

  void AddRecipe() {
    CLI::App& recipe = *app_.add_subcommand("recipe", "Check, explain or convert recipes");
    recipe.require_subcommand(1);
    CLI::App& check =
        *recipe.add_subcommand("check", "Check recipes without a model; all mistakes of all files at once");
    AddPath(check, "files", files_, "Recipes")->required();
    check.callback([this] { action_ = [this] { return RecipeCheck(files_, out_, err_); }; });
    CLI::App& explain =
        *recipe.add_subcommand("explain", "Show every value as it takes effect, and where it comes from");
    AddPath(explain, "file", files_, "Recipe")->required()->expected(1);
    explain.callback([this] { action_ = [this] { return RecipeExplain(files_.front(), out_, err_); }; });
    CLI::App& convert = *recipe.add_subcommand(
        "convert", "Print a modelslim_v0 recipe as one of modelslim_v1, where one computes the same");
    AddPath(convert, "file", files_, "Recipe")->required()->expected(1);
    convert.callback([this] {
      action_ = [this] {
        ConvertRecipe(files_.front(), out_);
        return 0;
      };
    });
    CLI::App& reference =
        *recipe.add_subcommand("reference", "Write the reference pages of recipes (Markdown, English and Chinese)");
    AddPath(reference, "directory", directory_, "Directory to write")->required();
    reference.callback([this] {
      action_ = [this] {
        for (const std::string& name : WriteReferencePages(directory_)) out_ << name << "\n";
        return 0;
      };
    });
    CLI::App& schema = *recipe.add_subcommand("schema", "Print a JSON Schema of recipes, for editors");
    schema.callback([this] {
      action_ = [this] {
        WriteJsonSchema(out_);
        return 0;
      };
    });
  }

  std::ostream& out_;
  std::ostream& err_;
  CLI::App app_;
  std::function<int()> action_;
  JobArguments quant_, plan_;
  AnalyzeArguments analyze_;
  EvalArguments eval_;
  ReportArguments report_;
  NewerOptions newer_;
  fs::path directory_, source_;
  std::vector<std::string> files_, text_keys_;
  std::string shell_, analyze_scope_ = "linear";
  bool plan_tensors_ = false, json_ = false, no_special_ = false, debug_ = false, checksums_ = true;
};

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  return CommandLine(out, err).Run(arguments);
}

}  // namespace modelslim
