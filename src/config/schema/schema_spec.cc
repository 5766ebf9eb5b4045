// Tables of savers, metadata and the specs of the v1 family.
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

template <class T>
void SaverFields(SchemaBuilder<T>& b, bool directory_used) {
  b.Field("part_file_size", &T::part_file_size, "Size of a weight file in GiB (2^30 bytes); 0: one file.",
          "单个权重文件的大小，单位 GiB（2^30 字节）；0 表示只写一个文件。")
      .Rule(AtLeast(0));
  b.Field("save_directory", &T::save_directory, directory_used ? "Directory." : "Replaced by --save_path.",
          directory_used ? "保存目录。" : "会被 --save_path 覆盖。");
  b.Custom("ext", {.type = ValueType::kFreeMapping, .words = {}}, "Accepted and unused.", "可以填写，但不使用。",
           [](Reader& reader, const YamlNode& node, T&) {
             if (node.kind != YamlKind::kMapping) return reader.WrongType(node, "a mapping");
             if (!node.entries.empty()) reader.Warn(node.pos, "ext of a saver has no effect");
           });
}

ObjectSchema MakeSaver() {
  SchemaBuilder<SaverConfig> b("saver", "Writes the result.", "写出结果。");
  SaverFields(b, false);
  return b.Build();
}

ObjectSchema MakeSaverProcessor() {
  SchemaBuilder<SaverProcessorConfig> b("saver as processor", "A saver among the processors keeps its own directory.",
                                        "写在 process 中的 saver 使用自己的目录。");
  SaverFields(b, true);
  return b.Build();
}

ObjectSchema MakeLabel() {
  SchemaBuilder<Label> b("metadata.label", "What --quant_type is compared with.", "与 --quant_type 比较的标签。");
  b.Unknown(UnknownKeys::kKeep);
  b.Field("w_bit", &Label::w_bit, "Bits of a weight.", "权重位数。").WhenAbsent("matches nothing", "不匹配任何类型");
  b.Field("a_bit", &Label::a_bit, "Bits of an activation.", "激活位数。")
      .WhenAbsent("matches nothing", "不匹配任何类型");
  b.Field("is_sparse", &Label::is_sparse, "The s of the type.", "类型中的 s。");
  b.Field("kv_cache", &Label::kv_cache, "The c8 of the type.", "类型中的 c8。");
  b.Field("fa_quant", &Label::fa_quant, "Attention quantization.", "注意力量化。").Since26();
  b.Field("fa_bit", &Label::fa_bit, "Bits of attention operands.", "注意力操作数位数。")
      .WhenAbsent("none", "无")
      .Since26();
  return b.Build();
}

void ReadVerifiedTags(Reader& reader, const YamlNode& node, Metadata& metadata) {
  if (node.kind != YamlKind::kMapping) return reader.WrongType(node, "a mapping of model types to lists of tag lists");
  for (const YamlEntry& entry : node.entries) {
    const Reader::Step step(reader, entry.key);
    VerifiedTags tags{entry.key, {}};
    if (entry.value->kind != YamlKind::kSequence) {
      reader.WrongType(*entry.value, "a list of tag lists");
      continue;
    }
    for (const YamlNodePtr& scenario : entry.value->items) {
      FieldSpec field;
      field.type = Codec<std::vector<std::string>>::Type();
      Codec<std::vector<std::string>>::Read(reader, *scenario, field, tags.scenarios.emplace_back());
    }
    reader.Record(entry.key_pos, YamlFlowText(*entry.value));
    metadata.verified_tags.push_back(std::move(tags));
  }
}

