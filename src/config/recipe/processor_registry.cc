// The visible lists of processors and savers.
#include "config/schema/schema_builder.h"

namespace modelslim {
namespace {

constexpr std::string_view kInternal = "it is internal to the reference and no recipe needs it";

UnionMember Processor(std::string type, const ObjectSchema& (*schema)(), bool distributed, bool since_26 = false) {
  UnionMember member;
  member.type = std::move(type);
  member.doc = schema().doc;
  member.schema = schema;
  member.distributed = distributed;
  member.since_26 = since_26;
  return member;
}

UnionMember Hidden(UnionMember member) {
  member.advertised = false;
  return member;
}

UnionMember Internal(std::string type) {
  UnionMember member;
  member.type = std::move(type);
  member.refused = kInternal;
  member.advertised = false;
  return member;
}

UnionMember Saver(std::string type, Doc doc, const ObjectSchema& (*schema)(), bool since_26 = false) {
  UnionMember member = Processor(std::move(type), schema, true, since_26);
  member.doc = doc;
  return member;
}

constexpr Doc kAscend{"Checkpoint for vLLM-Ascend and MindIE (quant_model_weights*.safetensors and a description).",
                      "供 vLLM-Ascend 与 MindIE 加载的权重（quant_model_weights*.safetensors 及描述文件）。"};
constexpr Doc kAscendDistributed{"As ascendv1_saver, one part per process.", "同 ascendv1_saver，每个进程写一部分。"};
constexpr Doc kMindie{"Checkpoint for MindIE-SD; it opens part_file_size 0 only.",
                      "供 MindIE-SD 加载的权重，仅支持 part_file_size 为 0。"};
constexpr Doc kCompressed{"Checkpoint in the compressed-tensors layout (W8A8 only).",
                          "compressed-tensors 格式的权重（仅 W8A8）。"};

std::vector<UnionMember> Savers(const ObjectSchema& (*schema)()) {
  UnionMember alias;
  alias.type = "distributed_ascendv1_saver";
  alias.alias_of = "ascendv1_saver_distributed";
  alias.advertised = false;
  return {Saver("ascendv1_saver", kAscend, schema), Saver("ascendv1_saver_distributed", kAscendDistributed, schema),
          Saver("mindie_format_saver", kMindie, schema), Saver("compressed_tensors", kCompressed, schema, true), alias};
}

UnionSchema MakeProcessors() {
  UnionSchema u;
  u.name = "processor";
  u.members = {
      Processor("linear_quant", SchemaOf<LinearQuantConfig>, true),
      Processor("group", SchemaOf<GroupConfig>, true),
      Processor("smooth_quant", SchemaOf<SmoothQuantConfig>, false),
      Processor("iter_smooth", SchemaOf<IterSmoothConfig>, true),
      Processor("flex_smooth_quant", SchemaOf<FlexSmoothConfig>, true),
      Processor("flex_awq_ssz", SchemaOf<FlexAwqSszConfig>, false),
      Processor("awq", SchemaOf<AwqConfig>, false, true),
      Processor("kv_smooth", SchemaOf<KvSmoothConfig>, false),
      Processor("dynamic_cache", SchemaOf<DynamicCacheConfig>, false),
      Processor("fa3_quant", SchemaOf<Fa3Config>, false),
      Processor("float_sparse", SchemaOf<FloatSparseConfig>, false),
      Processor("quarot", SchemaOf<QuarotConfig>, true),
      Processor("online_quarot", SchemaOf<OnlineQuarotConfig>, false, true),
      Processor("adapt_rotation", SchemaOf<AdaptRotationConfig>, false, true),
      Processor("autoround_quant", SchemaOf<AutoroundConfig>, false),
      Processor("flatquant", SchemaOf<FlatquantConfig>, false, true),
      Processor("svd_res", SchemaOf<SvdResConfig>, false, true),
      Hidden(Processor("load", SchemaOf<LoadConfig>, true)),
  };
  for (UnionMember& saver : Savers(SchemaOf<SaverProcessorConfig>)) u.members.push_back(Hidden(std::move(saver)));
  for (const char* type :
       {"_abstract_flex_smooth_base_", "_adapt_rotation_stage1", "_adapt_rotation_stage2", "unary_analysis",
        "binary_analysis", "binary_operator_layer_wise", "binary_operator_model_wise", "saver", "auto_save"}) {
    u.members.push_back(Internal(type));
  }
  return u;
}

// Constructs the alternative of the variant that `type` names; the order is that of the list above.
void Emplace(std::string_view type, ProcessorVariant& out) {
  struct Maker {
    std::string_view type;
    void (*make)(ProcessorVariant&);
  };
  static constexpr Maker kMakers[] = {
      {"linear_quant", [](ProcessorVariant& v) { v.emplace<LinearQuantConfig>(); }},
      {"group", [](ProcessorVariant& v) { v.emplace<GroupConfig>(); }},
      {"smooth_quant", [](ProcessorVariant& v) { v.emplace<SmoothQuantConfig>(); }},
      {"iter_smooth", [](ProcessorVariant& v) { v.emplace<IterSmoothConfig>(); }},
      {"flex_smooth_quant", [](ProcessorVariant& v) { v.emplace<FlexSmoothConfig>(); }},
      {"flex_awq_ssz", [](ProcessorVariant& v) { v.emplace<FlexAwqSszConfig>(); }},
      {"awq", [](ProcessorVariant& v) { v.emplace<AwqConfig>(); }},
      {"kv_smooth", [](ProcessorVariant& v) { v.emplace<KvSmoothConfig>(); }},
      {"dynamic_cache", [](ProcessorVariant& v) { v.emplace<DynamicCacheConfig>(); }},
      {"fa3_quant", [](ProcessorVariant& v) { v.emplace<Fa3Config>(); }},
      {"float_sparse", [](ProcessorVariant& v) { v.emplace<FloatSparseConfig>(); }},
      {"quarot", [](ProcessorVariant& v) { v.emplace<QuarotConfig>(); }},
      {"online_quarot", [](ProcessorVariant& v) { v.emplace<OnlineQuarotConfig>(); }},
      {"adapt_rotation", [](ProcessorVariant& v) { v.emplace<AdaptRotationConfig>(); }},
      {"autoround_quant", [](ProcessorVariant& v) { v.emplace<AutoroundConfig>(); }},
      {"flatquant", [](ProcessorVariant& v) { v.emplace<FlatquantConfig>(); }},
      {"svd_res", [](ProcessorVariant& v) { v.emplace<SvdResConfig>(); }},
      {"load", [](ProcessorVariant& v) { v.emplace<LoadConfig>(); }},
  };
  for (const Maker& maker : kMakers) {
    if (maker.type == type) return maker.make(out);
  }
  out.emplace<SaverProcessorConfig>();
}

void ReadConfig(Reader& reader, const YamlNode& node, const ObjectSchema& schema, ProcessorVariant& out) {
  std::visit(
      [&](auto& config) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(config)>, std::monostate>) {
          ReadObject(reader, node, schema, &config, {"type"});
        }
      },
      out);
}

}  // namespace

