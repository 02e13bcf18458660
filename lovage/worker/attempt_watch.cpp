#include <lovage/worker/attempt_watch.hpp>

#include <lovage/runtime/child_process.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 1s;
/// Asked for at a time, so that no question is larger than a broker's or store's usual ones.
constexpr std::size_t kLookUpMost = 1'000;

}  // namespace

AttemptWatch::AttemptWatch(Executor executor, Pool& pool, Revocations& revocations,
                           std::optional<std::chrono::minutes> held_most)
    : executor_{executor},
      pool_{pool},
      revocations_{revocations},
      held_most_{held_most},
      limits_changed_{std::move(executor)} {}

void AttemptWatch::submitted(const std::vector<RequestPtr>& requests) {
    running_.insert(requests.begin(), requests.end());
}

void AttemptWatch::started(const RequestPtr& request) {
    const auto next = limits_.next();
    limits_.started(request, Clock::now());
    if (limits_.next() != next) limits_changed_.notify_all();
}

void AttemptWatch::ended(const RequestPtr& request) {
    running_.erase(request);
    terminated_.erase(request);
    limits_.ended(request);
}

Awaitable<void> AttemptWatch::watch_limits() {
    while (true) {
        for (const RequestPtr& request : limits_.pop_passed(Clock::now())) {
            log::warning("worker", "Soft time limit ({}s) exceeded for {}[{}]",
                         std::chrono::duration<double>(*request->soft_time_limit).count(),
                         request->message.display_name(), request->message.id);
            pool_.request_stop(request, StopReason::soft_time_limit);
        }
        if (const auto next = limits_.next()) {
            co_await limits_changed_.wait(Deadline::at(*next));
        } else {
            co_await limits_changed_.wait();
        }
    }
}

Awaitable<void> AttemptWatch::watch_revocations() {
    while (true) {
        boost::asio::steady_timer timer{executor_, kLookEvery};
        co_await timer.async_wait(boost::asio::use_awaitable);
        warn_of_long_ones();
        std::vector<RequestPtr> requests = older_ones();
        for (std::size_t done = 0; done < requests.size(); done += kLookUpMost) {
            const auto from = requests.begin() + static_cast<std::ptrdiff_t>(done);
            const auto count = std::min(kLookUpMost, requests.size() - done);
            co_await look_for_revoked({from, from + static_cast<std::ptrdiff_t>(count)});
        }
    }
}

AttemptWatch::RequestPtr AttemptWatch::held_too_long(Clock::time_point now) {
    if (!held_most_) return nullptr;
    const auto soon = *held_most_ * 5 / 6;
    for (const RequestPtr& request : running_) {
        if (!request->acknowledge.acks_late || now - request->received < soon) continue;
        held_most_.reset();
        return request;
    }
    return nullptr;
}

void AttemptWatch::warn_of_long_ones() {
    const auto most = held_most_;
    const RequestPtr request = held_too_long(Clock::now());
    if (!request) return;
    log::warning(
        "worker",
        "Task {}[{}] has been here for {} minutes. RabbitMQ takes a message back after its "
        "consumer_timeout, {} minutes by default, and the task runs again: raise that above "
        "the longest task, or give tasks time limits below it (this is said once)",
        request->message.display_name(), request->message.id, (*most * 5 / 6).count(),
        most->count());
}

std::vector<AttemptWatch::RequestPtr> AttemptWatch::older_ones() const {
    std::vector<RequestPtr> older;
    const auto receipt = Clock::now() - kLookEvery;
    for (const RequestPtr& request : running_) {
        if (request->received <= receipt) older.push_back(request);
    }
    return older;
}

Awaitable<void> AttemptWatch::look_for_revoked(std::vector<RequestPtr> requests) {
    std::vector<std::string> ids;
    ids.reserve(requests.size());
    for (const RequestPtr& request : requests) ids.push_back(request->message.id);
    const std::vector<Revocation> found = co_await revocations_.look_up(std::move(ids));
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (found[i] == Revocation::none || !running_.contains(requests[i])) continue;
        pool_.forbid_start(requests[i]);
        if (found[i] == Revocation::terminate) co_await terminate(requests[i]);
    }
}

Awaitable<void> AttemptWatch::terminate(RequestPtr request) {
    const int signal = co_await revocations_.signal_of(request->message.id);
    if (running_.contains(request)) send(request, signal);  // else it ended meanwhile
}

void AttemptWatch::revoke(const RequestPtr& request, const RevokeOptions& options) {
    pool_.forbid_start(request);
    if (options.terminate) send(request, options.signal);
}

void AttemptWatch::send(const RequestPtr& request, int signal) {
    const auto [told, first] = terminated_.try_emplace(request, signal);
    if (!first && std::exchange(told->second, signal) == signal) return;
    log::info("worker", "Terminating {}[{}] ({})", request->message.display_name(),
              request->message.id, signal_name(signal));
    request->terminated_with = signal;
    pool_.terminate(request, signal);
}

}  // namespace lovage
