#include "base/error.h"

#include <utility>

namespace modelslim {

std::string_view ErrorClassName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kEnvironment:
      return "EnvError";
    case ErrorCode::kVersion:
      return "VersionError";
    case ErrorCode::kEnvironmentVariable:
      return "EnvVarError";
    case ErrorCode::kConfig:
      return "ConfigError";
    case ErrorCode::kMisuse:
      return "MisbehaviorError";
    case ErrorCode::kInvalidModel:
      return "InvalidModelError";
    case ErrorCode::kInvalidDataset:
      return "InvalidDatasetError";
    case ErrorCode::kSchema:
      return "SchemaValidateError";
    case ErrorCode::kSecurity:
      return "SecurityError";
    case ErrorCode::kTrivial:
      return "TrivialError";
    case ErrorCode::kUnsupported:
      return "UnsupportedError";
    case ErrorCode::kSpec:
      return "SpecError";
    case ErrorCode::kToDo:
      return "ToDoError";
    case ErrorCode::kUnexpected:
      return "UnexpectedError";
  }
  return "UnexpectedError";
}

Error::Error(ErrorCode code, std::string message, std::string tip)
    : std::runtime_error(message), code_(code), tip_(std::move(tip)) {}

std::string Error::Text() const {
  std::string text = "Code: " + std::to_string(static_cast<int>(code_)) + ", Message: " + what();
  if (!tip_.empty()) text += "\nTIP: " + tip_;
  return text;
}

void CheckFailed(const char* condition, const char* file, int line) {
  // An exception, not abort(): a worker thread carries it back and the journal survives.
  throw Error(ErrorCode::kUnexpected,
              std::string("internal check failed: ") + condition + " (" + file + ":" + std::to_string(line) + ")",
              "please report this with the command line and the recipe");
}

}  // namespace modelslim
