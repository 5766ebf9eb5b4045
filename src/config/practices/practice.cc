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

// Why the practice is not for this model type (and these tags), "" when it is.
std::string NotVerified(const Practice& practice, const PracticeQuery& query) {
  const std::vector<std::string>& types = practice.metadata().verified_model_types;
  if (!types.empty() && std::find(types.begin(), types.end(), query.model_type) == types.end()) {
    return "not verified for " + query.model_type + " (only for " + JoinWords(types) + ")";
  }
  if (query.tags.empty()) return "";
  for (const VerifiedTags& each : practice.metadata().verified_tags) {
    if (each.model_type != query.model_type) continue;
    for (const std::vector<std::string>& scenario : each.scenarios) {
      const bool all = std::all_of(query.tags.begin(), query.tags.end(), [&](const std::string& tag) {
        return std::find(scenario.begin(), scenario.end(), tag) != scenario.end();
      });
      if (all) return "";
    }
  }
  return "no verified scenario has all of the tags";
}

// The first of the pedigree that fits; those before it go to `passed_over`.
const Practice* FirstFit(const PracticeRepository& repository, std::string_view pedigree, const PracticeQuery& query,
                         const QuantTypeRequest& request, std::vector<PassedOver>& passed_over) {
  for (const Practice* practice : repository.Of(pedigree)) {
    std::string reason = NotVerified(*practice, query);
    if (reason.empty()) reason = request.Mismatch(practice->metadata().label);
    if (reason.empty()) return practice;
    passed_over.push_back({practice, std::move(reason)});
  }
  return nullptr;
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
  if (label.fa_quant != fa_bit.has_value()) return fa_bit ? "does not quantize attention" : "quantizes attention";
  if (fa_bit && label.fa_bit && *label.fa_bit != *fa_bit)
    return "quantizes attention to " + std::to_string(*label.fa_bit) + " bits";
  return "";
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

PracticeChoice ChoosePractice(const PracticeRepository& repository, const PracticeQuery& query) {
  PracticeChoice choice;
  const QuantTypeRequest request = QuantTypeRequest::Parse(query.quant_type.empty() ? "w8a8" : query.quant_type);
  if (const Practice* own = FirstFit(repository, query.pedigree, query, request, choice.passed_over)) {
    choice.chosen = own;
    choice.reason = "the first of " + query.pedigree + "/ by score (" + ScoreText(*own) + ") and name that makes " +
                    request.text + " and is verified for " + query.model_type;
    if (query.quant_type.empty()) {
      choice.needs_confirmation = true;
      choice.question = "No quantization type was given. Continue with w8a8 (" + own->metadata().config_id + ")?";
      choice.refusal = "no quantization type was given";
    }
    return choice;
  }
  choice.needs_confirmation = true;
  const std::string missing = "no best practice makes " + request.text + " for " + query.model_type;
  if (query.pedigree != "default") {
    choice.chosen = FirstFit(repository, "default", query, request, choice.passed_over);
    if (choice.chosen != nullptr) choice.reason = missing + "; this is the general one for " + request.text;
  }
  if (choice.chosen == nullptr && request.text != "w8a8") {
    choice.chosen = FirstFit(repository, "default", query, QuantTypeRequest::Parse("w8a8"), choice.passed_over);
    if (choice.chosen != nullptr) choice.reason = missing + ", nor in general; this is the general one for w8a8";
  }
  if (choice.chosen == nullptr) {
    throw Error(ErrorCode::kUnsupported, missing + ", and there is no default", "give a recipe with --config_path");
  }
  choice.question = "There is " + missing + ". Continue with " + choice.chosen->pedigree + "/" +
                    choice.chosen->metadata().config_id + "?";
  choice.refusal = missing;
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
