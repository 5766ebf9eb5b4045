// Standard input, output and error of the program, made safe before anything else happens: the descriptors 0 to 2 are
// open, what is printed is printable, and what could not be printed is an error.
#pragma once

#include <ostream>
#include <streambuf>
#include <string>

namespace modelslim {

// Opens those of the descriptors 0 to 2 that are closed (on /dev/null), so that no file of ours can ever get one of
// these numbers and the progress with it. From here on std::cout and std::cerr write through StandardBuffers.
void OpenStandardStreams();

// The last thing that is done with standard output. Throws Error when anything that was printed could not be written,
// now or before.
void CloseStandardOutput();

// The colours of our own messages. They are handed past the text, so no text can contain one.
enum class Style { kPlain, kBold, kError, kWarning };

// Takes effect on a StandardBuffer of a terminal and is nothing anywhere else.
std::ostream& operator<<(std::ostream& out, Style style);

// Passes text to a descriptor, made printable (base/printable.h).
class StandardBuffer : public std::streambuf {
 public:
  enum class OnFailure { kThrow, kIgnore };  // Error; or the text is lost, as there is nobody to tell
  // `styled`: colours are wanted.
  StandardBuffer(int descriptor, bool styled, OnFailure on_failure);
  ~StandardBuffer() override;

  void SetStyle(Style style);
  // Nothing is waiting any more. Throws (kThrow only) when this or an earlier write failed.
  void Finish();

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

 private:
  // Writes what is waiting, but for a character that is not complete yet (unless `all`).
  void Flush(bool all);
  void Write(std::string_view bytes);

  const int descriptor_;
  const bool styled_;
  const OnFailure on_failure_;
  int failure_ = 0;  // the errno of a write that failed, with kThrow
  std::string waiting_;
};

}  // namespace modelslim
