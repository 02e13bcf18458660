#include <lovage/worker/coroutine_pool.hpp>

#include <lovage/worker/attempt.hpp>
#include <lovage/worker/coroutine_run.hpp>
#include <lovage/worker/detail/context_executor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace lovage {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;
using RequestPtr = std::shared_ptr<TaskRequest>;

/// How long stop() waits for tasks that were asked to stop.
constexpr auto kUnwind = 1s;

std::size_t helper_count() {
    return std::max<std::size_t>(2, std::thread::hardware_concurrency());
}

}  // namespace

/// Outlives the pool when a task does not return.
struct CoroutinePool::Shared : std::enable_shared_from_this<Shared> {
    Shared(Executor loop_executor, std::size_t slot_count)
        : loop{std::move(loop_executor)}, slots{slot_count} {}

    const Executor loop;
    const std::size_t slots;

    // Touched on the worker's loop only.
    Events events;
    std::deque<RequestPtr> waiting;
    std::unordered_map<RequestPtr, std::chrono::steady_clock::time_point> running;  // since when
    std::thread thread;

    // Touched on the tasks' thread only.
    asio::io_context tasks{1};
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;

    std::mutex mutex;  // guards what follows
    std::condition_variable all_ended;
    std::vector<RequestPtr> started;
    std::vector<FinishedTask> finished;
    std::size_t alive = 0;
    bool delivery_posted = false;

    /// Starts as many as there are free slots. On the worker's loop.
    void start_waiting() {
        std::vector<RequestPtr> next;
        const auto now = std::chrono::steady_clock::now();
        while (!waiting.empty() && running.size() < slots) {
            running.emplace(waiting.front(), now);
            next.push_back(std::move(waiting.front()));
            waiting.pop_front();
        }
        if (next.empty()) return;
        {
            const std::lock_guard lock{mutex};
            alive += next.size();
        }
        asio::post(tasks, [self = shared_from_this(), starting = std::move(next)]() mutable {
            for (RequestPtr& request : starting) self->begin(std::move(request));
        });
    }

    /// On the tasks' thread.
    void begin(RequestPtr request) {
        if (request->report_start) {
            const std::lock_guard lock{mutex};
            started.push_back(request);
            post_events();
        }
        const auto stop = std::make_shared<asio::cancellation_signal>();
        auto notice = std::make_shared<TaskContext::StopNotice>(
            *request->context, [self = weak_from_this(), stop] {
                if (const auto shared = self.lock()) {
                    asio::post(shared->tasks,
                               [stop] { stop->emit(asio::cancellation_type::terminal); });
                }
            });
        const asio::any_io_executor executor{
            detail::ContextExecutor{tasks.get_executor(), request->context}};
        asio::co_spawn(
            executor, run_task_coroutine(request),
            asio::bind_cancellation_slot(
                stop->slot(), [self = shared_from_this(), request, stop, notice](
                                  std::exception_ptr error, TaskOutcome outcome) mutable {
                    notice.reset();
                    if (error) {  // stopped before its first step
                        Attempt attempt{*request};
                        attempt.threw(error);
                        outcome = attempt.end();
                    }
                    self->end(std::move(request), std::move(outcome));
                }));
    }

    /// On the tasks' thread.
    void end(RequestPtr request, TaskOutcome outcome) {
        const std::lock_guard lock{mutex};
        finished.push_back({std::move(request), std::move(outcome)});
        post_events();
        if (--alive == 0) all_ended.notify_all();
    }

    /// One post for however many events come before the loop gets to it.
    void post_events() {
        if (std::exchange(delivery_posted, true)) return;
        asio::post(loop, [self = shared_from_this()] { self->deliver_events(); });
    }

    void deliver_events() {
        std::vector<RequestPtr> starts;
        std::vector<FinishedTask> ends;
        {
            const std::lock_guard lock{mutex};
            delivery_posted = false;
            starts.swap(started);
            ends.swap(finished);
        }
        for (const FinishedTask& task : ends) running.erase(task.request);
        // After stop() nobody listens any more.
        if (!events.finished) return;
        start_waiting();
        for (const auto& request : starts) events.started(request);
        if (!ends.empty()) events.finished(std::move(ends));
    }
};

CoroutinePool::CoroutinePool(Executor loop, std::size_t slots)
    : shared_{std::make_shared<Shared>(loop, std::clamp<std::size_t>(slots, 1, kCoroutinesMost))},
      helpers_{std::move(loop), helper_count()} {}

CoroutinePool::~CoroutinePool() {
    stop();
}

void CoroutinePool::start(Events events) {
    helpers_.start(events);
    shared_->events = std::move(events);
    shared_->work.emplace(shared_->tasks.get_executor());
    shared_->thread = std::thread{[shared = shared_] {
        pthread_setname_np(pthread_self(), "lovage-tasks");
        shared->tasks.run();
    }};
}

void CoroutinePool::submit(std::vector<RequestPtr> requests) {
    std::vector<RequestPtr> functions;
    for (RequestPtr& request : requests) {
        if (request->definition->coroutine != nullptr) {
            shared_->waiting.push_back(std::move(request));
        } else {
            functions.push_back(std::move(request));
        }
    }
    helpers_.submit(std::move(functions));
    shared_->start_waiting();
}

std::vector<RequestPtr> CoroutinePool::take_unstarted() {
    std::vector<RequestPtr> unstarted = helpers_.take_unstarted();
    std::ranges::move(shared_->waiting, std::back_inserter(unstarted));
    shared_->waiting.clear();
    return unstarted;
}

std::size_t CoroutinePool::stop() {
    const std::size_t left_behind = helpers_.stop();
    shared_->events = {};
    shared_->waiting.clear();
    if (!shared_->thread.joinable()) return left_behind;
    std::unique_lock lock{shared_->mutex};
    const bool ended =
        shared_->all_ended.wait_for(lock, kUnwind, [this] { return shared_->alive == 0; });
    const std::size_t alive = shared_->alive;
    lock.unlock();
    shared_->tasks.stop();
    if (ended) {
        shared_->thread.join();
        return left_behind;
    }
    // It cannot be killed. It keeps `Shared` alive and goes with the process.
    shared_->thread.detach();  // lint: owned by the process
    return left_behind + alive;
}

std::size_t CoroutinePool::slots() const noexcept {
    return shared_->slots;
}

std::size_t CoroutinePool::busy() const noexcept {
    return shared_->running.size() + helpers_.busy();
}

std::vector<RunningTask> CoroutinePool::running() const {
    std::vector<RunningTask> tasks = helpers_.running();
    for (const auto& [request, started] : shared_->running) {
        tasks.push_back({request, started, ::getpid()});
    }
    return tasks;
}

}  // namespace lovage
