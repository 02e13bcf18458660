// How many slots a worker has while it runs.

#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// How often a worker looks whether it has too many slots; Celery's.
constexpr auto kLook = 1s;

}  // namespace

Result<void> Worker::Impl::resize(std::size_t slots_wanted) {
    if (auto done = pool_->resize(slots_wanted); !done) return done;
    metrics_.slots.set(static_cast<double>(pool_->slots()));
    // With autoscale there are slots at once for whatever is delivered, up to the most.
    const std::size_t most = autoscale_ ? autoscale_->bounds().max : pool_->slots();
    look_ahead_.set_slots(static_cast<std::uint32_t>(most));
    update_prefetch();
    return {};
}

Result<void> Worker::Impl::grow(std::size_t more) {
    if (autoscale_) {
        return fail(Errc::conflict,
                    "pool_grow is not supported with autoscale. Adjust autoscale range instead.");
    }
    const std::size_t now = pool_->slots();
    if (pool_->resizable() && now + more > pool_->slots_most()) {
        return fail(Errc::invalid_argument,
                    fmt::format("a pool of {} slots cannot grow by {}: it has {} at most", now,
                                more, pool_->slots_most()));
    }
    return resize(now + more);
}

Result<void> Worker::Impl::shrink(std::size_t fewer) {
    if (autoscale_) {
        return fail(Errc::conflict,
                    "pool_shrink is not supported with autoscale. Adjust autoscale range instead.");
    }
    const std::size_t now = pool_->slots();
    if (pool_->resizable() && fewer >= now) {
        return fail(Errc::invalid_argument,
                    fmt::format("a pool of {} slots cannot shrink by {}: one stays", now, fewer));
    }
    return resize(now - fewer);
}

Result<AutoscaleRange> Worker::Impl::set_autoscale(AutoscaleRange bounds) {
    if (!autoscale_) return fail(Errc::conflict, "Autoscale not enabled");
    autoscale_->set(bounds);
    const auto [max, min] = autoscale_->bounds();
    const std::size_t slots_wanted = std::clamp<std::size_t>(pool_->slots(), min, max);
    if (auto done = resize(slots_wanted); !done) return std::unexpected{std::move(done.error())};
    return autoscale_->bounds();
}

void Worker::Impl::scale() {
    if (!autoscale_ || stops_ != 0) return;
    const std::size_t now = pool_->slots();
    const std::size_t wanted =
        autoscale_->slots_for(watch_.running().size(), now, Autoscale::Clock::now());
    if (wanted == now) return;
    const bool up = wanted > now;
    log::info("worker", "Scaling {} {} slots: {} of at most {}", up ? "up" : "down",
              up ? wanted - now : now - wanted, wanted, autoscale_->bounds().max);
    if (auto done = resize(wanted); !done) {
        log::error("worker", "autoscale: {}", done.error().message());
    }
}

Awaitable<void> Worker::Impl::watch_load() {
    boost::asio::steady_timer timer{core->loop().executor()};
    while (stops_ == 0) {
        timer.expires_after(kLook);
        co_await timer.async_wait(boost::asio::use_awaitable);
        scale();
    }
}

}  // namespace lovage
