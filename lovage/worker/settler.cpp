#include <lovage/worker/settler.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/outcome_log.hpp>
#include <lovage/worker/publish_again.hpp>
#include <lovage/worker/retry_message.hpp>
#include <lovage/worker/task_record.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iterator>
#include <new>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// One call of the result backend (reliability contract, clause 8).
constexpr auto kAttempt = 30s;
/// How long a message stays here that its task gave back and that came again.
constexpr auto kBackAfter = 1s;

/// Says that a service of which there is one at a time is at work.
class Busy {
public:
    explicit Busy(bool& flag) : flag_{flag} { flag_ = true; }
    ~Busy() { flag_ = false; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

private:
    bool& flag_;
};

/// A crash goes to the task's account, unless its message is settled by Celery's rules.
bool counts_crashes(const FinishedTask& finished) {
    const AckRules& rules = finished.request->acknowledge;
    return finished.outcome.ending == Ending::slot_lost && rules.keep_rejected &&
           settlement_of(finished.outcome, rules) == Settlement::requeue;
}

QuarantineNote note_for(const FinishedTask& finished, std::string hostname) {
    const TaskOutcome& outcome = finished.outcome;
    std::string detail = outcome.reason;
    if (outcome.failure) detail = outcome.failure->exc_type + ": " + outcome.failure->exc_message;
    return {std::string{to_string(outcome.ending)}, std::move(detail),
            finished.request->delivery.queue, std::move(hostname), wall_clock_now()};
}

}  // namespace

Settler::Settler(AppCore& core, TaskMetrics& metrics, std::string hostname, Hooks hooks)
    : core_{core},
      metrics_{metrics},
      hostname_{std::move(hostname)},
      hooks_{std::move(hooks)},
      writer_{core},
      crashes_{core},
      reports_{std::make_shared<StateReports>(core.loop().executor(),
                                              [this] {
                                                  if (!storing_states_)
                                                      scope_.spawn("store states", store_states());
                                              })},
      workflow_{core, writer_},
      scope_{core.loop().executor()} {}

Settler::~Settler() {
    reports_->close();
}

void Settler::give_up() noexcept {
    reports_->close();
    writer_.give_up();
    scope_.request_stop();
}

void Settler::task_started(const std::shared_ptr<TaskRequest>& request) {
    if (writer_.giving_up()) return;
    if (!request->acknowledge.acks_late) {
        if (Consumer* consumer = hooks_.consumer()) consumer->ack(request->delivery.tag);
    }
    if (core_.settings().task_track_started && !request->message.ignore_result) {
        Json meta = Json::object({{"pid", ::getpid()}, {"hostname", hostname_}});
        reports_->report({request, std::string{states::kStarted}, std::move(meta)});
    }
}

Awaitable<void> Settler::store_states() {
    const Busy storing{storing_states_};
    const bool extended = core_.settings().result_extended;
    for (auto reports = reports_->take(); !reports.empty(); reports = reports_->take()) {
        std::vector<TaskMeta> metas;
        metas.reserve(reports.size());
        for (StateReport& report : reports) {
            metas.push_back(make_state_meta(*report.request, std::move(report.state),
                                            std::move(report.meta), extended));
        }
        const auto stored =
            co_await core_.results().store_many(std::move(metas), Deadline::in(kAttempt));
        for (std::size_t i = 0; i < stored.size(); ++i) {
            if (stored[i]) continue;
            log::warning("worker", "Task {}: its state was not stored: {}",
                         reports[i].request->message.id, stored[i].error().message());
        }
    }
}

bool Settler::wants_record(const FinishedTask& finished) const {
    const TaskOutcome& outcome = finished.outcome;
    if (!has_record(outcome, finished.request->acknowledge)) return false;
    // Stored even when results are ignored: a caller must be able to tell that the task never ran.
    if (outcome.ending == Ending::revoked) return true;
    if (!finished.request->message.ignore_result) return true;
    return outcome.ending != Ending::succeeded &&
           core_.settings().task_store_errors_even_if_ignored;
}

