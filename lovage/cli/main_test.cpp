// The whole command line, as a program's `main` calls it.
#include <lovage/cli/main.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lovage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

int add(int x, int y) {
    return x + y;
}

struct Ran {
    int code = -1;
    std::string out;
    std::string err;
};

/// Runs "shop <words>" on an app of its own.
Ran run(std::vector<std::string> words, const Settings* settings = nullptr) {
    App app{"shop"};
    if (settings != nullptr) app.configure(*settings);
    (void)app.task("add", add, arg("x"), arg("y"));
    words.insert(words.begin(), "/usr/bin/shop");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    Ran ran;
    ran.code = lovage::main(app, static_cast<int>(words.size()), arguments.data());
    ran.out = ::testing::internal::GetCapturedStdout();
    ran.err = ::testing::internal::GetCapturedStderr();
    return ran;
}

const std::vector<std::string> kMemory{"-b", "memory://main-test", "--result-backend",
                                       "memory://main-test"};

std::vector<std::string> with_memory(std::vector<std::string> words) {
    words.insert(words.begin(), kMemory.begin(), kMemory.end());
    return words;
}

TEST(Main, AnswersHelpOnStandardOutput) {
    const Ran ran = run({"--help"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out, HasSubstr("Usage: shop "));
    EXPECT_THAT(ran.err, IsEmpty());
}

TEST(Main, AnswersAWrongCommandLineOnStandardErrorWithTwo) {
    const Ran ran = run({"stauts"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err,
              "Error: unknown command 'stauts'; did you mean 'status'?\nTry 'shop --help'.\n");
    EXPECT_THAT(ran.out, IsEmpty());
}

TEST(Main, RunsACommandWithTheFlagsItWasGiven) {
    const Ran ran = run(with_memory({"status"}));
    EXPECT_EQ(ran.code, 69);
    EXPECT_THAT(ran.out, HasSubstr("broker          memory://main-test  reachable"));
    EXPECT_EQ(ran.err, "Error: No nodes replied within time constraint\n");
}

TEST(Main, ABadSettingStopsTheStartAndIsNamed) {
    const Ran ran = run({"-b", "nonsense", "status"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, StartsWith("Error: -b/--broker: broker_url = 'nonsense' does not work"));
}

TEST(Main, PoolsThatDoNotExistAreRefusedByName) {
    const Ran ran = run({"worker", "-P", "gevent"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, StartsWith("Error: -P/--pool: worker_pool = 'gevent' does not work; the "
                                    "accepted form is prefork, threads, coroutine or solo"));
}

TEST(Main, AnUnknownSchemeNamesTheDriversThereAre) {
    const Ran ran = run({"-b", "gopher://user:s3cret@host", "status"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("gopher://user:********@host"), HasSubstr("memory://"),
                               HasSubstr("sqlite://"), Not(HasSubstr("s3cret"))));
}

TEST(Main, AMissingSettingsFileIsAnError) {
    const Ran ran = run(with_memory({"--config", "/nonexistent.toml", "status"}));
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, HasSubstr("/nonexistent.toml"));
}

TEST(Main, WhatTheProgramSetHoldsWhenNothingElseSaysOtherwise) {
    Settings settings;
    settings.broker_url = "memory://from-program";
    settings.result_backend = "memory://from-program";
    EXPECT_THAT(run({"status"}, &settings).out, HasSubstr("memory://from-program"));
    EXPECT_THAT(run(with_memory({"status"}), &settings).out,
                Not(HasSubstr("memory://from-program")));
}

TEST(Main, CallPrintsTheIdAlone) {
    const Ran ran = run(with_memory({"call", "add", "-a", "[1, 2]"}));
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out.size(), 37U);
    EXPECT_THAT(ran.err, IsEmpty());
}

}  // namespace
}  // namespace lovage
