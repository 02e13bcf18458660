#include <lovage/runtime/notifier.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace lovage {

namespace asio = boost::asio;

Awaitable<bool> Notifier::wait(Deadline deadline) {
    // One timer of its own per bounded wait: it is armed for the deadline and chained to the shared
    // one.
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer limit{timer_.get_executor(), deadline.time()};
    auto woken = co_await (timer_.async_wait(asio::as_tuple(asio::use_awaitable)) ||
                           limit.async_wait(asio::as_tuple(asio::use_awaitable)));
    co_return woken.index() == 0;
}

Awaitable<void> Notifier::wait() {
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace lovage