void Settler::tasks_finished(std::vector<FinishedTask> finished) {
    for (const FinishedTask& task : finished) {
        log_outcome(*task.request, task.outcome);
        metrics_.ended(*task.request, task.outcome);
    }
    if (writer_.giving_up()) return;  // their messages go back with the consumer
    pending_ += finished.size();
    for (FinishedTask& task : finished) {
        auto last_report = reports_->take(task.request);
        if (counts_crashes(task)) {
            scope_.spawn("crash", settle_lost(std::move(task)));
        } else if (task.outcome.ending == Ending::retry) {
            scope_.spawn("retry", settle_retry(std::move(task)));
        } else if (task.outcome.ending == Ending::ignored && last_report) {
            scope_.spawn("settle", settle_ignored(std::move(task), std::move(*last_report)));
        } else if (task.request->follow_ups) {
            scope_.spawn("settle", settle_alone(std::move(task)));
        } else {
            unstored_.push_back(std::move(task));
        }
    }
    if (!storing_ && !unstored_.empty()) scope_.spawn("settle", settle_unstored());
}

void Settler::revoke(std::shared_ptr<TaskRequest> request, std::string reason) {
    TaskOutcome outcome;
    outcome.ending = Ending::revoked;
    outcome.reason = std::move(reason);
    std::vector<FinishedTask> finished;
    finished.push_back({std::move(request), std::move(outcome)});
    tasks_finished(std::move(finished));
}

void Settler::end_duplicate(std::shared_ptr<TaskRequest> request, const std::string& first) {
    TaskOutcome outcome;
    outcome.ending = Ending::revoked;
    outcome.reason = "duplicate";
    outcome.failure =
        TaskFailure{"TaskRevokedError", "duplicate of " + first, "celery.exceptions", ""};
    std::vector<FinishedTask> finished;
    finished.push_back({std::move(request), std::move(outcome)});
    tasks_finished(std::move(finished));
}

Awaitable<void> Settler::settle_unstored() {
    const Busy storing{storing_};
    while (!unstored_.empty()) co_await settle_together(std::exchange(unstored_, {}));
}

std::vector<TaskMeta> Settler::records_of(const std::vector<FinishedTask>& finished) const {
    std::vector<TaskMeta> metas;
    metas.reserve(finished.size());
    const bool extended = core_.settings().result_extended;
    for (const FinishedTask& task : finished) {
        if (wants_record(task)) metas.push_back(make_meta(*task.request, task.outcome, extended));
    }
    return metas;
}

Awaitable<void> Settler::settle_together(std::vector<FinishedTask> finished) {
    if (failpoint::left_out(failpoint::Line::result_before_ack)) {
        std::vector<DeliveryTag> tags;
        for (const FinishedTask& task : finished) tags.push_back(task.request->delivery.tag);
        co_await acknowledge_early(std::move(tags));
    }
    std::vector<Result<StoreOutcome>> stored;
    try {
        std::vector<TaskMeta> metas = records_of(finished);
        if (!metas.empty() && !failpoint::fails(failpoint::Point::result_unstored)) {
            stored = co_await core_.results().store_many(std::move(metas), Deadline::in(kAttempt));
        }
        if (failpoint::fails(failpoint::Point::result_stored)) stored.clear();
    } catch (const std::bad_alloc&) {
        // One enormous result must not take its neighbours along: one by one, below.
        stored.clear();
    }
    std::size_t next = 0;
    for (FinishedTask& task : finished) {
        const bool wanted = wants_record(task);
        const bool durable = !wanted || (next < stored.size() && stored[next].has_value());
        if (wanted) ++next;
        if (durable) {
            settle_message(std::move(task));
        } else {
            scope_.spawn("settle", settle_alone(std::move(task)));
        }
    }
}