const UnionSchema& ProcessorUnion() {
  static const UnionSchema schema = MakeProcessors();
  return schema;
}

const UnionSchema& SaverUnion() {
  static const UnionSchema schema{"saver", Savers(SchemaOf<SaverConfig>)};
  return schema;
}

bool Codec<ProcessorConfig>::Read(Reader& reader, const YamlNode& node, const FieldSpec&, ProcessorConfig& out) {
  const UnionMember* member = ReadUnionType(reader, node, ProcessorUnion());
  if (member == nullptr) return false;
  out.type = member->type;
  out.pos = node.pos;
  out.path = reader.path();
  Emplace(member->type, out.config);
  const size_t errors = reader.error_count();
  ReadConfig(reader, node, member->schema(), out.config);
  return reader.error_count() == errors;
}

bool Codec<SaverConfig>::Read(Reader& reader, const YamlNode& node, const FieldSpec&, SaverConfig& out) {
  const YamlEntry* type = node.kind == YamlKind::kMapping ? node.Find("type") : nullptr;
  if (type != nullptr && type->value->kind == YamlKind::kString && SaverUnion().Find(type->value->text) == nullptr &&
      ProcessorUnion().Find(type->value->text) != nullptr &&
      ProcessorUnion().Find(type->value->text)->refused.empty()) {
    const Reader::Step step(reader, "type");
    Remark remark;
    remark.expected = JoinWords(SaverUnion().Names());
    remark.tip = "move it to spec.process";
    reader.Error(type->value->pos, type->value->text + " is a processor, not a saver", std::move(remark));
    return false;
  }
  const UnionMember* member = ReadUnionType(reader, node, SaverUnion());
  if (member == nullptr) return false;
  out.type = member->type;
  out.pos = node.pos;
  out.path = reader.path();
  const size_t errors = reader.error_count();
  ReadObject(reader, node, member->schema(), &out, {"type"});
  return reader.error_count() == errors;
}

}  // namespace modelslim
