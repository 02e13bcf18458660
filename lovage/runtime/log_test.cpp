#include <lovage/runtime/detail/log_format.hpp>
#include <lovage/runtime/detail/utf8.hpp>
#include <lovage/runtime/log.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace lovage::log {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// 2026-11-21T17:51:02.123Z
std::chrono::system_clock::time_point moment() {
    return std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + std::chrono::hours{17} +
           std::chrono::minutes{51} + std::chrono::milliseconds{2123};
}

struct Line {
    std::string message;
    std::vector<Field> fields = {};
    Level level = Level::info;
};

detail::Record record_of(const Line& line) {
    return {.level = line.level,
            .time = moment(),
            .logger = "worker",
            .message = line.message,
            .fields = line.fields,
            .service_name = "project-worker",
            .thread_name = "loop",
            .pid = 42};
}

std::string json(const Line& line) {
    std::string out;
    detail::append_json_line(out, record_of(line));
    return out;
}

std::string text(const Line& line, bool color = false) {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    std::string out;
    detail::append_text_line(out, record_of(line), color);
    return out;
}

TEST(TextLine, ShowsTimeLevelLoggerMessageAndFields) {
    EXPECT_EQ(text({"task received", {{"lovage.task.id", "a-1"}, {"queue", "two words"}}}),
              "2026-11-21 17:51:02,123 INFO     worker  task received lovage.task.id=a-1 "
              "queue=\"two words\"\n");
}

TEST(TextLine, ColorsTheLevelOnlyWhenAsked) {
    EXPECT_THAT(text({"x", {}, Level::error}, true), HasSubstr("\x1b[31mERROR   \x1b[0m"));
    EXPECT_THAT(text({"x", {}, Level::error}, false), Not(HasSubstr("\x1b")));
}

TEST(TextLine, NeverPassesControlCharactersToTheTerminal) {
    EXPECT_THAT(text({"a\x1b[2Jb\rc\xC2\x9B"
                      "d"}),
                EndsWith("a\\x1b[2Jb\\x0dc\\x9bd\n"));
    EXPECT_THAT(text({"m", {{"k", "x\ny"}}}), EndsWith("m k=\"x\\ny\"\n"));
}

TEST(TextLine, IndentsFurtherLinesSoThatNoneCanBeForged) {
    EXPECT_THAT(text({"Traceback:\n2026 INFO forged"}),
                EndsWith("Traceback:\n    2026 INFO forged\n"));
}

TEST(JsonLine, HasTheEcsNamesInTheOrderTheSpecificationWants) {
    EXPECT_EQ(json({"ready", {{"lovage.queue", "celery"}}, Level::warning}),
              R"({"@timestamp":"2026-11-21T17:51:02.123Z","log.level":"warning","message":"ready",)"
              R"("ecs.version":"8.11.0","service.name":"project-worker","log.logger":"worker",)"
              R"("process.pid":42,"process.thread.name":"loop","lovage.queue":"celery"})"
              "\n");
}

TEST(JsonLine, WritesNumbersAsSuchWhereTheyAre) {
    for (const char* number : {"0", "-1", "200", "1.5", "2e+9"}) {
        EXPECT_THAT(json({"m", {{"n", number, true}}}),
                    EndsWith(std::string{"\"n\":"} + number + "}\n"));
    }
    for (const char* text : {"", "-", "01", "1.", "1e", "0x1", "1,\"k\":2", "NaN"}) {
        EXPECT_THAT(json({"m", {{"n", text, true}}}), HasSubstr("\"n\":\"")) << text;
    }
    EXPECT_THAT(json({"m", {{"n", "200"}}}), EndsWith("\"n\":\"200\"}\n"));
}