Awaitable<bool> Settler::store_record(FinishedTask* finished) {
    const bool over = finished->outcome.ending != Ending::retry;
    if (over && finished->request->follow_ups) co_return co_await store_step(finished);
    if (!wants_record(*finished)) co_return true;
    const auto stored = co_await writer_.store(
        make_meta(*finished->request, finished->outcome, core_.settings().result_extended),
        while_held(*finished));
    co_return stored.has_value();
}

DurableWriter::Wanted Settler::while_held(DeliveryTag tag) const {
    return [this, tag] { return hooks_.held(tag); };
}

DurableWriter::Wanted Settler::while_held(const FinishedTask& finished) const {
    const AckRules& rules = finished.request->acknowledge;
    if (settlement_of(finished.outcome, rules) == Settlement::nothing) return [] { return true; };
    return while_held(finished.request->delivery.tag);
}

void Settler::abandon(const FinishedTask& finished) {
    if (writer_.giving_up()) return;
    log::warning("worker", "Task {}[{}] ended, but the broker took its message back: it runs again",
                 finished.request->message.display_name(), finished.request->message.id);
    abandon(finished.request->delivery.tag, finished.request);
}

void Settler::abandon(DeliveryTag tag, const std::shared_ptr<TaskRequest>& request) {
    if (writer_.giving_up()) return;
    // Counted as stale; should it still be held, it goes back all the same.
    if (Consumer* consumer = hooks_.consumer()) consumer->reject(tag, Requeue::yes);
    --pending_;
    hooks_.settled(request, nullptr, Clock::duration{});
}

Awaitable<void> Settler::settle_alone(FinishedTask finished) {
    if (!co_await store_record(&finished)) co_return abandon(finished);
    settle_message(std::move(finished));
}

Awaitable<void> Settler::settle_ignored(FinishedTask finished, StateReport last) {
    const auto stored = co_await writer_.store(
        make_state_meta(*last.request, std::move(last.state), std::move(last.meta),
                        core_.settings().result_extended),
        while_held(finished));
    if (!stored) co_return abandon(finished);
    settle_message(std::move(finished));
}

/// RETRY is stored before the message is sent, since the next attempt may start, and end, as soon
/// as it is.
Awaitable<void> Settler::settle_retry(FinishedTask finished) {
    const DurableWriter::Wanted held = while_held(finished);
    if (!held()) co_return abandon(finished);
    const bool durable = co_await store_record(&finished);
    if (!durable) co_return abandon(finished);
    hooks_.retried(*finished.request, finished.outcome);
    auto sent =
        co_await writer_.send(make_retry_send(*finished.request, finished.outcome.retry), held);
    if (!sent && sent.error().code == Errc::cancelled) co_return abandon(finished);
    if (!sent) {
        // Larger arguments than a message can have, for instance: no waiting helps.
        finished.outcome = retry_impossible(std::move(finished.outcome), sent.error());
        log_outcome(*finished.request, finished.outcome);
        co_await settle_alone(std::move(finished));
        co_return;
    }
    settle_message(std::move(finished));
}

void Settler::settle_message(FinishedTask finished) {
    const DeliveryTag tag = finished.request->delivery.tag;
    Consumer* consumer = hooks_.consumer();
    switch (settlement_of(finished.outcome, finished.request->acknowledge)) {
        case Settlement::nothing:
            break;
        case Settlement::ack:
            if (consumer != nullptr) consumer->ack(tag);
            (void)failpoint::fails(failpoint::Point::acknowledged);
            break;
        case Settlement::discard:
            if (consumer != nullptr) consumer->reject(tag, Requeue::no);
            break;
        case Settlement::requeue:
            if (finished.request->delivery.redelivered) {
                scope_.spawn("requeue", requeue_later(std::move(finished)));
                return;
            }
            if (consumer != nullptr) consumer->reject(tag, Requeue::yes);
            break;
        case Settlement::quarantine:
            scope_.spawn("quarantine", keep_message(std::move(finished)));
            return;
    }
    conclude(finished);
}

