#include <lovage/cli/banner.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

BannerFacts facts() {
    return {.hostname = "w1@host",
            .version = "Lovage 0.1.0",
            .platform = "Linux-6.1-x86_64",
            .started = "2026-11-21 17:51:02",
            .app = "shop",
            .transport = "amqp://guest:********@host//",
            .results = "memory://",
            .concurrency = 4,
            .pool = "threads",
            .queues = {"celery", "slow"},
            .tasks = {"add", "mail.send"}};
}

TEST(Banner, HasCelerysBlocks) {
    const std::string text = banner(facts(), false);
    EXPECT_THAT(text, AllOf(HasSubstr("w1@host  Lovage 0.1.0\n"), HasSubstr("[config]\n"),
                            HasSubstr(".> app:         shop\n"),
                            HasSubstr(".> transport:   amqp://guest:********@host//\n"),
                            HasSubstr(".> results:     memory://\n"),
                            HasSubstr(".> concurrency: 4 (threads)\n"), HasSubstr("[queues]\n"),
                            HasSubstr(".> celery           exchange=celery(direct) key=celery\n"),
                            HasSubstr(".> slow             exchange=slow(direct) key=slow\n"),
                            EndsWith("\n[tasks]\n  . add\n  . mail.send\n\n")));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Banner, ColorsTheDrawingWhenAsked) {
    EXPECT_THAT(banner(facts(), true), HasSubstr("\x1b[32m"));
}

TEST(Banner, NamesCannotSteerTheTerminal) {
    BannerFacts odd = facts();
    odd.tasks = {"a\x1b[2J"};
    EXPECT_THAT(banner(odd, false), HasSubstr("  . a\\x1b[2J\n"));
}

}  // namespace
}  // namespace lovage::cli
