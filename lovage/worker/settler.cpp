#include <lovage/worker/settler.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/core/python_repr.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <iterator>
#include <new>
#include <random>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// What is left of a quarantine note's detail when a message is near the size limit.
constexpr std::size_t kShortDetail = 64;

/// One attempt to store or publish (reliability contract, clause 8).
constexpr auto kAttempt = 30s;

/// This very record can never be stored. Everything else may pass: the other side is down, slow,
/// damaged until somebody repairs it, or its answer was lost.
bool never_storable(Errc code) {
    return code == Errc::too_large || code == Errc::invalid_argument;
}

double seconds(Clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

}  // namespace

Settler::Settler(AppCore& core, TaskMetrics& metrics, std::string hostname, Hooks hooks)
    : core_{core},
      metrics_{metrics},
      hostname_{std::move(hostname)},
      hooks_{std::move(hooks)},
      scope_{core.loop().executor()} {}

void Settler::give_up() noexcept {
    giving_up_ = true;
    scope_.request_stop();
}

void Settler::conclude(DeliveryTag tag, const std::shared_ptr<TaskRequest>& request,
                       const TaskOutcome* outcome) {
    if (Consumer* consumer = hooks_.consumer()) consumer->ack(tag);
    --pending_;
    hooks_.settled(request, outcome,
                   outcome != nullptr ? Clock::now() - outcome->ended : Clock::duration{});
}

/// Half to full of 0.1 s doubling to 1 s: stores wait for an absent server by themselves, and what
/// was kept is to be stored soon after it is back.
Awaitable<void> Settler::pause_before_retry(int attempt) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto most = std::min(100ms * (1 << std::min(attempt, 4)), std::chrono::milliseconds{1s});
    std::uniform_int_distribution<std::int64_t> jitter{most.count() / 2, most.count()};
    asio::steady_timer timer{scope_.executor(), std::chrono::milliseconds{jitter(random)}};
    co_await timer.async_wait(asio::use_awaitable);
}

Awaitable<bool> Settler::store(TaskMeta meta) {
    bool replaced = false;
    for (int attempt = 0; !giving_up_; ++attempt) {
        auto outcome = co_await core_.results().store(meta, Deadline::in(kAttempt));
        if (outcome) co_return true;
        const Error& problem = outcome.error();
        if (never_storable(problem.code)) {
            const std::string what = "the result could not be stored: " + problem.message();
            log::error("worker", "Task {}: {}", meta.task_id, what);
            // A failure that says so can be stored; should even that not fit, the log has told it.
            if (replaced) co_return true;
            replaced = true;
            meta = make_failure_meta(meta.task_id, {"EncodeError", what, "kombu.exceptions",
                                                    traceback_text("", "while storing the result",
                                                                   "EncodeError", what)});
            continue;
        }
        if (attempt == 0 || attempt % 8 == 0) {
            log::warning("worker",
                         "Task {}: its result is not stored yet ({}); it is kept and tried again",
                         meta.task_id, problem.message());
        }
        co_await pause_before_retry(attempt);
    }
    co_return false;
}

void Settler::task_started(std::shared_ptr<TaskRequest> request) {
    if (giving_up_ || request->message.ignore_result) return;
    scope_.spawn("store STARTED", store_started(std::move(request)));
}

Awaitable<void> Settler::store_started(std::shared_ptr<TaskRequest> request) {
    TaskMeta meta;
    meta.task_id = request->message.id;
    meta.status = states::kStarted;
    meta.result = Json::object();
    meta.result.set("pid", ::getpid());
    meta.result.set("hostname", hostname_);
    meta.group_id = request->message.group;
    meta.parent_id = request->message.parent_id;
    // Informative only: a failure to store it holds nothing up.
    if (auto stored = co_await core_.results().store(std::move(meta), Deadline::in(kAttempt));
        !stored) {
        log::warning("worker", "Task {}: STARTED was not stored: {}", request->message.id,
                     stored.error().message());
    }
}

void Settler::log_end(const TaskRequest& request, const TaskOutcome& outcome) const {
    const TaskMessage& message = request.message;
    if (outcome.failure) {
        log::error("worker", "Task {}[{}] raised unexpected: {}('{}')", message.display_name(),
                   message.id, outcome.failure->exc_type, outcome.failure->exc_message);
    } else if (log::enabled(log::Level::info)) {
        log::info("worker", "Task {}[{}] succeeded in {:.6f}s: {}", message.display_name(),
                  message.id, seconds(outcome.ended - outcome.started),
                  python_repr(outcome.value, 128));
    }
}

bool Settler::wants_result(const FinishedTask& finished) const {
    return !finished.request->message.ignore_result ||
           (finished.outcome.failure && core_.settings().task_store_errors_even_if_ignored);
}

void Settler::tasks_finished(std::vector<FinishedTask> finished) {
    for (const FinishedTask& task : finished) {
        log_end(*task.request, task.outcome);
        metrics_.ran(task.request->definition->name, !task.outcome.failure,
                     task.outcome.started - task.request->received,
                     task.outcome.ended - task.outcome.started);
    }
    if (giving_up_) return;  // their messages go back with the consumer
    pending_ += finished.size();
    std::ranges::move(finished, std::back_inserter(unstored_));
    if (!storing_) scope_.spawn("settle", settle_unstored());
}