Awaitable<void> Settler::requeue_later(FinishedTask finished) {
    // A task that gives its message back whenever it comes must not keep a worker busy with that.
    boost::asio::steady_timer timer{scope_.executor(), kBackAfter};
    co_await timer.async_wait(boost::asio::use_awaitable);
    const DeliveryTag tag = finished.request->delivery.tag;
    // A new message is not counted among those that came back.
    const Delivery& delivery = finished.request->delivery;
    const bool anew = is_quorum_queue(core_.settings(), delivery.queue) && while_held(tag)() &&
                      (co_await publish_again(core_.broker(), delivery)).has_value();
    if (Consumer* consumer = hooks_.consumer()) {
        if (anew) {
            consumer->ack(tag);
        } else {
            consumer->reject(tag, Requeue::yes);
        }
    }
    conclude(finished);
}

Awaitable<void> Settler::keep_message(FinishedTask finished) {
    if (failpoint::left_out(failpoint::Line::kept_before_ack)) {
        co_await acknowledge_early({finished.request->delivery.tag});
    }
    const bool kept = co_await writer_.quarantine(
        finished.request->delivery.message, note_for(finished, hostname_), while_held(finished));
    if (!kept) co_return abandon(finished);
    if (Consumer* consumer = hooks_.consumer()) consumer->ack(finished.request->delivery.tag);
    conclude(finished);
}

Awaitable<void> Settler::acknowledge_early(std::vector<DeliveryTag> tags) {
    Consumer* const consumer = hooks_.consumer();
    if (consumer == nullptr) co_return;
    for (const DeliveryTag tag : tags) consumer->ack(tag);
    (void)co_await consumer->flush(Deadline::in(kAttempt));
}

void Settler::conclude(const FinishedTask& finished) {
    --pending_;
    hooks_.settled(finished.request, &finished.outcome, Clock::now() - finished.outcome.ended);
}

void Settler::quarantine(Delivery delivery, std::string reason, std::string detail,
                         std::optional<std::string> task_id, std::string task, TaskFailure failure,
                         std::optional<WorkflowStep> step) {
    log::error("worker", "Message from '{}' kept in '{}': {}: {}", delivery.queue,
               quarantine_queue(delivery.queue), reason, detail);
    metrics_.did_not_run(task, "quarantined");
    std::optional<TaskMeta> meta;
    if (task_id) meta = make_failure_meta(*task_id, failure);
    QuarantineNote note{std::move(reason), std::move(detail), delivery.queue, hostname_,
                        wall_clock_now()};
    if (writer_.giving_up()) return;
    ++pending_;
    scope_.spawn("quarantine", settle_quarantined(std::move(delivery), std::move(note),
                                                  std::move(meta), std::move(step)));
}

Awaitable<void> Settler::settle_quarantined(Delivery delivery, QuarantineNote note,
                                            std::optional<TaskMeta> meta,
                                            std::optional<WorkflowStep> step) {
    const DeliveryTag tag = delivery.tag;
    const DurableWriter::Wanted held = while_held(tag);
    const bool kept =
        co_await writer_.quarantine(std::move(delivery.message), std::move(note), held);
    if (!kept) co_return abandon(tag);
    std::optional<StoreOutcome> stored = StoreOutcome::stored;
    if (meta) stored = co_await writer_.store(*meta, held);
    if (!stored) co_return abandon(tag);
    if (meta && step) {
        const bool done =
            co_await workflow_.conclude(std::move(*step), std::move(*meta), *stored, false, held);
        if (!done) co_return abandon(tag);
    }
    if (Consumer* consumer = hooks_.consumer()) consumer->ack(tag);
    --pending_;
    hooks_.settled(nullptr, nullptr, Clock::duration{});
}

}  // namespace lovage
