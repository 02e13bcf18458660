#include <lovage/results/redis/redis_results.hpp>

#include <lovage/clients/redis/test_server.hpp>
#include <lovage/results/conformance.hpp>

#include <gtest/gtest.h>

#include <utility>

namespace lovage {
namespace {

TEST(RedisChord, CountsFurtherPartsWhereCelerysAddToChordDoes) {
    const redis::TestServer server;
    conformance::ResultConnection backend{[&](Executor executor) {
        return make_redis_results(std::move(executor), {.server = server.options()});
    }};
    backend.connect();
    ASSERT_TRUE(backend.start_chord({"g", 1, {}}));
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    EXPECT_EQ(server.cli("get celery-taskset-meta-g.t"), "1");
    // Celery's own: INCR.
    EXPECT_EQ(server.cli("incr celery-taskset-meta-g.t"), "2");
    ASSERT_TRUE(backend.grow_chord("g", "two"));
    EXPECT_EQ(server.cli("get celery-taskset-meta-g.t"), "3");
    EXPECT_FALSE(backend.add_chord_part({"g", 0, "a", "SUCCESS", 1})->complete);
    EXPECT_FALSE(backend.add_chord_part({"g", 0, "one", "SUCCESS", 1})->complete);
    EXPECT_FALSE(backend.add_chord_part({"g", 0, "python's", "SUCCESS", 1})->complete);
    EXPECT_TRUE(backend.add_chord_part({"g", 0, "two", "SUCCESS", 1})->complete);
    ASSERT_TRUE(backend.end_chord("g"));
    EXPECT_EQ(server.cli("keys '*'"), "lovage-chord-g") << "which says that it is over";
}

TEST(RedisChord, OneThatIsOverDoesNotGrow) {
    const redis::TestServer server;
    conformance::ResultConnection backend{[&](Executor executor) {
        return make_redis_results(std::move(executor), {.server = server.options()});
    }};
    backend.connect();
    ASSERT_TRUE(backend.start_chord({"g", 1, {}}));
    EXPECT_TRUE(backend.add_chord_part({"g", 0, "a", "SUCCESS", 1})->complete);
    ASSERT_TRUE(backend.end_chord("g"));
    // The message of a part that had added another one comes again.
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    EXPECT_EQ(server.cli("keys '*'"), "lovage-chord-g") << "nothing stays for a month";
    // The same canvas is sent again.
    ASSERT_TRUE(backend.start_chord({"g", 1, {}}));
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    EXPECT_FALSE(backend.add_chord_part({"g", 0, "a", "SUCCESS", 1})->complete);
    EXPECT_TRUE(backend.add_chord_part({"g", 0, "one", "SUCCESS", 1})->complete);
}

TEST(RedisChord, ACountThatHasExpiredBeginsAnew) {
    const redis::TestServer server;
    conformance::ResultConnection backend{[&](Executor executor) {
        return make_redis_results(std::move(executor), {.server = server.options()});
    }};
    backend.connect();
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    ASSERT_EQ(server.cli("del celery-taskset-meta-g.t"), "1");
    ASSERT_TRUE(backend.grow_chord("g", "one"));
    EXPECT_EQ(server.cli("get celery-taskset-meta-g.t"), "1");
}

}  // namespace
}  // namespace lovage
