// What happens to arguments before the parser sees them, and what shells complete.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "cli/abbreviations.h"
#include "cli/completion.h"
#include "cli/home.h"

namespace modelslim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// quant --model_path --model_type --save_path; recipe check --model_path.
class ArgumentsTest : public testing::Test {
 protected:
  ArgumentsTest() {
    CLI::App* const quant = app_.add_subcommand("quant");
    for (const char* name : {"--model_path", "--model_type", "--save_path"}) quant->add_option(name);
    app_.add_subcommand("recipe")->add_subcommand("check")->add_option("--model_path");
  }
  std::vector<std::string> Expand(std::vector<std::string> arguments) const {
    return ExpandAbbreviations(app_, std::move(arguments));
  }
  std::string Unknown(const std::vector<std::string>& arguments) const { return UnknownOption(app_, arguments); }

  CLI::App app_;
};

TEST_F(ArgumentsTest, ALongOptionMayBeShortenedWhileItIsUnique) {
  EXPECT_THAT(Expand({"quant", "--save", "out", "--model_p=x"}),
              ElementsAre("quant", "--save_path", "out", "--model_path=x"));
  EXPECT_THAT(Expand({"quant", "--model", "x"}), ElementsAre("quant", "--model", "x"));  // two begin so
  EXPECT_THAT(Expand({"recipe", "check", "--model", "x"}), ElementsAre("recipe", "check", "--model_path", "x"));
}

TEST_F(ArgumentsTest, WhatFollowsTwoDashesIsNoOption) {
  EXPECT_THAT(Expand({"quant", "--", "--save"}), ElementsAre("quant", "--", "--save"));
  EXPECT_EQ(Unknown({"quant", "--", "--nothing"}), "");
}

TEST_F(ArgumentsTest, AnUnknownOptionIsNamedWithTheNearest) {
  EXPECT_EQ(Unknown({"quant", "--modle_path", "x"}), "--modle_path; did you mean --model_path?");
  EXPECT_THAT(Unknown({"recipe", "check", "--save_path=x"}), HasSubstr("--save_path"));  // of another command
  EXPECT_EQ(Unknown({"quant", "--model_path", "x"}), "");
}

TEST_F(ArgumentsTest, ShellsCompleteCommandsAndTheirOptions) {
  std::ostringstream bash, zsh;
  WriteCompletion(app_, "bash", bash);
  WriteCompletion(app_, "zsh", zsh);
  EXPECT_THAT(bash.str(), HasSubstr("\"quant\") words=\""));
  EXPECT_THAT(bash.str(), HasSubstr("--save_path"));
  EXPECT_THAT(bash.str(), HasSubstr("\"recipe check\") words=\""));
  EXPECT_THAT(bash.str(), Not(HasSubstr("bashcompinit")));
  EXPECT_THAT(zsh.str(), HasSubstr("bashcompinit"));
}

TEST(Home, StandsForTheTildeAtTheBeginningOnly) {
  ASSERT_EQ(setenv("HOME", "/home/ann", 1), 0);
  EXPECT_EQ(ExpandHome("~"), "/home/ann");
  EXPECT_EQ(ExpandHome("~/out"), "/home/ann/out");
  EXPECT_EQ(ExpandHome("~bob/out"), "~bob/out");
  EXPECT_EQ(ExpandHome("a/~"), "a/~");
  EXPECT_EQ(ExpandHome(""), "");
}

}  // namespace
}  // namespace modelslim
