#include <lovage/worker/attempt_watch.hpp>

#include <lovage/worker/threads_pool.hpp>

#include <chrono>
#include <memory>

#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using Clock = AttemptWatch::Clock;

std::shared_ptr<TaskRequest> received_at(Clock::time_point time, bool acks_late = true) {
    auto request = std::make_shared<TaskRequest>();
    request->received = time;
    request->acknowledge.acks_late = acks_late;
    return request;
}

TEST(AttemptWatch, TellsOnceOfAMessageThatTheBrokerIsAboutToTakeBack) {
    App app{"test", memory_settings()};
    ThreadsPool pool{app.core()->loop().executor(), 1};
    Revocations revocations{*app.core()};
    AttemptWatch watch{app.core()->loop().executor(), pool, revocations, 30min};
    const Clock::time_point start{};
    const auto late = received_at(start);
    watch.submitted({received_at(start, false)});
    EXPECT_EQ(watch.held_too_long(start + 1h), nullptr) << "it is acknowledged already";
    watch.submitted({late});
    EXPECT_EQ(watch.held_too_long(start + 24min), nullptr);
    EXPECT_EQ(watch.held_too_long(start + 25min), late);
    EXPECT_EQ(watch.held_too_long(start + 26min), nullptr);
}

TEST(AttemptWatch, SaysNothingOfABrokerThatWaits) {
    App app{"test", memory_settings()};
    ThreadsPool pool{app.core()->loop().executor(), 1};
    Revocations revocations{*app.core()};
    AttemptWatch watch{app.core()->loop().executor(), pool, revocations};
    watch.submitted({received_at({})});
    EXPECT_EQ(watch.held_too_long(Clock::time_point{} + 48h), nullptr);
}

}  // namespace
}  // namespace lovage
