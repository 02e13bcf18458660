#include <lovage/worker/control/memory_samples.hpp>

#include <gtest/gtest.h>

namespace lovage::control {
namespace {

// Expected texts are what celery.utils.debug of 5.6 prints for these numbers.

TEST(MemorySamples, AreShownInTheLargestUnit) {
    MemorySamples samples;
    EXPECT_EQ(samples.add(512), "512b");
    EXPECT_EQ(samples.add(2048), "2KB");
    EXPECT_EQ(samples.add(16'244'736), "15.492MB");
    EXPECT_EQ(samples.add(3'221'225'472), "3GB");
    EXPECT_EQ(samples.add(1'234'567'890), "1.1498GB");
    EXPECT_EQ(samples.add((100U << 20U) + 1), "100.0MB");
    EXPECT_EQ(samples.add(5ULL << 40U), "5TB");
}

TEST(MemorySamples, AreDumpedOnce) {
    MemorySamples samples;
    EXPECT_EQ(samples.dump(10, 1 << 20), "- rss (end): 1MB.\n");
    (void)samples.add(1024);
    (void)samples.add(2048);
    EXPECT_EQ(samples.dump(10, 1 << 20),
              "- rss (sample):\n-    > 1KB,\n-    > 2KB,\n- rss (end): 1MB.\n");
    EXPECT_EQ(samples.dump(10, 1 << 20), "- rss (end): 1MB.\n");
}

TEST(MemorySamples, OfWhichFewerAreAskedForAreTakenEvenly) {
    MemorySamples samples;
    for (std::uint64_t i = 0; i < 7; ++i) (void)samples.add(i);
    EXPECT_EQ(samples.dump(3, 9),
              "- rss (sample):\n-    > 0b,\n-    > 2b,\n-    > 4b,\n- rss (end): 9b.\n");
    (void)samples.add(1);
    EXPECT_EQ(samples.dump(0, 9), "- rss (end): 9b.\n");
}

TEST(MemorySamples, KeepTheLatest) {
    MemorySamples samples;
    for (std::uint64_t i = 0; i <= MemorySamples::kMost; ++i) (void)samples.add(i);
    EXPECT_EQ(samples.dump(1, 9), "- rss (sample):\n-    > 1b,\n- rss (end): 9b.\n");
}

}  // namespace
}  // namespace lovage::control