ObjectSchema MakeMetadata() {
  SchemaBuilder<Metadata> b("metadata", "Read by the look-up of best practices only.", "仅用于最佳实践的查找。");
  b.Field("config_id", &Metadata::config_id, "Name; equal to the file name without suffix.",
          "名称，与文件名（不含后缀）一致。")
      .MaxLength(200);
  b.Field("score", &Metadata::score, "The highest score is chosen first.", "分数高者优先。").Rule(AtLeast(0));
  b.Field("label", &Metadata::label, "What the recipe makes.", "量化类型标签。");
  b.Field("verified_model_types", &Metadata::verified_model_types, "Model types it was verified with; empty: any.",
          "已验证的模型类型；空列表表示任意。")
      .Nullable();
  b.Custom("verified_tags", {.type = ValueType::kFreeMapping, .words = {}}, "Model type to lists of tags.",
           "模型类型到标签列表的映射。", ReadVerifiedTags)
      .Since26();
  return b.Build();
}

ObjectSchema MakePrior() {
  SchemaBuilder<PriorStage> b("spec.prior", "A stage that runs before the main one.", "在主流程之前运行的阶段。");
  b.Field("process", &PriorStage::process, "Processors of the stage.", "该阶段的处理项。").Required();
  b.Field("dataset", &PriorStage::dataset, "Calibration set of the stage.", "该阶段的校准集。")
      .MaxLength(4096)
      .WhenAbsent("spec.dataset", "spec.dataset");
  return b.Build();
}

template <class T>
void SpecFields(SchemaBuilder<T>& b) {
  b.Unknown(UnknownKeys::kWarn);
  const bool one_schedule = T().runner == RunnerKind::kLayerWise;
  b.Field("runner", &T::runner,
          one_schedule ? "Order of the work. Anything else becomes layer_wise, with a warning."
                       : "Order of the work. auto: layer_wise, or dp_layer_wise with several devices.",
          one_schedule ? "执行方式。其他取值会改为 layer_wise 并给出警告。"
                       : "执行方式。auto：单设备为 layer_wise，多设备为 dp_layer_wise。");
  b.Field("process", &T::process, "Processors, in order.", "按顺序执行的处理项。");
  b.Field("save", &T::save, "Savers; without one nothing is written.", "保存器；为空时不写出任何文件。");
  b.Field("dataset", &T::dataset, "Calibration set: a path, or a name in lab_calib.",
          "校准集：路径，或 lab_calib 中的名称。")
      .MaxLength(4096);
  b.Field("prior", &T::prior, "Stages that run before the main one.", "在主流程之前运行的阶段。").Since26();
}

void WarnDirectory(Reader& reader, const YamlNode& node) {
  const YamlEntry* save = node.Find("save");
  if (save == nullptr || save->value->kind != YamlKind::kSequence) return;
  const Reader::Step step(reader, "save");
  for (size_t i = 0; i < save->value->items.size(); ++i) {
    const YamlEntry* entry = save->value->items[i]->Find("save_directory");
    const Reader::Step item(reader, i);
    if (entry != nullptr) reader.Warn(entry->key_pos, "save_directory is replaced by --save_path");
  }
}

void CheckStages(Reader& reader, const YamlNode& node, TextSpec& spec) {
  WarnDirectory(reader, node);
  bool rotated_before = false;
  for (const PriorStage& stage : spec.prior) {
    for (const ProcessorConfig& each : stage.process) {
      const auto* rotation = each.As<AdaptRotationConfig>();
      rotated_before = rotated_before || (rotation != nullptr && rotation->stage == 1);
    }
  }
  for (size_t i = 0; i < spec.process.size(); ++i) {
    const auto* rotation = spec.process[i].As<AdaptRotationConfig>();
    if (rotation == nullptr) continue;
    const Reader::Step list(reader, "process");
    const Reader::Step item(reader, i);
    Remark remark;
    remark.tip = "put {process: [{type: adapt_rotation, stage: 1}]} into spec.prior";
    if (rotation->stage == 2 && !rotated_before) {
      reader.Warn(spec.process[i].pos, "stage 2 without a stage 1 in spec.prior is a plain Hadamard rotation",
                  std::move(remark));
    } else if (rotation->stage == 1) {
      reader.Warn(spec.process[i].pos, "stage 1 belongs into spec.prior", std::move(remark));
    }
  }
}

