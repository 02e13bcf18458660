#include <lovage/runtime/process_stats.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

constexpr detail::KernelFacts kFacts{.ticks_per_second = 100, .page_bytes = 4096};

TEST(ProcessStats, CountsFieldsBehindTheNameWhateverItHolds) {
    const ProcessStats stats = detail::parse_process_stats(
        "4711 (odd) name (x) S 1 2 3 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 7 0 1000 8192 3 "
        "18446744",
        "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n", kFacts);
    EXPECT_DOUBLE_EQ(stats.cpu_seconds, 3.0);
    EXPECT_EQ(stats.threads, 7U);
    EXPECT_EQ(stats.virtual_bytes, 8192U);
    EXPECT_EQ(stats.resident_bytes, 3U * 4096U);
    EXPECT_DOUBLE_EQ(stats.start_time_seconds, 1700000010.0);
}

TEST(ProcessStats, UnreadableTextGivesZeros) {
    EXPECT_EQ(detail::parse_process_stats("", "", kFacts).resident_bytes, 0U);
    EXPECT_EQ(detail::parse_process_stats("1 (x) S 1", "btime", kFacts).threads, 0U);
}

TEST(ProcessStats, KnowsThisProcess) {
    const ProcessStats stats = read_process_stats();
    EXPECT_GT(stats.resident_bytes, 100'000U);
    EXPECT_GE(stats.open_descriptors, 3U);
    EXPECT_GE(stats.descriptors_max, stats.open_descriptors);
    EXPECT_GE(stats.threads, 1U);
    EXPECT_GT(stats.start_time_seconds, 1'600'000'000.0);
}

}  // namespace
}  // namespace lovage
