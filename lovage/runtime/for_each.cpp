#include <lovage/runtime/for_each.hpp>

#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace lovage {

namespace {

namespace asio = boost::asio;

/// The work of one call, taken by several coroutines one after the other.
struct SharedWork {
    SharedWork(const Executor& executor, std::size_t all) : count{all}, changed{executor} {}

    [[nodiscard]] bool failed() const { return !outcome || thrown; }

    std::size_t count;
    std::function<Awaitable<Result<void>>(std::size_t)> work;
    std::size_t next = 0;
    std::size_t running = 0;
    bool stopping = false;
    Result<void> outcome;  // the first failure counts, of both
    std::exception_ptr thrown;
    Notifier changed;
};

Awaitable<void> work_on(SharedWork* all) {
    while (!all->stopping && !all->failed() && all->next < all->count) {
        Result<void> done = co_await all->work(all->next++);
        if (!done && !all->failed()) all->outcome = std::move(done);
    }
}

Awaitable<void> work_and_tell(SharedWork* all) {
    struct Ended {
        ~Ended() {
            --work.running;
            if (work.running == 0 || work.failed()) work.changed.notify_all();
        }
        SharedWork& work;
    };
    const Ended ended{*all};
    try {
        co_await work_on(all);
    } catch (...) {
        if (!all->stopping && !all->failed()) all->thrown = std::current_exception();
    }
}

}  // namespace

Awaitable<Result<void>> for_each_index(
    std::size_t count, std::size_t at_most,
    std::function<Awaitable<Result<void>>(std::size_t index)> work, OnFailure on_failure) {
    LOVAGE_ASSERT(at_most >= 1);
    SharedWork all{co_await asio::this_coro::executor, count};
    all.work = std::move(work);
    // A wait that throws would leave the others behind: a cancellation is looked for instead.
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto state = co_await asio::this_coro::cancellation_state;
    const auto cancelled = [&] { return state.cancelled() != asio::cancellation_type::none; };

    TaskScope scope{all.changed.executor()};
    all.running = cancelled() ? 0 : std::min(at_most, count);
    for (std::size_t i = all.running; i > 0; --i) scope.spawn("one of many", work_and_tell(&all));
    while (all.running > 0 && !cancelled() && (!all.failed() || on_failure == OnFailure::finish)) {
        co_await all.changed.wait();
    }
    if (all.running > 0) {
        all.stopping = true;
        scope.request_stop();
    }
    while (!co_await scope.join(Deadline::in(std::chrono::hours{1}))) {
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);
    if (throwing && cancelled()) {
        throw boost::system::system_error{asio::error::operation_aborted};
    }
    if (all.thrown) std::rethrow_exception(all.thrown);
    co_return std::move(all.outcome);
}

}  // namespace lovage