void CheckText(Reader& reader, const YamlNode& node, TextSpec& spec) { CheckStages(reader, node, spec); }

// The multimodal services know one schedule.
void ForceLayerWise(Reader& reader, const YamlNode& node, TextSpec& spec) {
  const YamlEntry* runner = node.Find("runner");
  if (runner != nullptr && spec.runner != RunnerKind::kLayerWise) {
    const Reader::Step step(reader, "runner");
    reader.Warn(runner->value->pos,
                "the runner " + std::string(EnumName(spec.runner)) + " becomes layer_wise in this service");
    reader.Amend("layer_wise");
  }
  spec.runner = RunnerKind::kLayerWise;
}

void CheckVlm(Reader& reader, const YamlNode& node, VlmSpec& spec) {
  CheckStages(reader, node, spec);
  ForceLayerWise(reader, node, spec);
  if (node.Find("dataset") == nullptr) {
    Remark remark;
    remark.tip = "name a directory of images or a JSON file, for example dataset: calibImages";
    reader.Warn(node.pos, "no dataset: the default mix_calib.jsonl has no entries for this service", std::move(remark));
  }
}

ObjectSchema MakeText() {
  SchemaBuilder<TextSpec> b("modelslim_v1 spec", "Text models.", "文本模型。");
  SpecFields(b);
  b.Check(CheckText);
  return b.Build();
}

ObjectSchema MakeVlm() {
  SchemaBuilder<VlmSpec> b("multimodal_vlm_modelslim_v1 spec", "Vision-language models.", "多模态理解模型。");
  SpecFields(b);
  b.Field("default_text", &VlmSpec::default_text, "Text for images that have none.", "没有文本的图片使用的文本。")
      .NotBlank();
  b.Check(CheckVlm);
  return b.Build();
}

ObjectSchema MakeDump() {
  SchemaBuilder<DumpConfig> b("dump_config", "How calibration data are captured.", "校准数据的采集方式。");
  b.Field("capture_mode", &DumpConfig::capture_mode, "What is captured.", "采集内容。");
  b.Field("dump_data_dir", &DumpConfig::dump_data_dir, "Directory of the captured data; empty: the save path.",
          "采集数据的目录；为空则使用保存路径。");
  b.Field("enable_dump", &DumpConfig::enable_dump, "Whether data are captured.", "是否采集。").Since26();
  return b.Build();
}

struct ArgumentRule {
  std::string_view name;
  bool positive_int;
  std::string_view words;  // separated by blanks; "" any
};
constexpr ArgumentRule kArguments[] = {
    {"frame_num", true, ""},
    {"sample_steps", true, ""},
    {"infer_steps", true, ""},
    {"batch_size", true, ""},
    {"sample_solver", false, "unipc dpm++"},
};

