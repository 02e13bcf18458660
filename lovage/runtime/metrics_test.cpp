#include <lovage/runtime/metrics.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lovage::metrics {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, ScrapeIsPrometheusText) {
    Registry registry;
    registry.counter("lovage_tasks_total", "Tasks run.", {"name", "outcome"})
        .with({"add", "success"})
        .increment(3);
    registry.gauge("lovage_slots", "Slots.").with({}).set(2);
    EXPECT_THAT(registry.scrape(),
                AllOf(HasSubstr("# HELP lovage_tasks_total Tasks run.\n"
                                "# TYPE lovage_tasks_total counter\n"
                                "lovage_tasks_total{name=\"add\",outcome=\"success\"} 3\n"),
                      HasSubstr("# TYPE lovage_slots gauge\nlovage_slots 2\n")));
}

TEST(Metrics, AFamilyAskedForTwiceIsTheSame) {
    Registry registry;
    registry.counter("c", "h", {"l"}).with({"v"}).increment();
    registry.counter("c", "h", {"l"}).with({"v"}).increment();
    EXPECT_THAT(registry.scrape(), HasSubstr("c{l=\"v\"} 2\n"));
}

TEST(MetricsDeathTest, OtherLabelsOrAnotherTypeUnderTheSameNameAssert) {
    Registry registry;
    const CounterFamily family = registry.counter("c", "h", {"l"});
    EXPECT_DEATH((void)registry.counter("c", "h", {"other"}), "broken invariant");
    EXPECT_DEATH((void)registry.gauge("c", "h", {"l"}), "broken invariant");
    EXPECT_DEATH((void)family.with({}), "broken invariant");
}

TEST(Metrics, NamesPrometheusForbidsAreRefused) {
    Registry registry;
    EXPECT_THROW((void)registry.counter("no blanks", "h"), std::invalid_argument);
}

TEST(Metrics, HistogramsCountIntoTheirBuckets) {
    Registry registry;
    const Histogram seconds = registry.histogram("h_seconds", "h", {}, {0.1, 1.0}).with({});
    Histogram copy = seconds;
    copy.observe(0.05);
    copy.observe(0.5);
    copy.observe(7);
    EXPECT_THAT(registry.scrape(), AllOf(HasSubstr("h_seconds_bucket{le=\"0.1\"} 1\n"),
                                         HasSubstr("h_seconds_bucket{le=\"1\"} 2\n"),
                                         HasSubstr("h_seconds_bucket{le=\"+Inf\"} 3\n"),
                                         HasSubstr("h_seconds_count 3\n")));
}

TEST(Metrics, SeriesBeyondTheLimitAreCountedAsOther) {
    Registry registry;
    const CounterFamily family = registry.counter("c", "h", {"user", "path"});
    for (int i = 0; i < 1500; ++i) family.with({std::to_string(i), "/"}).increment();
    family.with({"0", "/"}).increment();

    const std::string text = registry.scrape();
    EXPECT_THAT(text,
                AllOf(HasSubstr("c{path=\"other\",user=\"other\"} 501\n"),
                      HasSubstr("c{path=\"/\",user=\"0\"} 2\n"),
                      HasSubstr("c{path=\"/\",user=\"998\"} 1\n"), Not(HasSubstr("user=\"999\""))));
}

TEST(Metrics, LabelValuesMayBeAnyBytes) {
    Registry registry;
    const CounterFamily family = registry.counter("c", "h", {"l"});
    family.with({"a\"b\\c\nd\xFF"}).increment();
    family.with({"a\"b\\c\nd\xFF"}).increment();
    family.with({std::string(1000, 'x')}).increment();
    EXPECT_THAT(registry.scrape(), AllOf(HasSubstr("c{l=\"a\\\"b\\\\c\\nd\uFFFD\"} 2\n"),
                                         HasSubstr("c{l=\"" + std::string(256, 'x') + "\"} 1\n")));
}

TEST(Metrics, DefaultConstructedHandlesCountNothing) {
    Counter{}.increment();
    Gauge{}.set(1);
    Histogram{}.observe(1);
}

TEST(Metrics, CountsFromSeveralThreadsAddUp) {
    Registry registry;
    const CounterFamily family = registry.counter("c", "h", {"l"});
    const HistogramFamily seconds = registry.histogram("h", "h");
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 1000; ++i) {
                    family.with({"v"}).increment();
                    seconds.with({}).observe(0.5);
                }
            });
        }
    }
    EXPECT_THAT(registry.scrape(),
                AllOf(HasSubstr("c{l=\"v\"} 4000\n"), HasSubstr("h_count 4000\n")));
}

TEST(Metrics, ScrapeDescribesTheProcess) {
    Registry registry;
    EXPECT_THAT(registry.scrape(),
                AllOf(HasSubstr("# TYPE process_cpu_seconds_total counter\n"),
                      HasSubstr("\nprocess_resident_memory_bytes "),
                      HasSubstr("\nprocess_open_fds "), HasSubstr("\nprocess_start_time_seconds "),
                      HasSubstr("\nlovage_log_lines_lost_total ")));
}

}  // namespace
}  // namespace lovage::metrics
