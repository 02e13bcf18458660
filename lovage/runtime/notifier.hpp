#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>

#include <boost/asio/steady_timer.hpp>

namespace lovage {

/// Wakes coroutines of one loop that wait for "something changed".
///
/// It carries no count: a waiter re-checks its condition after every return. Not thread-safe: the
/// loop owns it.
class Notifier {
public:
    explicit Notifier(const Executor& executor) : timer_{executor} {
        timer_.expires_at(boost::asio::steady_timer::time_point::max());
    }

    /// Wakes everyone waiting now.
    void notify_all() { timer_.cancel(); }

    /// Returns true when notified (or the coroutine was cancelled), false when the deadline passed
    /// first. Lifetime: `*this` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<bool> wait(Deadline deadline);
    /// Waits for a notification without a deadline of its own: for service loops that end by
    /// cancellation or by being notified at stop.
    [[nodiscard]] Awaitable<void> wait();

    [[nodiscard]] Executor executor() { return timer_.get_executor(); }

private:
    boost::asio::steady_timer timer_;
};

}  // namespace lovage
