// The worker looks whether work comes to it, and repairs the way it comes when it does not.

#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace lovage {

namespace {

using namespace std::chrono_literals;

constexpr auto kAsk = 5s;

}  // namespace

ProgressWatch::Worker Worker::Impl::progress() const {
    const bool room = consumer_ && consumer_->unsettled() < prefetch_;
    const bool free_slot = watch_.running().size() < pool_->slots();
    return {.deliveries = deliveries_, .able = ready && stops_ == 0 && room && free_slot};
}

Awaitable<std::optional<std::uint64_t>> Worker::Impl::waiting_at_broker() {
    std::uint64_t waiting = 0;
    const Deadline deadline = Deadline::in(kAsk);
    for (const std::string& queue : queue_names()) {
        const auto status = co_await core->broker().queue_status(queue, deadline);
        if (!status) co_return std::nullopt;
        waiting += status->ready;
    }
    co_return waiting;
}

Awaitable<void> Worker::Impl::watch_progress() {
    const std::chrono::milliseconds patience = app.settings().worker_progress_timeout;
    if (patience.count() == 0) co_return;
    ProgressWatch watch{patience};
    boost::asio::steady_timer timer{core->loop().executor()};
    while (stops_ == 0) {
        timer.expires_after(watch.interval());
        co_await timer.async_wait(boost::asio::use_awaitable);
        const bool look = watch.wants_look(progress());
        if (const Repair cure = watch.take_cure(); cure != Repair::none) {
            metrics_.cured(cure);
            log::info("worker", "consumer: work arrives again after a new {}", to_string(cure));
        }
        if (!look) continue;
        const auto waiting = co_await waiting_at_broker();
        const Repair repair = watch.looked(progress(), waiting, ProgressWatch::Clock::now());
        if (repair != Repair::none) carry_out(repair, *waiting, patience);
    }
}

void Worker::Impl::carry_out(Repair repair, std::uint64_t waiting,
                             std::chrono::milliseconds patience) {
    metrics_.repaired(repair);
    const std::string what =
        fmt::format("{} messages wait, slots are free, and nothing has arrived for {} s", waiting,
                    std::chrono::duration<double>(patience).count());
    if (repair != Repair::give_up) {
        log::error("worker", "consumer: {}. Making a new {} …", what, to_string(repair));
        repair_ = repair;  // consume() does it, and no later than its next look
        return;
    }
    log::error("worker", "consumer: {}, although consumer and connection are new. Giving up", what);
    problem_ = Error{Errc::unavailable,
                     fmt::format("{}: {}; a new consumer and a new connection did not help "
                                 "(worker_progress_timeout)",
                                 log::mask_secrets(app.settings().broker_url), what)};
    stop_requested();
}

}  // namespace lovage
