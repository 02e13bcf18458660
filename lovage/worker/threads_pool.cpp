#include <lovage/worker/threads_pool.hpp>

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <pthread.h>

namespace lovage {

namespace asio = boost::asio;

/// Outlives the pool when a slot is left behind.
struct ThreadsPool::Shared : std::enable_shared_from_this<Shared> {
    Shared(Executor loop_executor, std::size_t slot_count)
        : loop{std::move(loop_executor)}, slots{slot_count} {}

    const Executor loop;
    const std::size_t slots;
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
    std::size_t alive = 0;
    std::vector<bool> ended;

    std::vector<std::thread> threads;  // touched on the loop only

    void run_slot(std::size_t slot) {
        std::unique_lock lock{mutex};
        while (true) {
            work_came.wait(lock, [this] { return stopping || !waiting.empty(); });
            if (stopping) break;
            std::shared_ptr<TaskRequest> request = std::move(waiting.front());
            waiting.pop_front();
            ++busy;
            if (request->report_start) {
                started.push_back(request);
                post_events();
            }
            lock.unlock();
            TaskOutcome outcome = run_task(*request);
            lock.lock();
            --busy;
            finished.push_back({std::move(request), std::move(outcome)});
            post_events();
        }
        --alive;
        ended[slot] = true;
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
    : shared_{std::make_shared<Shared>(std::move(loop), std::clamp<std::size_t>(slots, 1, 1024))},
      name_{name} {}

ThreadsPool::~ThreadsPool() {
    stop();
}

void ThreadsPool::start(Events events) {
    shared_->events = std::move(events);
    shared_->alive = shared_->slots;
    shared_->ended.assign(shared_->slots, false);
    for (std::size_t i = 0; i < shared_->slots; ++i) {
        shared_->threads.emplace_back([shared = shared_, i] {
            pthread_setname_np(pthread_self(), fmt::format("lovage-slot-{}", i).c_str());
            shared->run_slot(i);
        });
    }
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
    shared_->events = {};
    std::unique_lock lock{shared_->mutex};
    shared_->stopping = true;
    shared_->work_came.notify_all();
    shared_->slot_ended.wait(lock, [this] { return shared_->alive <= shared_->busy; });
    const std::vector<bool> ended = shared_->ended;
    lock.unlock();
    std::size_t left_behind = 0;
    for (std::size_t i = 0; i < shared_->threads.size(); ++i) {
        if (ended[i]) {
            shared_->threads[i].join();
        } else {
            // A thread cannot be killed. It keeps `Shared` alive and goes with the process.
            shared_->threads[i].detach();  // lint: owned by the process
            ++left_behind;
        }
    }
    shared_->threads.clear();
    return left_behind;
}

std::size_t ThreadsPool::slots() const noexcept {
    return shared_->slots;
}

std::size_t ThreadsPool::busy() const noexcept {
    const std::lock_guard lock{shared_->mutex};
    return shared_->busy;
}

}  // namespace lovage
