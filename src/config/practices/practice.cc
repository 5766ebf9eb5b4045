#include "config/practices/practice.h"

#include <algorithm>
#include <charconv>

#include "config/schema/schema.h"

namespace modelslim {
namespace {

bool TakeNumber(std::string_view& text, char letter, int64_t& value) {
  if (text.empty() || text[0] != letter) return false;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

std::string Bits(const std::optional<int64_t>& w, const std::optional<int64_t>& a) {
  const auto text = [](const std::optional<int64_t>& bits) { return bits ? std::to_string(*bits) : "?"; };
  return "w" + text(w) + "a" + text(a);
}

// How far a practice is for what was asked for.
enum class Fit { kNone, kOtherScenario, kFull };

struct Judgement {
  Fit fit = Fit::kNone;
  std::string reason;  // why it is not a full one
};

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool HasAll(const std::vector<std::string>& scenario, const std::vector<std::string>& tags) {
  return std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return std::any_of(scenario.begin(), scenario.end(),
                       [&](const std::string& each) { return SameIgnoringCase(each, tag); });
  });
}

std::string TagsText(const std::vector<std::string>& tags) {
  std::string text;
  for (const std::string& tag : tags) text += (text.empty() ? "" : " + ") + tag;
  return text;
}

std::string ScenariosText(const VerifiedTags& verified) {
  std::string text;
  for (const std::vector<std::string>& scenario : verified.scenarios)
    text += (text.empty() ? "" : ", ") + TagsText(scenario);
  return text;
}

// Whether the practice was verified for the model type, in the scenario of the tags.
Judgement Verified(const Metadata& metadata, const PracticeQuery& query) {
  const std::vector<std::string> names = metadata.VerifiedNames();
  if (names.empty()) {
    if (query.tags.empty()) return {Fit::kFull, ""};
    return {Fit::kNone, "names no scenario that it was verified in"};
  }
  if (std::find(names.begin(), names.end(), query.model_type) == names.end()) {
    return {Fit::kNone, "not verified for " + query.model_type + " (only for " + JoinWords(names) + ")"};
  }
  // As in 26.1.0, a list of model types leaves the tags out of account.
  if (!metadata.verified_model_types.empty() || query.tags.empty()) return {Fit::kFull, ""};
  for (const VerifiedTags& each : metadata.verified_tags) {
    if (each.model_type != query.model_type) continue;
    for (const std::vector<std::string>& scenario : each.scenarios) {
      if (HasAll(scenario, query.tags)) return {Fit::kFull, ""};
    }
    return {Fit::kOtherScenario, "verified for " + query.model_type + ", but not for " + TagsText(query.tags) +
                                     " (only for " + ScenariosText(each) + ")"};
  }
  return {};
}

constexpr std::string_view kGeneral = "default";

struct Found {
  const Practice* full = nullptr;
  const Practice* other_scenario = nullptr;  // the first of these; only looked for when nothing fits fully
  std::string other_scenario_reason;
};

// The first of the pedigree that fits; those before it go to `passed_over`.
Found FirstFit(const PracticeRepository& repository, std::string_view pedigree, const PracticeQuery& query,
               const QuantTypeRequest& request, std::vector<PassedOver>& passed_over) {
  Found found;
  for (const Practice* practice : repository.Of(pedigree)) {
    Judgement judgement{Fit::kFull, ""};
    if (pedigree != kGeneral) judgement = Verified(practice->metadata(), query);
    if (judgement.fit != Fit::kNone) {
      if (std::string mismatch = request.Mismatch(practice->metadata().label); !mismatch.empty())
        judgement = {Fit::kNone, std::move(mismatch)};
    }
    if (judgement.fit == Fit::kFull) {
      found.full = practice;
      return found;
    }
    if (judgement.fit == Fit::kOtherScenario && found.other_scenario == nullptr) {
      found.other_scenario = practice;
      found.other_scenario_reason = judgement.reason;
    }
    passed_over.push_back({practice, std::move(judgement.reason)});
  }
  return found;
}

// The directory to start from: the family's own, or for a model type that no family has the one that names it.
std::string StartOf(const PracticeRepository& repository, const PracticeQuery& query) {
  if (query.pedigree != kGeneral) return query.pedigree;
  for (const Practice& each : repository.all()) {
    const std::vector<std::string> names = each.metadata().VerifiedNames();
    if (std::find(names.begin(), names.end(), query.model_type) != names.end()) return each.pedigree;
  }
  return std::string(kGeneral);
}

std::string ScoreText(const Practice& practice) {
  std::string text = std::to_string(practice.metadata().score);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

const std::vector<std::string>& QuantTypes() {
  static const std::vector<std::string> types{"w4a8",    "w4a8c8", "w8a16",  "w8a8",   "w8a8s",  "w8a8c8",
                                              "w16a16s", "w4a4",   "w4a4c8", "w4a4f8", "w8a8f8", "w4a4f4"};
  return types;
}

QuantTypeRequest QuantTypeRequest::Parse(std::string_view text) {
  const std::vector<std::string>& types = QuantTypes();
  if (std::find(types.begin(), types.end(), text) == types.end()) {
    const std::string nearest = NearestWord(text, types);
    throw Error(ErrorCode::kSchema, "unknown quantization type " + std::string(text) + "; expected " + JoinWords(types),
                nearest.empty() ? "" : "did you mean " + nearest + "?");
  }
  QuantTypeRequest request;
  request.text = text;
  int64_t bits = 0;
  TakeNumber(text, 'w', request.w_bit);
  TakeNumber(text, 'a', request.a_bit);
  request.kv_cache = TakeNumber(text, 'c', bits);
  if (TakeNumber(text, 'f', bits)) request.fa_bit = bits;
  request.sparse = text == "s";
  return request;
}

std::string QuantTypeRequest::Mismatch(const Label& label) const {
  if (label.w_bit != w_bit || label.a_bit != a_bit) return "makes " + Bits(label.w_bit, label.a_bit) + ", not " + text;
  if (label.is_sparse != sparse) return sparse ? "is not sparse" : "is sparse";
  if (label.kv_cache != kv_cache) return kv_cache ? "does not quantize the KV cache" : "quantizes the KV cache";
  // fa_quant alone means 8 bits.
  const std::optional<int64_t> attention = label.fa_bit || !label.fa_quant ? label.fa_bit : std::optional<int64_t>(8);
  if (attention == fa_bit) return "";
  if (!attention) return "does not quantize attention";
  return fa_bit ? "quantizes attention to " + std::to_string(*attention) + " bits" : "quantizes attention";
}

PracticeRepository::PracticeRepository(const std::vector<fs::path>& directories) {
  std::vector<fs::path> files;
  for (const fs::path& directory : directories) {
    std::error_code error;
    for (const fs::directory_entry& pedigree : fs::directory_iterator(directory, error)) {
      if (!pedigree.is_directory(error)) continue;
      for (const fs::directory_entry& file : fs::directory_iterator(pedigree.path(), error)) {
        if (file.path().extension() == ".yaml" && file.is_regular_file(error)) files.push_back(file.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    Diagnostics diagnostics;
    Recipe recipe;
    try {
      recipe = LoadRecipe(file, diagnostics);
    } catch (const Error& error) {
      Diagnostic unreadable;
      unreadable.code = error.code();
      unreadable.file = file.string();
      unreadable.message = error.what();
      problems_.push_back(std::move(unreadable));
      continue;
    }
    if (diagnostics.HasErrors()) {
      for (const Diagnostic& each : diagnostics.items()) {
        if (each.severity == Severity::kError) problems_.push_back(each);
      }
      continue;
    }
    practices_.push_back({file.parent_path().filename().string(), file, std::move(recipe)});
  }
}

std::vector<const Practice*> PracticeRepository::Of(std::string_view pedigree) const {
  std::vector<const Practice*> found;
  for (const Practice& each : practices_) {
    if (each.pedigree == pedigree) found.push_back(&each);
  }
  std::stable_sort(found.begin(), found.end(), [](const Practice* a, const Practice* b) {
    if (a->metadata().score != b->metadata().score) return a->metadata().score > b->metadata().score;
    return a->metadata().config_id < b->metadata().config_id;
  });
  return found;
}

std::vector<std::string> PracticeRepository::Pedigrees() const {
  std::vector<std::string> names;
  for (const Practice& each : practices_) names.push_back(each.pedigree);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

namespace {

// Takes what FirstFit() found, if anything, and says why.
bool Take(const Found& found, const std::string& pedigree, const PracticeQuery& query, const QuantTypeRequest& request,
          PracticeChoice* choice) {
  if (found.full != nullptr) {
    choice->chosen = found.full;
    choice->reason =
        "the first of " + pedigree + "/ by score (" + ScoreText(*found.full) + ") and name that makes " + request.text;
    if (pedigree != kGeneral) choice->reason += " and is verified for " + query.model_type;
    return true;
  }
  if (found.other_scenario == nullptr) return false;
  choice->chosen = found.other_scenario;
  choice->reason = found.other_scenario_reason;
  choice->needs_confirmation = true;
  return true;
}

void Ask(const std::string& missing, PracticeChoice* choice) {
  choice->needs_confirmation = true;
  choice->question = "There is " + missing + ". Continue with " + choice->chosen->pedigree + "/" +
                     choice->chosen->metadata().config_id + "?";
  choice->refusal = missing;
}

}  // namespace

PracticeChoice ChoosePractice(const PracticeRepository& repository, const PracticeQuery& query) {
  PracticeChoice choice;
  const QuantTypeRequest request = QuantTypeRequest::Parse(query.quant_type.empty() ? "w8a8" : query.quant_type);
  const std::string own = StartOf(repository, query);
  const auto look = [&](std::string_view pedigree, const QuantTypeRequest& wanted) {
    return Take(FirstFit(repository, pedigree, query, wanted, choice.passed_over), std::string(pedigree), query, wanted,
                &choice);
  };
  std::string missing = "no best practice makes " + request.text + " for " + query.model_type;
  if (look(own, request)) {
    if (choice.needs_confirmation) {
      Ask(missing + " and is verified for " + TagsText(query.tags), &choice);
    } else if (query.quant_type.empty()) {
      choice.needs_confirmation = true;
      choice.question =
          "No quantization type was given. Continue with w8a8 (" + choice.chosen->metadata().config_id + ")?";
      choice.refusal = "no quantization type was given";
    }
    return choice;
  }
  const QuantTypeRequest w8a8 = QuantTypeRequest::Parse("w8a8");
  const bool other_type = request.text != w8a8.text;
  if (own != kGeneral && look(kGeneral, request)) {
    choice.reason = missing + "; this is the general one for " + request.text;
  } else if (other_type && look(own, w8a8)) {
    choice.reason =
        missing + ", nor in general; this is " + (own != kGeneral ? "its" : "the general") + " one for w8a8";
  } else if (other_type && own != kGeneral && look(kGeneral, w8a8)) {
    choice.reason = missing + ", nor in general; this is the general one for w8a8";
  }
  if (choice.chosen == nullptr) {
    throw Error(ErrorCode::kUnsupported, missing + ", and there is no default", "give a recipe with --config_path");
  }
  Ask(missing, &choice);
  return choice;
}

bool IsYes(std::string_view answer) {
  std::string word;
  for (char c : answer) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
      word += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return word == "y" || word == "yes";
}

const Practice& FindPracticeById(const PracticeRepository& repository, std::string_view pedigree, std::string_view id) {
  for (const Practice* practice : repository.Of(pedigree)) {
    if (practice->metadata().config_id != id) continue;
    if (practice->file.stem().string() == id) return *practice;
    throw Error(ErrorCode::kSecurity,
                practice->file.string() + ": the file's name differs from its config_id " + std::string(id),
                "rename the file to " + std::string(id) + ".yaml");
  }
  throw Error(ErrorCode::kSecurity, "no practice " + std::string(id) + " in " + std::string(pedigree) + "/");
}

}  // namespace modelslim
