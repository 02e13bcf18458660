#include <lovage/runtime/notifier.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace lovage {

namespace asio = boost::asio;

/// One waiting coroutine: a timer for its deadline and its place in the notifier's list. It lives
/// in the coroutine's frame and takes itself off the list however that ends.
class Notifier::Waiter {
public:
    Waiter(Notifier& notifier, Deadline::Clock::time_point limit)
        : timer_{notifier.executor_, limit}, next_{notifier.first_}, link_{&notifier.first_} {
        if (next_ != nullptr) next_->link_ = &next_;
        *link_ = this;
    }
    ~Waiter() { unlink(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    void wake() {
        unlink();
        notified_ = true;
        timer_.cancel();
    }

    Awaitable<bool> wait() {
        const auto [error] = co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
        // The timer may have expired in the very turn that notified: the notification counts.
        co_return notified_ || error;
    }

private:
    void unlink() noexcept {
        if (link_ == nullptr) return;
        *link_ = next_;
        if (next_ != nullptr) next_->link_ = link_;
        next_ = nullptr;
        link_ = nullptr;
    }

    asio::steady_timer timer_;
    Waiter* next_;
    Waiter** link_;  // the pointer that points here; null once off the list
    bool notified_ = false;
};

void Notifier::notify_all() noexcept {
    while (first_ != nullptr) first_->wake();
}

Awaitable<bool> Notifier::wait(Deadline deadline) {
    Waiter waiter{*this, deadline.time()};
    co_return co_await waiter.wait();
}

Awaitable<void> Notifier::wait() {
    Waiter waiter{*this, Deadline::Clock::time_point::max()};
    co_await waiter.wait();
}

}  // namespace lovage
