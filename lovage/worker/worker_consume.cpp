// What happens to deliveries between the broker and the pool.

#include <lovage/app/queues.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>
#include <lovage/worker/gathering.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <bit>
#include <exception>
#include <string>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How long to wait for deliveries before looking up: a quiet queue is no error.
constexpr std::chrono::milliseconds kReceive = 5s;
constexpr auto kRevive = 10s;
/// How long the end of a lost consumer may take that something else still holds.
constexpr auto kGoodbye = 1s;
/// The longest pause before another try to consume: a try waits for the broker by itself, and a
/// pause that its return falls into is one more delay.
constexpr auto kLongestPause = 2s;

/// After these the consumer goes on by itself; its deliveries stay valid.
bool still_usable(Errc code) {
    return code == Errc::not_found || code == Errc::unavailable || code == Errc::unknown_outcome;
}

/// When something is to be done about a task: at its ETA, or when it expires before that.
TimePoint due_time(const TaskMessage& message) {
    const TimePoint due = message.eta.value_or(TimePoint::min());
    // A moment later, since a task expires only after that time.
    return message.expires ? std::min(due, *message.expires + 1us) : due;
}

}  // namespace

Awaitable<void> Worker::Impl::consume() {
    while (stops_ == 0) {
        std::string problem;
        try {
            co_await consume_until_stop();
            co_return;
        } catch (const boost::system::system_error&) {
            throw;  // cancelled
        } catch (const std::exception& thrown) {
            problem = thrown.what();
        }
        if (!co_await recover({Errc::internal, problem})) co_return;
    }
}

Awaitable<void> Worker::Impl::consume_until_stop() {
    Gathering gathering;
    const std::chrono::milliseconds patience = app.settings().worker_progress_timeout;
    const auto look_up = patience.count() == 0 ? kReceive : std::min(kReceive, patience);
    while (stops_ == 0) {
        if (!consumer_) {  // it was lost while no queue was consumed
            co_await pause(look_up);
            if (!sources_.empty() && !co_await recover({Errc::disconnected, "a queue was added"})) {
                co_return;
            }
            continue;
        }
        std::shared_ptr<Consumer> consumer = consumer_;
        auto deliveries = co_await consumer->receive(Deadline::in(look_up));
        consumer.reset();  // held for longer, a lost one would outlive its end in recover()
        if (deliveries) {
            deliveries_ += deliveries->size();
            repair_ = Repair::none;
            epoch_ = deliveries->front().tag.epoch;
            const bool more_come = gathering.came(deliveries->size(), Clock::now());
            co_await take(std::move(*deliveries));
            if (more_come) co_await pause(Gathering::kPause);
        } else if (repair_ != Repair::none) {
            if (!co_await recover({Errc::disconnected, "it gets nothing"})) co_return;
        } else if (deliveries.error().code != Errc::deadline_exceeded) {
            if (!co_await recover(std::move(deliveries.error()))) co_return;
        }
    }
}

Awaitable<Result<void>> Worker::Impl::revive(bool same_consumer) {
    const Deadline deadline = Deadline::in(kRevive);
    if (!same_consumer) {
        // What was delivered to the old consumer is delivered again: what has not started must not
        // run twice, and acks of what runs would be stale.
        const std::shared_ptr<Consumer> lost = std::exchange(consumer_, nullptr);
        ++generation_;
        withdraw_unstarted();
        // A command may wait for it still: it must not take messages meanwhile.
        if (lost.use_count() > 1) (void)co_await lost->close(Deadline::in(kGoodbye));
    }
    if (repair_ == Repair::connection) {
        if (auto renewed = co_await core->broker().renew(deadline); !renewed) co_return renewed;
    }
    repair_ = Repair::none;
    if (auto connected = co_await core->connect(deadline); !connected) co_return connected;
    if (!consumer_) co_return co_await open_consumer();
    for (const QueueSource& source : std::vector{sources_}) {
        // A queue that was deleted is made again; adding one that is consumed does nothing.
        if (!wants_queue(source.queue)) continue;
        auto declared = co_await declare(source, deadline);
        if (declared) declared = co_await consume_wanted(source.queue, deadline);
        if (!declared) co_return declared;
    }
    co_return Result<void>{};
}

