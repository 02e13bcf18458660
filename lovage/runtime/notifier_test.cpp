#include <lovage/runtime/notifier.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace asio = boost::asio;

/// A moment that passed long ago, whatever the clock says.
const Deadline kPassed = Deadline::at(Deadline::Clock::time_point::min() + 1s);

class NotifierTest : public ::testing::Test {
protected:
    /// Waits once and notes "<name>:notified" or "<name>:deadline".
    static Awaitable<void> wait_once(NotifierTest* test, std::string name, Deadline deadline) {
        const bool notified = co_await test->notifier->wait(deadline);
        test->seen.push_back(name + (notified ? ":notified" : ":deadline"));
    }
    static Awaitable<void> wait_for_ever(NotifierTest* test, std::string name) {
        co_await test->notifier->wait();
        test->seen.push_back(name);
    }

    void spawn(Awaitable<void> work) {
        asio::co_spawn(loop, std::move(work),
                       [](const std::exception_ptr& error) { EXPECT_FALSE(error); });
    }

    asio::io_context loop{1};
    std::unique_ptr<Notifier> notifier = std::make_unique<Notifier>(loop.get_executor());
    std::vector<std::string> seen;
};

TEST_F(NotifierTest, WakesEveryoneWhoWaits) {
    spawn(wait_once(this, "a", Deadline::in(1h)));
    spawn(wait_for_ever(this, "b"));
    spawn(wait_once(this, "c", Deadline::in(1h)));
    loop.poll();
    EXPECT_THAT(seen, IsEmpty());

    notifier->notify_all();
    EXPECT_THAT(seen, IsEmpty()) << "nobody resumes inside notify_all()";
    loop.poll();
    EXPECT_THAT(seen, ::testing::UnorderedElementsAre("a:notified", "b", "c:notified"));
}

TEST_F(NotifierTest, TellsThatTheDeadlinePassed) {
    spawn(wait_once(this, "a", kPassed));
    loop.run();
    EXPECT_THAT(seen, ElementsAre("a:deadline"));
}

TEST_F(NotifierTest, ANotificationInTheTurnOfTheDeadlineCounts) {
    spawn(wait_once(this, "a", kPassed));
    loop.run_one();  // the coroutine starts and waits
    notifier->notify_all();
    loop.run();
    EXPECT_THAT(seen, ElementsAre("a:notified"));
}

TEST_F(NotifierTest, DoesNotRememberNotificationsNobodyWaitedFor) {
    notifier->notify_all();
    spawn(wait_once(this, "a", kPassed));
    loop.run();
    EXPECT_THAT(seen, ElementsAre("a:deadline"));
}

TEST_F(NotifierTest, OneWaiterMayLeaveBetweenOthers) {
    asio::cancellation_signal cancel;
    spawn(wait_once(this, "first", Deadline::in(1h)));
    asio::co_spawn(loop, wait_once(this, "middle", Deadline::in(1h)),
                   asio::bind_cancellation_slot(cancel.slot(), [](const std::exception_ptr&) {}));
    spawn(wait_once(this, "last", Deadline::in(1h)));
    loop.poll();

    cancel.emit(asio::cancellation_type::terminal);
    loop.poll();
    EXPECT_THAT(seen, ElementsAre("middle:notified"));

    notifier->notify_all();
    loop.poll();
    EXPECT_EQ(seen.size(), 3U);
}

TEST_F(NotifierTest, ItsEndWakesTheWaiters) {
    spawn(wait_once(this, "a", Deadline::in(1h)));
    loop.poll();
    notifier.reset();
    loop.run();
    EXPECT_THAT(seen, ElementsAre("a:notified"));
}

TEST_F(NotifierTest, WaitersMayBeDestroyedAfterIt) {
    auto short_lived = std::make_unique<asio::io_context>(1);
    notifier = std::make_unique<Notifier>(short_lived->get_executor());
    asio::co_spawn(*short_lived, wait_once(this, "a", Deadline::in(1h)),
                   [](const std::exception_ptr&) {});
    short_lived->poll();
    notifier.reset();
    short_lived.reset();  // AddressSanitizer watches the frames' destructors
    EXPECT_THAT(seen, IsEmpty());
}

}  // namespace
}  // namespace lovage