void CheckArgument(Reader& reader, const YamlNode& node, const ArgumentRule& rule) {
  if (rule.positive_int) {
    ReadInt(reader, node, Above(0));
    return;
  }
  std::vector<std::string> words;
  for (std::string_view rest = rule.words; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (node.kind == YamlKind::kString && std::find(words.begin(), words.end(), node.text) != words.end()) return;
  Remark remark;
  remark.expected = JoinWords(words);
  remark.found = FoundText(node);
  reader.Error(node.pos, "unknown value", std::move(remark));
}

void ReadArguments(Reader& reader, const YamlNode& node, SdConfig& config) {
  if (node.kind != YamlKind::kMapping) return reader.WrongType(node, "a mapping");
  for (const YamlEntry& entry : node.entries) {
    const Reader::Step step(reader, entry.key);
    const YamlNode& value = *entry.value;
    for (const ArgumentRule& rule : kArguments) {
      if (rule.name == entry.key) CheckArgument(reader, value, rule);
    }
    if (entry.key == "prompt") {
      FieldSpec field;
      field.not_blank = true;
      ReadString(reader, value, field);
    }
    PipelineArgument argument{entry.key, PipelineArgument::Kind::kOther, value.text, value.pos};
    switch (value.kind) {
      case YamlKind::kNull:
        argument.kind = PipelineArgument::Kind::kNull;
        break;
      case YamlKind::kBool:
        argument.kind = PipelineArgument::Kind::kBool;
        argument.text = value.boolean ? "true" : "false";
        break;
      case YamlKind::kInt:
        argument.kind = PipelineArgument::Kind::kInt;
        break;
      case YamlKind::kFloat:
        argument.kind = PipelineArgument::Kind::kFloat;
        break;
      case YamlKind::kString:
        argument.kind = PipelineArgument::Kind::kString;
        break;
      default:
        argument.text = YamlFlowText(value);
        break;
    }
    reader.Record(value.pos, YamlFlowText(value));
    config.model_config.push_back(std::move(argument));
  }
}

void ReadInferenceArguments(Reader& reader, const YamlNode& node, SdConfig& config) {
  config.from_inference_config = true;
  config.model_config.clear();
  ReadArguments(reader, node, config);
}

void CheckSdConfig(Reader& reader, const YamlNode& node, SdConfig&) {
  const YamlEntry* old_name = node.Find("model_config");
  const YamlEntry* new_name = node.Find("inference_config");
  if (old_name != nullptr && new_name != nullptr) {
    Remark remark;
    remark.tip = "keep inference_config";
    reader.Error(new_name->key_pos, "model_config and inference_config exclude each other", std::move(remark));
  } else if (old_name == nullptr && new_name == nullptr) {
    reader.Warn(node.pos, "no model_config: the pipeline's own arguments are used");
  }
}

ObjectSchema MakeSdConfig() {
  SchemaBuilder<SdConfig> b("multimodal_sd_config", "The diffusion pipeline and its calibration data.",
                            "扩散模型流水线及其校准数据。");
  b.Unknown(UnknownKeys::kKeep);
  b.Field("dump_config", &SdConfig::dump_config, "How calibration data are captured.", "校准数据的采集方式。")
      .Required();
  b.Custom("model_config", {.type = ValueType::kFreeMapping, .words = {}},
           "Arguments of the pipeline: task, size, frame_num, sample_steps, sample_solver, base_seed, prompt, ...",
           "流水线参数：task、size、frame_num、sample_steps、sample_solver、base_seed、prompt 等。", ReadArguments);
  b.Custom("inference_config", {.type = ValueType::kFreeMapping, .words = {}}, "Newer name of model_config.",
           "model_config 的新名称。", ReadInferenceArguments)
      .Since26();
  b.Check(CheckSdConfig);
  return b.Build();
}

void CheckSd(Reader& reader, const YamlNode& node, SdSpec& spec) {
  CheckStages(reader, node, spec);
  ForceLayerWise(reader, node, spec);
}

ObjectSchema MakeSd() {
  SchemaBuilder<SdSpec> b("multimodal_sd_modelslim_v1 spec", "Image and video generation models.",
                          "图像与视频生成模型。");
  SpecFields(b);
  b.Field("multimodal_sd_config", &SdSpec::multimodal_sd_config, "The pipeline and its calibration data.",
          "流水线及其校准数据。")
      .Required();
  b.Check(CheckSd);
  return b.Build();
}

}  // namespace

MODELSLIM_TABLE(SaverConfig, MakeSaver)
MODELSLIM_TABLE(SaverProcessorConfig, MakeSaverProcessor)
MODELSLIM_TABLE(Label, MakeLabel)
MODELSLIM_TABLE(Metadata, MakeMetadata)
MODELSLIM_TABLE(PriorStage, MakePrior)
MODELSLIM_TABLE(TextSpec, MakeText)
MODELSLIM_TABLE(VlmSpec, MakeVlm)
MODELSLIM_TABLE(DumpConfig, MakeDump)
MODELSLIM_TABLE(SdConfig, MakeSdConfig)
MODELSLIM_TABLE(SdSpec, MakeSd)

}  // namespace modelslim