Awaitable<bool> Worker::Impl::recover(Error problem) {
    for (auto wait = 100ms; stops_ == 0;
         wait = std::min<std::chrono::milliseconds>(wait * 2, kLongestPause)) {
        ready = false;
        const bool same_consumer = consumer_ && still_usable(problem.code);
        if (!same_consumer) epoch_.reset();
        log::error("worker", "consumer: {}. {} …", problem.message(),
                   same_consumer ? "Going on" : "Trying to re-establish it");
        co_await pause(wait);
        if (stops_ != 0) break;
        auto revived = co_await revive(same_consumer);
        if (revived) {
            ready = stops_ == 0;
            log::info("worker", "consumer: consuming again");
            co_return stops_ == 0;
        }
        problem = std::move(revived.error());
    }
    co_return false;
}

Awaitable<void> Worker::Impl::take(std::vector<Delivery> deliveries) {
    if (failpoint::fails(failpoint::Point::worker_received)) throw std::runtime_error{"failpoint"};
    const std::uint64_t generation = generation_;
    auto [requests, revoked] = co_await decode_and_look_up(std::move(deliveries));
    if (requests.empty()) co_return;
    std::vector<std::optional<TaskMeta>> done = co_await look_up_done(requests);
    const std::vector<std::size_t> crashes = co_await look_up_crashes(requests);
    if (generation != generation_) co_return;  // they are redelivered
    if (stops_ != 0) {
        for (const RequestPtr& request : requests) give_back(request);
        co_return;
    }
    std::vector<RequestPtr> runnable;
    runnable.reserve(requests.size());
    const TimePoint now = wall_clock_now();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!done.empty() && done[i]) {
            end_done(std::move(requests[i]), std::move(*done[i]));
        } else if (!crashes.empty() && crashes[i] >= kCrashesMost) {
            settler_.refuse_crashing(std::move(requests[i]), crashes[i]);
        } else {
            triage(std::move(requests[i]), revoked[i], now, runnable);
        }
    }
    submit(std::move(runnable));
}

void Worker::Impl::triage(RequestPtr request, Revocation revocation, TimePoint now,
                          std::vector<RequestPtr>& runnable) {
    const TaskMessage& message = request->message;
    if (revocation != Revocation::none || revoked_stamps_.revokes(message)) {
        settler_.revoke(std::move(request), "revoked");
    } else if (message.expires && *message.expires < now) {
        settler_.revoke(std::move(request), "expired");
    } else if (const TimePoint due = due_time(message); due > now) {
        if (KeyGate::concerns(*request, false)) {
            gate_.enter(std::move(request), false);
        } else {
            waiting_.add(std::move(request), due, now);
        }
    } else if (!gate_.goes_in_line(request) && admission_.admit(request)) {
        if (KeyGate::concerns(*request, true)) {
            gate_.enter(std::move(request), true);
        } else {
            runnable.push_back(std::move(request));
        }
    }
}

KeyGate::Hooks Worker::Impl::gate_hooks() {
    KeyGate::Hooks hooks;
    hooks.start = [this](RequestPtr request) {
        std::vector<RequestPtr> one;
        one.push_back(std::move(request));
        submit(std::move(one));
    };
    hooks.wait = [this](RequestPtr request) {
        const TimePoint due = due_time(request->message);
        waiting_.add(std::move(request), due, wall_clock_now());
    };
    hooks.duplicate = [this](RequestPtr request, const std::string& first) {
        settler_.end_duplicate(std::move(request), first);
    };
    hooks.leave_turn = [this](TaskRequest& request) { admission_.give_back_turn(request); };
    return hooks;
}

void Worker::Impl::submit(std::vector<RequestPtr> runnable) {
    if (limits_.replaced()) {  // maybe while it waited
        for (const RequestPtr& request : runnable) set_rules(*request);
    }
    watch_.submitted(runnable);
    show_busy();
    scale();
    pool_->submit(std::move(runnable));
}

