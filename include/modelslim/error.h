// The one exception type of the library.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace modelslim {

// Numbers and classes as users of msModelSlim know them.
enum class ErrorCode : int {
  kEnvironment = 100,          // EnvError: unknown apiversion, missing capability of this installation
  kVersion = 101,              // VersionError
  kEnvironmentVariable = 102,  // EnvVarError
  kConfig = 103,               // ConfigError: broken installation
  kMisuse = 200,               // MisbehaviorError: the call contradicts itself
  kInvalidModel = 201,         // InvalidModelError: content of the model directory
  kInvalidDataset = 202,       // InvalidDatasetError
  kSchema = 203,               // SchemaValidateError: a value of a recipe or of the command line
  kSecurity = 204,             // SecurityError: path, permission, length
  kTrivial = 300,              // TrivialError
  kUnsupported = 301,          // UnsupportedError: legal, but not for this model or combination
  kSpec = 302,                 // SpecError
  kToDo = 400,                 // ToDoError: not implemented yet
  kUnexpected = 500,           // UnexpectedError: our own fault, or the system's (I/O, memory)
};

// "SchemaValidateError" and so on.
std::string_view ErrorClassName(ErrorCode code);

// Thrown for whatever ends a run; outcomes that a caller expects are return values instead. `message` names the subject
// (file, tensor, YAML path), what was expected and what was found; `tip` is the next step and may be empty. what() is
// the message alone.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string message, std::string tip = "");

  ErrorCode code() const { return code_; }
  const std::string& tip() const { return tip_; }
  // "Code: 203, Message: ..." and, when there is a tip, a second line "TIP: ...".
  std::string Text() const;

 private:
  ErrorCode code_;
  std::string tip_;
};

}  // namespace modelslim
