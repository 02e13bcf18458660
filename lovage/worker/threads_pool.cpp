#include <lovage/worker/threads_pool.hpp>

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include <pthread.h>
#include <unistd.h>

namespace lovage {

namespace asio = boost::asio;

namespace {}

/// Outlives the pool when a slot is left behind.
struct ThreadsPool::Shared : std::enable_shared_from_this<Shared> {
    Shared(Executor loop_executor, std::size_t slot_count)
        : loop{std::move(loop_executor)}, wanted{slot_count} {}

    const Executor loop;
    Events events;  // touched on the loop only, after start()

    mutable std::mutex mutex;  // guards what follows
    std::condition_variable work_came;
    std::condition_variable slot_ended;
    std::deque<std::shared_ptr<TaskRequest>> waiting;
    std::vector<std::shared_ptr<TaskRequest>> started;
    std::vector<FinishedTask> finished;
    bool delivery_posted = false;
    bool stopping = false;
    std::size_t busy = 0;
    std::size_t wanted;
    std::size_t alive = 0;
    std::vector<std::size_t> ended;  // slots whose thread has left
    struct Run {
        std::shared_ptr<TaskRequest> request;  // nullptr: the slot is idle
        std::chrono::steady_clock::time_point started;
    };
    std::map<std::size_t, Run> runs;  // by slot

    std::map<std::size_t, std::thread> threads;  // by slot; touched on the loop only

    /// Until there are as many as wanted. On the loop.
    void start_threads() {
        const std::lock_guard lock{mutex};
        for (std::size_t slot = 0; alive < wanted; ++slot) {
            if (threads.contains(slot)) continue;
            ++alive;
            threads.emplace(slot, [shared = shared_from_this(), slot] {
                pthread_setname_np(pthread_self(), fmt::format("lovage-slot-{}", slot).c_str());
                shared->run_slot(slot);
            });
        }
    }

    /// Joins the threads that have left. On the loop.
    void reap() {
        std::vector<std::size_t> left;
        {
            const std::lock_guard lock{mutex};
            left.swap(ended);
        }
        for (const std::size_t slot : left) {
            const auto found = threads.find(slot);
            if (found == threads.end()) continue;  // stop() has let go of it
            found->second.join();
            threads.erase(found);
        }
    }

    void run_slot(std::size_t slot) {
        std::unique_lock lock{mutex};
        Run& run = runs[slot];
        while (true) {
            work_came.wait(lock, [this] { return stopping || alive > wanted || !waiting.empty(); });
            if (stopping || alive > wanted) break;
            std::shared_ptr<TaskRequest> request = std::move(waiting.front());
            waiting.pop_front();
            ++busy;
            run = {request, std::chrono::steady_clock::now()};
            if (request->report_start) {
                started.push_back(request);
                post_events();
            }
            lock.unlock();
            TaskOutcome outcome = run_task(*request);
            lock.lock();
            --busy;
            run.request.reset();
            finished.push_back({std::move(request), std::move(outcome)});
            post_events();
        }
        runs.erase(slot);
        --alive;
        ended.push_back(slot);
        slot_ended.notify_all();
    }

    /// One post for however many events come before the loop gets to it.
    void post_events() {
        if (delivery_posted) return;
        delivery_posted = true;
        asio::post(loop, [self = shared_from_this()] { self->deliver_events(); });
    }

    void deliver_events() {
        std::vector<std::shared_ptr<TaskRequest>> starts;
        std::vector<FinishedTask> ends;
        {
            const std::lock_guard lock{mutex};
            delivery_posted = false;
            starts.swap(started);
            ends.swap(finished);
        }
        // After stop() nobody listens any more.
        if (events.started) {
            for (const auto& request : starts) events.started(request);
        }
        if (events.finished && !ends.empty()) events.finished(std::move(ends));
    }
};

ThreadsPool::ThreadsPool(Executor loop, std::size_t slots, std::string_view name)
    : shared_{std::make_shared<Shared>(std::move(loop),
                                       std::clamp<std::size_t>(slots, 1, kSlotsMost))},
      name_{name} {}

ThreadsPool::~ThreadsPool() {
    // Whoever destroys it after a stop may do so elsewhere than on the loop, where a slot that was
    // left behind can still end.
    if (!stopped_) stop();
}

void ThreadsPool::start(Events events) {
    shared_->events = std::move(events);
    shared_->start_threads();
}

Result<void> ThreadsPool::resize(std::size_t slots) {
    if (!resizable()) return Pool::resize(slots);
    shared_->reap();
    {
        const std::lock_guard lock{shared_->mutex};
        shared_->wanted = std::clamp<std::size_t>(slots, 1, kSlotsMost);
        if (shared_->stopping || !shared_->events.finished) return {};
    }
    shared_->start_threads();
    shared_->work_came.notify_all();
    return {};
}

void ThreadsPool::submit(std::vector<std::shared_ptr<TaskRequest>> requests) {
    if (requests.empty()) return;
    {
        const std::lock_guard lock{shared_->mutex};
        std::ranges::move(requests, std::back_inserter(shared_->waiting));
    }
    if (requests.size() == 1) {
        shared_->work_came.notify_one();
    } else {
        shared_->work_came.notify_all();
    }
}

std::vector<std::shared_ptr<TaskRequest>> ThreadsPool::take_unstarted() {
    const std::lock_guard lock{shared_->mutex};
    std::vector<std::shared_ptr<TaskRequest>> unstarted{
        std::make_move_iterator(shared_->waiting.begin()),
        std::make_move_iterator(shared_->waiting.end())};
    shared_->waiting.clear();
    return unstarted;
}

std::size_t ThreadsPool::stop() {
    stopped_ = true;
    shared_->events = {};
    std::unique_lock lock{shared_->mutex};
    shared_->stopping = true;
    shared_->work_came.notify_all();
    shared_->slot_ended.wait(lock, [this] { return shared_->alive <= shared_->busy; });
    lock.unlock();
    shared_->reap();
    const std::size_t left_behind = shared_->threads.size();
    // A thread cannot be killed. It keeps `Shared` alive and goes with the process.
    for (auto& [slot, thread] : shared_->threads) thread.detach();  // lint: owned by the process
    shared_->threads.clear();
    return left_behind;
}

std::size_t ThreadsPool::slots() const noexcept {
    const std::lock_guard lock{shared_->mutex};
    return shared_->wanted;
}

std::size_t ThreadsPool::busy() const noexcept {
    const std::lock_guard lock{shared_->mutex};
    return shared_->busy;
}

std::vector<RunningTask> ThreadsPool::running() const {
    std::vector<RunningTask> tasks;
    const std::lock_guard lock{shared_->mutex};
    for (const auto& [slot, run] : shared_->runs) {
        if (run.request) tasks.push_back({run.request, run.started, ::getpid()});
    }
    return tasks;
}

}  // namespace lovage