void Worker::Impl::give_back(const RequestPtr& request) {
    if (consumer_) consumer_->reject(request->delivery.tag, Requeue::yes);
}

Awaitable<void> Worker::Impl::release_due() {
    while (stops_ == 0) {
        try {
            co_await release_due_until_stop();
        } catch (const boost::system::system_error&) {
            throw;  // cancelled
        } catch (const std::exception& thrown) {
            log::error("worker", "releasing held tasks: {}", thrown.what());
        }
    }
}

Awaitable<void> Worker::Impl::release_due_until_stop() {
    while (stops_ == 0) {
        const TimePoint wall = wall_clock_now();
        const auto steady = Clock::now();
        std::vector<RequestPtr> due = waiting_.pop_due(wall, steady);
        if (due.empty()) {
            co_await changed_.wait(Deadline::in(waiting_.until_next(wall, steady)));
            continue;
        }
        const std::uint64_t generation = generation_;
        const std::vector<Revocation> revoked = co_await look_up_revoked(due);
        if (generation != generation_) continue;  // they are redelivered
        std::vector<RequestPtr> runnable;
        const TimePoint now = wall_clock_now();
        for (std::size_t i = 0; i < due.size(); ++i) {
            if (stops_ != 0) {
                give_back(due[i]);
                continue;
            }
            due[i]->received = Clock::now();
            triage(std::move(due[i]), revoked[i], now, runnable);
        }
        submit(std::move(runnable));
        update_prefetch();
    }
}

std::size_t Worker::Impl::busy_slots() const noexcept {
    return std::min(watch_.running().size(), pool_->slots());
}

void Worker::Impl::show_busy() {
    metrics_.slots_busy.set(static_cast<double>(busy_slots()));
}

void Worker::Impl::on_finished(std::vector<FinishedTask> finished) {
    for (const FinishedTask& task : finished) {
        if (task.outcome.started != Clock::time_point{}) ++begun_[task.request->definition];
        watch_.ended(task.request);
        gate_.ended(task.request, task.outcome);
    }
    settler_.tasks_finished(std::move(finished));
    show_busy();
    if (stops_ != 0) changed_.notify_all();
}

void Worker::Impl::on_settled(const RequestPtr& request, const TaskOutcome* outcome,
                              LookAhead::Duration settle_time) {
    const bool ran = outcome != nullptr && outcome->started != Clock::time_point{};
    if (ran) {
        look_ahead_.on_task_settled(outcome->ended - outcome->started, settle_time);
    }
    if (request) gate_.settled(request, outcome);
    // Of a retry it was said before the next attempt could begin.
    if (request && outcome != nullptr && outcome->ending != Ending::retry) {
        events_.ended(*request, *outcome);
    }
    if (consumer_) metrics_.unsettled.set(static_cast<double>(consumer_->unsettled()));
    update_prefetch();
    if (stops_ != 0) changed_.notify_all();
}

std::uint32_t Worker::Impl::wanted_prefetch() const noexcept {
    // Each waiting task counts, or waiting ones would take the slots' places. Many are counted in
    // steps, since every change is a word to the broker.
    const std::size_t places = waiting_.places();
    const std::size_t step = std::max<std::size_t>(std::bit_floor(places) / 8, 1);
    const std::size_t waiting = (places + step - 1) / step * step;
    return static_cast<std::uint32_t>(std::min<std::size_t>(ahead_ + waiting, 65'535));
}

void Worker::Impl::update_prefetch() {
    // Small changes of the look-ahead are not worth a word to the broker either.
    const std::uint32_t ahead = look_ahead_.prefetch();
    const std::uint32_t change = ahead > ahead_ ? ahead - ahead_ : ahead_ - ahead;
    if (change * 8 >= ahead_ || ahead == look_ahead_.slots()) ahead_ = ahead;
    const std::uint32_t wanted = wanted_prefetch();
    if (wanted == prefetch_) return;
    prefetch_ = wanted;
    if (consumer_) consumer_->set_prefetch(prefetch_);
}

}  // namespace lovage