TEST(JsonLine, EscapesWhatJsonMustEscape) {
    EXPECT_THAT(json({"\"\\\n\t\x01\x7F/é"}),
                HasSubstr(R"("message":"\"\\\n\u0009\u0001\u007f/é")"));
    EXPECT_THAT(json({std::string{"a\0b", 3}}), HasSubstr(R"("message":"a\u0000b")"));
}

TEST(JsonLine, ReplacesBytesThatAreNotUtf8) {
    // A stray continuation byte, an overlong slash, a surrogate, a cut sequence.
    EXPECT_THAT(json({"\x80"}), HasSubstr("\"message\":\"\uFFFD\""));
    EXPECT_THAT(json({"\xC0\xAF"}), HasSubstr("\"message\":\"\uFFFD\uFFFD\""));
    EXPECT_THAT(json({"\xED\xA0\x80"}), HasSubstr("\"message\":\"\uFFFD\uFFFD\uFFFD\""));
    EXPECT_THAT(json({"a\xF0\x9F\x8C"}), HasSubstr("\"message\":\"a\uFFFD\uFFFD\uFFFD\""));
    EXPECT_THAT(json({"🌿"}), HasSubstr("\"message\":\"🌿\""));
}

TEST(JsonLine, CutsLongTextsBetweenCharacters) {
    std::string euros;
    while (euros.size() <= detail::kTextBytesMax) euros += "€";
    const std::string line = json({euros});
    EXPECT_LT(line.size(), detail::kTextBytesMax + 400);
    // 16,384 is no multiple of three: one byte of the last whole character is left out as well.
    EXPECT_THAT(line, AllOf(HasSubstr("€… (3 bytes left out)\""), Not(HasSubstr("\uFFFD"))));
}

TEST(JsonLine, MasksSecretsBeforeItCuts) {
    const std::string url = "amqp://guest:" + std::string(detail::kTextBytesMax, 's') + "@host";
    EXPECT_THAT(json({url}), AllOf(HasSubstr("amqp://guest:********@host"), Not(HasSubstr("sss"))));
}

TEST(JsonLine, ASecretAcrossTheCutIsHiddenWhole) {
    const std::string before(detail::kTextBytesMax - 20, '.');
    const std::string line =
        json({before + " amqp://guest:s3cret" + std::string(50, 's') + "@host"});
    EXPECT_THAT(line, AllOf(HasSubstr("amqp://guest:**"), Not(HasSubstr("s3cret"))));
}

TEST(MaskSecrets, HidesPasswordsOfUrls) {
    EXPECT_EQ(mask_secrets("amqp://guest:guest@host:5672//"), "amqp://guest:********@host:5672//");
    EXPECT_EQ(mask_secrets("redis://:s3cret@host/0"), "redis://:********@host/0");
    EXPECT_EQ(mask_secrets("a://u:p@h,b://v:q@i"), "a://u:********@h,b://v:********@i");
    EXPECT_EQ(mask_secrets("a://u:p@ss@h"), "a://u:********@h");
    EXPECT_EQ(mask_secrets("a://u:p/w?x#y@h/path"), "a://u:********@h/path");
}

TEST(MaskSecrets, APasswordMayHoldQuotes) {
    EXPECT_EQ(mask_secrets("amqp://user:it's@host//"), "amqp://user:********@host//");
    EXPECT_EQ(mask_secrets("no driver for 'a://u:it's@h' is"),
              "no driver for 'a://u:********@h' is");
    EXPECT_EQ(mask_secrets("a://u:p\"<|>`w@h"), "a://u:********@h");
    EXPECT_EQ(mask_secrets("a://u:p@'s@h"), "a://u:********@h");
    EXPECT_EQ(mask_secrets("a://u:p/'w@h"), "a://u:********@h");
}

TEST(MaskSecrets, TakesTimeInProportionToTheText) {
    // Once quadratic: a megabyte of it would not end within the test's time limit.
    for (const std::string_view unit : {"://", "a://b:c/", "a://b:c'", "a://@", "password='",
                                        "password=\"x ", "token=a'.", "://u:p@", "'", "@:/"}) {
        std::string text;
        while (text.size() < (std::size_t{1} << 20U)) text += unit;
        EXPECT_FALSE(mask_secrets(text).empty()) << unit;
    }
}

TEST(MaskSecrets, LeavesUrlsWithoutPasswordsAlone) {
    for (const char* plain : {"http://127.0.0.1:5000/v1/@me", "sqlite:///.lovage", "a://user@host",
                              "see http://h:80 or mail to x@y", "memory://", "://", "a:b@c"}) {
        EXPECT_EQ(mask_secrets(plain), plain);
    }
}

TEST(MaskSecrets, HidesSecretsGivenByName) {
    EXPECT_EQ(mask_secrets("redis://h?password=abc&db=1"), "redis://h?password=********&db=1");
    EXPECT_EQ(mask_secrets("host=h Password=abc dbname=d"), "host=h Password=******** dbname=d");
    EXPECT_EQ(mask_secrets("my_token=abc mytoken=abc"), "my_token=abc mytoken=abc");
    EXPECT_EQ(mask_secrets("token="), "token=");
    EXPECT_EQ(mask_secrets("?password=ab'cd&db=1"), "?password=********&db=1");
    EXPECT_EQ(mask_secrets("password='it\\'s a secret' dbname=d"), "password=******** dbname=d");
    EXPECT_EQ(mask_secrets("'a://h?token=abc': down"), "'a://h?token=********': down");
}

TEST(Utf8, PrefixNeverCutsASequence) {
    using lovage::detail::utf8_prefix;
    EXPECT_EQ(utf8_prefix("a€b", 5), "a€b");
    EXPECT_EQ(utf8_prefix("a€b", 4), "a€");
    EXPECT_EQ(utf8_prefix("a€b", 3), "a");
    EXPECT_EQ(utf8_prefix("a€b", 2), "a");
    EXPECT_EQ(utf8_prefix("a€b", 0), "");
}

TEST(Utf8, SuffixNeverCutsASequence) {
    using lovage::detail::utf8_suffix;
    EXPECT_EQ(utf8_suffix("a€b", 5), "a€b");
    EXPECT_EQ(utf8_suffix("a€b", 4), "€b");
    EXPECT_EQ(utf8_suffix("a€b", 3), "b");
    EXPECT_EQ(utf8_suffix("a€b", 2), "b");
    EXPECT_EQ(utf8_suffix("a€", 1), "");
    EXPECT_EQ(utf8_suffix("a€b", 0), "");
    // Of a text that is no UTF-8, no more is left out than a sequence has.
    EXPECT_EQ(utf8_suffix("a\x80\x80\x80\x80\x80", 5), "\x80\x80");
}

class ProcessLog : public ::testing::Test {
protected:
    void SetUp() override { ::testing::internal::CaptureStderr(); }
    static std::string written() {
        flush();
        return ::testing::internal::GetCapturedStderr();
    }
};

TEST_F(ProcessLog, WritesJsonWhenStandardErrorIsNoTerminal) {
    configure({.service_name = "svc"});
    info("worker", "{} of {}", 1, 2);
    write(Level::error, "http", "gone", {{"url.path", "/x"}});
    const std::string lines = written();
    EXPECT_THAT(lines, StartsWith("{\"@timestamp\":\""));
    EXPECT_THAT(lines, HasSubstr("\"message\":\"1 of 2\""));
    EXPECT_THAT(lines, HasSubstr("\"url.path\":\"/x\"}\n"));
    EXPECT_THAT(lines, HasSubstr("\"service.name\":\"svc\""));
}

TEST_F(ProcessLog, KeepsQuietBelowItsLevel) {
    configure({.level = Level::warning, .format = Format::text});
    EXPECT_FALSE(enabled(Level::info));
    info("worker", "quiet");
    warning("worker", "loud");
    EXPECT_THAT(written(), AllOf(HasSubstr("WARNING  worker  loud\n"), Not(HasSubstr("quiet"))));
    configure({});
}

TEST_F(ProcessLog, StillWritesAfterAFlush) {
    configure({.format = Format::text});
    flush();
    info("worker", "late");
    EXPECT_THAT(written(), HasSubstr("late\n"));
}

/// Standard error as a pipe that nobody reads until drain().
class StandardErrorPipe {
public:
    StandardErrorPipe() {
        EXPECT_EQ(::pipe(ends_), 0);
        saved_ = ::dup(STDERR_FILENO);
        ::dup2(ends_[1], STDERR_FILENO);
        ::close(ends_[1]);
    }
    ~StandardErrorPipe() {
        ::dup2(saved_, STDERR_FILENO);
        ::close(saved_);
        if (reader_.joinable()) reader_.join();
        ::close(ends_[0]);
    }
    void drain() {
        reader_ = std::thread{[this] {
            char bytes[4096];
            for (ssize_t n = 0; (n = ::read(ends_[0], bytes, sizeof bytes)) > 0;) {
                text_.append(bytes, static_cast<std::size_t>(n));
            }
        }};
    }
    /// Everything that was written. Gives standard error back.
    const std::string& text() {
        ::dup2(saved_, STDERR_FILENO);
        reader_.join();
        return text_;
    }

private:
    int ends_[2] = {};
    int saved_ = -1;
    std::thread reader_;
    std::string text_;
};

TEST(ProcessLogOnASlowPipe, WritersGoOnAndLostLinesAreCountedAndReported) {
    StandardErrorPipe pipe;
    configure({.format = Format::text});
    const std::uint64_t lost_before = lost_lines();
    // Far more than the pipe (64 KiB) and the queue (1,024 lines) take: this would block for ever
    // if it waited.
    const std::string text(200, 'x');
    for (int i = 0; i < 3000; ++i) info("worker", "line {} {}", i, text);
    const std::uint64_t lost = lost_lines() - lost_before;
    EXPECT_GT(lost, 1000U);

    pipe.drain();
    flush();
    const std::string& written = pipe.text();
    EXPECT_THAT(written, HasSubstr("line 2999 "))
        << "the oldest lines are given up, not the newest";
    EXPECT_THAT(written, HasSubstr(fmt::format("{} log lines are lost so far", lost_lines())));
    EXPECT_GE(static_cast<std::uint64_t>(std::ranges::count(written, '\n')) + lost, 3000U + 2U)
        << "every line is written or counted, and the loss is reported at least twice";
}

TEST(ProcessLogOnAFullDisk, WritersGoOnAndTheNextOneWithRoomHasTheCount) {
    flush();
    const int saved = ::dup(STDERR_FILENO);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);  // ENOSPC, always
    ASSERT_GE(full, 0);
    ::dup2(full, STDERR_FILENO);
    ::close(full);
    configure({.format = Format::text});
    const std::uint64_t lost_before = lost_lines();
    for (int i = 0; i < 100; ++i) info("worker", "line {}", i);
    flush();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    EXPECT_GE(lost_lines() - lost_before, 100U) << "the lines, and what was said of them";

    ::testing::internal::CaptureStderr();
    configure({.format = Format::text});
    info("worker", "there is room again");
    flush();
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                AllOf(HasSubstr("there is room again\n"),
                      HasSubstr(fmt::format("{} log lines are lost so far", lost_lines()))));
}

}  // namespace
}  // namespace lovage::log
