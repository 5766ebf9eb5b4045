// Test helpers: some code must throw an Error.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "base/error.h"

namespace modelslim {

// The error that `action` throws; fails the test when it throws none.
template <typename Action>
Error ErrorOf(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorCode::kUnexpected, "none");
}

// Throws an Error of one code whose message holds every given part.
template <class F>
void ExpectError(F&& run, ErrorCode code, std::initializer_list<std::string> parts) {
  const std::string first = parts.size() > 0 ? *(parts.end() - 1) : "";
  try {
    run();
    ADD_FAILURE() << "expected an Error saying: " << first;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part : parts) EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
  }
}

}  // namespace modelslim