Awaitable<void> Settler::settle_unstored() {
    struct Storing {
        explicit Storing(bool& flag) : flag_{flag} { flag_ = true; }
        ~Storing() { flag_ = false; }
        bool& flag_;
    };
    const Storing storing{storing_};
    while (!unstored_.empty()) co_await settle_together(std::exchange(unstored_, {}));
}

Awaitable<std::vector<Result<StoreOutcome>>> Settler::store_together(
    const std::vector<FinishedTask>& finished) {
    std::vector<TaskMeta> metas;
    metas.reserve(finished.size());
    const bool extended = core_.settings().result_extended;
    for (const FinishedTask& task : finished) {
        if (wants_result(task)) metas.push_back(make_meta(*task.request, task.outcome, extended));
    }
    if (metas.empty()) co_return std::vector<Result<StoreOutcome>>{};
    co_return co_await core_.results().store_many(std::move(metas), Deadline::in(kAttempt));
}

Awaitable<void> Settler::settle_together(std::vector<FinishedTask> finished) {
    std::vector<Result<StoreOutcome>> stored;
    try {
        stored = co_await store_together(finished);
    } catch (const std::bad_alloc&) {
        // One enormous result must not take its neighbours along: one by one, below.
        stored.clear();
    }
    std::size_t next = 0;
    for (FinishedTask& task : finished) {
        const bool wanted = wants_result(task);
        const bool durable = !wanted || (next < stored.size() && stored[next].has_value());
        if (wanted) ++next;
        if (durable) {
            conclude(task.request->tag, task.request, &task.outcome);
        } else {
            scope_.spawn("settle", settle_finished(std::move(task)));
        }
    }
}

Awaitable<void> Settler::settle_finished(FinishedTask finished) {
    TaskMeta meta =
        make_meta(*finished.request, finished.outcome, core_.settings().result_extended);
    const bool durable = co_await store(std::move(meta));
    if (!durable) co_return;
    conclude(finished.request->tag, finished.request, &finished.outcome);
}

void Settler::revoke(std::shared_ptr<TaskRequest> request, std::string reason) {
    log::info("worker", "Discarding {} task: {}[{}]", reason, request->message.display_name(),
              request->message.id);
    if (giving_up_) return;
    metrics_.did_not_run(request->message.task, reason);
    ++pending_;
    scope_.spawn("revoke", settle_revoked(std::move(request), std::move(reason)));
}

Awaitable<void> Settler::settle_revoked(std::shared_ptr<TaskRequest> request, std::string reason) {
    // Stored even when results are ignored: a caller must be able to tell that the task never ran.
    const bool durable = co_await store(make_revoked_meta(request->message, reason));
    if (!durable) co_return;
    conclude(request->tag, request, nullptr);
}

void Settler::quarantine(Delivery delivery, std::string reason, std::string detail,
                         std::optional<std::string> task_id, std::string task,
                         TaskFailure failure) {
    log::error("worker", "Message from '{}' kept in '{}': {}: {}", delivery.queue,
               quarantine_queue(delivery.queue), reason, detail);
    metrics_.did_not_run(task, "quarantined");
    std::optional<TaskMeta> meta;
    if (task_id) meta = make_failure_meta(*task_id, failure);
    QuarantineNote note{std::move(reason), std::move(detail), delivery.queue, hostname_,
                        wall_clock_now()};
    if (giving_up_) return;
    ++pending_;
    scope_.spawn("quarantine",
                 settle_quarantined(std::move(delivery), std::move(note), std::move(meta)));
}

Awaitable<bool> Settler::publish_to_quarantine(Delivery delivery, QuarantineNote note) {
    const std::string queue = quarantine_queue(note.queue);
    for (int attempt = 0; !giving_up_; ++attempt) {
        const Deadline deadline = Deadline::in(kAttempt);
        Result<void> done{};
        if (!declared_.contains(queue)) {
            done = co_await core_.broker().declare_queue(QueueDeclaration{.name = queue}, deadline);
            if (done) declared_.insert(queue);
        }
        if (done) {
            done = co_await core_.broker().publish(to_quarantine(delivery.message, note), deadline);
        }
        if (done) co_return true;
        if (done.error().code == Errc::unroutable) declared_.erase(queue);
        if (done.error().code == Errc::too_large && note.detail.size() > kShortDetail) {
            note.detail.resize(kShortDetail);  // the note may be what makes it too large
        }
        log::warning("worker", "A message could not be put into '{}' yet: {}; it is tried again",
                     queue, done.error().message());
        co_await pause_before_retry(attempt);
    }
    co_return false;
}

Awaitable<void> Settler::settle_quarantined(Delivery delivery, QuarantineNote note,
                                            std::optional<TaskMeta> meta) {
    const DeliveryTag tag = delivery.tag;
    const bool kept = co_await publish_to_quarantine(std::move(delivery), std::move(note));
    if (!kept) co_return;
    if (meta) {
        const bool durable = co_await store(std::move(*meta));
        if (!durable) co_return;
    }
    conclude(tag, nullptr, nullptr);
}

}  // namespace lovage
