#include <lovage/app/direct_client.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/delivery.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/core/time.hpp>
#include <lovage/events/sent_event.hpp>
#include <lovage/runtime/failpoint.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

namespace lovage {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

/// How long the events of the last sends may take to leave.
constexpr auto kLastEvents = 2s;

/// Nothing was done and trying again may help.
bool worth_retrying(Errc code) {
    return code == Errc::disconnected || code == Errc::unavailable ||
           code == Errc::unknown_outcome || code == Errc::unroutable;
}

/// Celery's publish retry policy: at once, then 0.2 s more each time, at most 1 s.
std::chrono::milliseconds retry_pause(int attempt) {
    return std::min(200ms * attempt, std::chrono::milliseconds{1s});
}

Awaitable<void> pause(std::chrono::milliseconds length) {
    asio::steady_timer timer{co_await asio::this_coro::executor, length};
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

DirectClient::DirectClient(AppCore& core) : core_{core}, unique_{core} {
    const auto sends = metrics::default_registry().counter(
        "lovage_publish_total", "Task messages sent, by how the send ended.", {"outcome"});
    accepted_ = sends.with({"accepted"});
    rejected_ = sends.with({"rejected"});
    unknown_ = sends.with({"unknown"});
    duplicate_ = sends.with({"duplicate"});
    const Settings& settings = core_.settings();
    if (!settings.task_send_sent_event) return;
    // Also while the app closes: what was sent last is told of, too.
    events_.emplace(core_.loop().executor(), settings.event_exchange,
                    [this] { return &core_.broker(); });
}

Awaitable<void> DirectClient::close(Deadline deadline) {
    if (events_) co_await events_->finish(deadline.no_later_than(kLastEvents));
}

void DirectClient::tell(const TaskSend& task) {
    if (!events_) return;
    const SentTask sent{task.message.headers, task.queue, task.exchange};
    auto event = sent_event(sent, core_.origin(), core_.clock().forward(), wall_clock_now());
    if (event) events_->send(std::move(event->routing_key), std::move(event->message), 1);
}

void DirectClient::count(const Result<void>& outcome) {
    if (outcome) {
        accepted_.increment();
    } else if (outcome.error().code == Errc::unknown_outcome) {
        unknown_.increment();
    } else if (outcome.error().code == Errc::already_exists) {
        duplicate_.increment();
    } else {
        rejected_.increment();
    }
}

Awaitable<Result<void>> DirectClient::publish_once(const TaskSend* task, Deadline deadline) {
    if (!core_.connected()) {
        if (auto connected = co_await core_.connect(deadline); !connected) co_return connected;
    }
    if (task->exchange.empty() && !declared_.contains(task->queue)) {
        auto declared =
            co_await declare_task_queue(core_.broker(), core_.settings(), task->queue, deadline);
        if (!declared) co_return declared;
        declared_.insert(task->queue);
    }
    Publication publication;
    publication.exchange = task->exchange;
    publication.routing_key = task->queue;
    publication.mandatory = delivery_rules(core_.settings()).mandatory &&
                            !failpoint::left_out(failpoint::Line::mandatory);
    publication.message = task->message;  // a copy: another attempt may need it
    if (task->expires) {
        publication.message.properties.expiration = std::max(
            0ms, std::chrono::ceil<std::chrono::milliseconds>(*task->expires - wall_clock_now()));
    }
    if (task->eta && task->exchange.empty() && core_.broker().delays_natively()) {
        // Until something is to be done about it: it may expire before its time.
        const TimePoint due = task->expires ? std::min(*task->eta, *task->expires) : *task->eta;
        publication.delay =
            std::clamp(std::chrono::ceil<std::chrono::milliseconds>(due - wall_clock_now()), 0ms,
                       longest_delay(core_.settings()));
    }
    if (failpoint::fails(failpoint::Point::send_begins)) {
        co_return fail(Errc::disconnected, "failpoint: the broker cannot be reached");
    }
    auto outcome = co_await core_.broker().publish(std::move(publication), deadline);
    if (outcome && failpoint::fails(failpoint::Point::send_confirmed)) {
        co_return fail(Errc::unknown_outcome, "failpoint: the confirm was not heard");
    }
    co_return outcome;
}

Awaitable<Result<void>> DirectClient::publish_until(const TaskSend* task, Deadline deadline) {
    bool may_exist = false;
    for (int attempt = 0;; ++attempt) {
        Result<void> outcome = co_await publish_once(task, deadline);
        if (outcome) {
            tell(*task);
            co_return outcome;
        }
        const Errc code = outcome.error().code;
        may_exist = may_exist || code == Errc::unknown_outcome;
        if (code == Errc::unroutable) declared_.erase(task->queue);  // somebody deleted it
        const auto wait = retry_pause(attempt);
        const bool give_up = !worth_retrying(code) || (code == Errc::unroutable && attempt > 0) ||
                             deadline.remaining() <= wait;
        if (give_up) {
            if (may_exist) outcome.error().code = Errc::unknown_outcome;
            co_return outcome;
        }
        co_await pause(wait);
    }
}

Awaitable<Result<void>> DirectClient::send(TaskSend task, Deadline deadline) {
    if (task.unique) return send_unique(std::move(task), deadline);
    return send_plain(std::move(task), deadline);
}

Awaitable<Result<void>> DirectClient::send_unique(TaskSend task, Deadline deadline) {
    UniqueClaims::Claim claim;
    // Without a connection there is nobody to ask: the send itself says what is wrong.
    if (auto connected = co_await core_.connect(deadline); connected) {
        auto claimed = co_await unique_.claim(&task, deadline);
        if (!claimed) {
            Result<void> refused = std::unexpected{std::move(claimed.error())};
            count(refused);
            co_return refused;
        }
        claim = *claimed;
    }
    Result<void> outcome = co_await send_marked(&task, deadline);
    co_await unique_.conclude(&task, claim, &outcome);
    count(outcome);
    co_return outcome;
}

Awaitable<Result<void>> DirectClient::send_plain(TaskSend task, Deadline deadline) {
    auto outcome = task.mark_sent ? co_await send_marked(&task, deadline)
                                  : co_await publish_until(&task, deadline);
    count(outcome);
    co_return outcome;
}

Awaitable<Result<void>> DirectClient::send_marked(const TaskSend* task, Deadline deadline) {
    if (!task->mark_sent) co_return co_await publish_until(task, deadline);
    if (auto connected = co_await core_.connect(deadline); !connected) co_return connected;
    // Marker and message go to different stores: both at once, since the id is told to nobody
    // before both are there.
    using namespace asio::experimental::awaitable_operators;
    auto [marked, outcome] = co_await (core_.results().mark_sent(task->task_id, deadline) &&
                                       publish_until(task, deadline));
    if (outcome && !marked) {
        outcome =
            fail(Errc::unknown_outcome, "the task was sent, but its sent-marker was not stored: " +
                                            marked.error().message());
    }
    co_return outcome;
}

template <class T, class... All>
Awaitable<Result<T>> DirectClient::ask(Awaitable<Result<T>> (ResultBackend::*question)(All...),
                                       std::type_identity_t<All>... arguments) {
    const auto deadline = std::get<Deadline&>(std::tie(arguments...));
    if (auto connected = co_await core_.connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    co_return co_await (core_.results().*question)(std::move(arguments)...);
}

Awaitable<Result<void>> DirectClient::start_chord(ChordStart chord, Deadline deadline) {
    return ask(&ResultBackend::start_chord, std::move(chord), deadline);
}

Awaitable<Result<void>> DirectClient::end_chord(std::string group_id, Deadline deadline) {
    return ask(&ResultBackend::end_chord, std::move(group_id), deadline);
}

Awaitable<Result<void>> DirectClient::mark_sent(std::string task_id, Deadline deadline) {
    if (auto connected = co_await core_.connect(deadline); !connected) co_return connected;
    co_return co_await core_.results().mark_sent(std::move(task_id), deadline);
}

Awaitable<Result<std::optional<Json>>> DirectClient::chord_watch(std::string group_id,
                                                                 Deadline deadline) {
    if (auto connected = co_await core_.connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    co_return co_await core_.results().chord_watch(std::move(group_id), deadline);
}

Awaitable<Result<void>> DirectClient::save_group(std::string group_id, Json result,
                                                 Deadline deadline) {
    return ask(&ResultBackend::save_group, std::move(group_id), std::move(result), deadline);
}

Awaitable<Result<std::optional<Json>>> DirectClient::saved_group(std::string group_id,
                                                                 Deadline deadline) {
    return ask(&ResultBackend::saved_group, std::move(group_id), deadline);
}

Awaitable<Result<void>> DirectClient::forget_group(std::string group_id, Deadline deadline) {
    return ask(&ResultBackend::forget_group, std::move(group_id), deadline);
}

Awaitable<Result<std::optional<TaskMeta>>> DirectClient::result(std::string task_id,
                                                                Deadline deadline) {
    return ask(&ResultBackend::get, std::move(task_id), deadline);
}

Awaitable<Result<TaskMeta>> DirectClient::wait(std::string task_id, Deadline deadline) {
    return ask(&ResultBackend::wait, std::move(task_id), deadline);
}

Awaitable<Result<void>> DirectClient::forget(std::string task_id, Deadline deadline) {
    return ask(&ResultBackend::forget, std::move(task_id), deadline);
}

Awaitable<Result<bool>> DirectClient::is_known(std::string task_id, Deadline deadline) {
    return ask(&ResultBackend::is_known, std::move(task_id), deadline);
}

Awaitable<Result<void>> DirectClient::store_revocation(std::string key, RevokeOptions options,
                                                       Deadline deadline) {
    const std::string wanted = revocation_value(options);
    while (true) {
        auto stored = co_await core_.state().get(key, deadline);
        if (!stored) co_return std::unexpected{std::move(stored.error())};
        // A wish to terminate includes the other one; one with another signal takes its place.
        const bool included = *stored && ((*stored)->value == wanted || !options.terminate);
        if (included) co_return Result<void>{};
        auto written =
            co_await core_.state().compare_and_set(key, *stored ? (*stored)->version : 0, wanted,
                                                   revocation_lifetime(core_.settings()), deadline);
        if (written) co_return Result<void>{};
        if (written.error().code != Errc::conflict) {
            co_return std::unexpected{std::move(written.error())};
        }
    }
}

Awaitable<Result<void>> DirectClient::revoke(std::string task_id, RevokeOptions options,
                                             Deadline deadline) {
    if (auto connected = co_await core_.connect(deadline); !connected) co_return connected;
    auto stored = co_await store_revocation(revocation_key(task_id), options, deadline);
    if (!stored) co_return stored;
    auto known = co_await core_.results().get(task_id, deadline);
    if (!known) co_return std::unexpected{std::move(known.error())};
    if (*known && (*known)->ready()) co_return Result<void>{};
    TaskMeta revoked;
    revoked.task_id = std::move(task_id);
    revoked.status = states::kRevoked;
    revoked.result = exception_json({"TaskRevokedError", "revoked", "celery.exceptions", ""});
    revoked.children = Json{};
    revoked.date_done = to_iso8601(wall_clock_now());
    auto outcome = co_await core_.results().store(std::move(revoked), deadline);
    if (!outcome) co_return std::unexpected{std::move(outcome.error())};
    co_return Result<void>{};
}

}  // namespace lovage
