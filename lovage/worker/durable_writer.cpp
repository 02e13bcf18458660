#include <lovage/worker/durable_writer.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/task_record.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// One attempt to store or publish (reliability contract, clause 8).
constexpr auto kAttempt = 30s;

/// A warning for the first failure, and for some of those that follow.
bool worth_telling(int attempt) {
    return attempt % 8 == 0;
}

/// This very record or message is never taken. Everything else may pass: the other side is down,
/// slow, damaged until somebody repairs it, or its answer was lost.
bool never_possible(Errc code) {
    return code == Errc::too_large || code == Errc::invalid_argument;
}

/// What is wrong with where a message goes, rather than with the message or the server.
bool refuses_address(const TaskSend& task, Errc code) {
    if (code == Errc::conflict) return true;
    return !task.exchange.empty() && (code == Errc::not_found || code == Errc::unroutable);
}

/// Celery's `task_publish_retry_policy`, too, has three retries.
constexpr int kFollowUpRefusals = 4;

TaskMeta unstorable(const std::string& task_id, const std::string& what) {
    return make_failure_meta(task_id,
                             {"EncodeError", what, "kombu.exceptions",
                              traceback_text("", "while storing the result", "EncodeError", what)});
}

}  // namespace

DurableWriter::Wanted DurableWriter::Wanted::no_later_than(Deadline end) const {
    Wanted sooner = *this;
    sooner.end_ = end_ ? Deadline::at(std::min(end_->time(), end.time())) : end;
    return sooner;
}

Deadline DurableWriter::Wanted::attempt(Deadline::Clock::duration longest) const {
    return end_ ? end_->no_later_than(longest) : Deadline::in(longest);
}

/// Half to full of 0.1 s doubling to 1 s: stores wait for an absent server by themselves, and what
/// was kept is to be stored soon after it is back.
Awaitable<void> DurableWriter::pause_before_retry(int attempt) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto most = std::min(100ms * (1 << std::min(attempt, 4)), std::chrono::milliseconds{1s});
    std::uniform_int_distribution<std::int64_t> jitter{most.count() / 2, most.count()};
    boost::asio::steady_timer timer{core_.loop().executor(),
                                    std::chrono::milliseconds{jitter(random)}};
    co_await timer.async_wait(boost::asio::use_awaitable);
}

Awaitable<std::optional<StoreOutcome>> DurableWriter::store(TaskMeta meta, Wanted wanted) {
    bool replaced = false;
    for (int attempt = 0; !giving_up_ && (attempt == 0 || wanted()); ++attempt) {
        auto outcome = co_await core_.results().store(meta, Deadline::in(kAttempt));
        if (outcome) co_return *outcome;
        const Error& problem = outcome.error();
        if (never_possible(problem.code)) {
            const std::string what = "the result could not be stored: " + problem.message();
            log::error("worker", "Task {}: {}", meta.task_id, what);
            // A failure that says so can be stored; should even that not fit, the log has told it.
            if (replaced) co_return StoreOutcome::stored;
            replaced = true;
            meta = unstorable(meta.task_id, what);
            continue;
        }
        if (worth_telling(attempt)) {
            log::warning("worker",
                         "Task {}: its result is not stored yet ({}); it is kept and tried again",
                         meta.task_id, problem.message());
        }
        co_await pause_before_retry(attempt);
    }
    co_return std::nullopt;
}

Awaitable<Result<void>> DurableWriter::publish_to_quarantine(Publication publication) {
    const Deadline deadline = Deadline::in(kAttempt);
    const std::string queue = publication.routing_key;
    if (!declared_.contains(queue)) {
        auto declared = co_await core_.broker().declare_queue(
            quarantine_declaration(core_.settings(), queue), deadline);
        // One that was made otherwise, by an earlier version or under another profile, will do.
        if (!declared && declared.error().code != Errc::conflict) co_return declared;
        declared_.insert(queue);
    }
    if (failpoint::fails(failpoint::Point::quarantine_unsent)) {
        co_return fail(Errc::unavailable, "failpoint: the broker does not take it");
    }
    auto done = co_await core_.broker().publish(std::move(publication), deadline);
    if (done && failpoint::fails(failpoint::Point::quarantine_sent)) {
        co_return fail(Errc::unknown_outcome, "failpoint: the confirm was not heard");
    }
    if (!done && done.error().code == Errc::unroutable) declared_.erase(queue);
    co_return done;
}

Awaitable<bool> DurableWriter::quarantine(Message message, QuarantineNote note, Wanted wanted) {
    for (int attempt = 0; !giving_up_ && wanted(); ++attempt) {
        auto done = co_await publish_to_quarantine(to_quarantine(message, note));
        if (done) co_return true;
        // The note may be what makes it too large.
        if (done.error().code == Errc::too_large && shorten(note)) continue;
        if (worth_telling(attempt)) {
            log::warning("worker",
                         "A message could not be put into '{}' yet: {}; it is tried again",
                         quarantine_queue(note.queue), done.error().message());
        }
        co_await pause_before_retry(attempt);
    }
    co_return false;
}

Awaitable<Result<void>> DurableWriter::send_once(const TaskSend* task, Deadline deadline) {
    if (failpoint::fails(failpoint::Point::again_unsent)) {
        co_return fail(Errc::unavailable, "failpoint: the broker does not take it");
    }
    auto done = co_await core_.client().send(*task, deadline);
    if (done && failpoint::fails(failpoint::Point::again_sent)) {
        co_return fail(Errc::unknown_outcome, "failpoint: the confirm was not heard");
    }
    co_return done;
}

Awaitable<Result<void>> DurableWriter::send(TaskSend task, Wanted wanted) {
    return send_until(std::move(task), std::move(wanted), std::numeric_limits<int>::max());
}

Awaitable<Result<void>> DurableWriter::send_follow_up(TaskSend task, Wanted wanted) {
    return send_until(std::move(task), std::move(wanted), kFollowUpRefusals);
}

Awaitable<Result<void>> DurableWriter::send_until(TaskSend task, Wanted wanted, int refusals_max) {
    int refusals = 0;
    for (int attempt = 0; !giving_up_ && wanted(); ++attempt) {
        auto done = co_await send_once(&task, wanted.attempt(kAttempt));
        if (done || never_possible(done.error().code)) co_return done;
        if (refuses_address(task, done.error().code) && ++refusals >= refusals_max) co_return done;
        if (worth_telling(attempt)) {
            log::warning(
                "worker",
                "Task {}: its message could not be sent to '{}' yet: {}; it is tried again",
                task.task_id, task.queue, done.error().message());
        }
        co_await pause_before_retry(attempt);
    }
    co_return fail(Errc::cancelled, giving_up_ ? "the worker stops" : "it is delivered again");
}

}  // namespace lovage
