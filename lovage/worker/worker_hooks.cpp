#include <lovage/worker/worker_hooks.hpp>

#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>

#include <boost/asio/post.hpp>

#include <exception>
#include <mutex>
#include <utility>

#include <pthread.h>

namespace lovage {

/// Outlives the calls when a hook does not return.
struct WorkerHookCalls::Shared {
    explicit Shared(Executor loop) : over{std::move(loop)} {}

    // Touched on the loop only.
    Notifier over;
    bool ended = false;

    std::mutex mutex;
    bool left_behind = false;  // guarded by it: the loop may be gone
};

namespace {

void call_each(const std::vector<WorkerHooks::Hook>& hooks, const std::string& hostname) {
    for (const auto& hook : hooks) {
        try {
            hook(hostname);
        } catch (const std::exception& problem) {
            log::error("worker", "a worker hook failed: {}", problem.what());
        } catch (...) {
            log::error("worker", "a worker hook failed: what it threw is no std::exception");
        }
    }
}

}  // namespace

WorkerHookCalls::WorkerHookCalls(Executor loop, std::vector<WorkerHooks::Hook> hooks,
                                 std::string hostname)
    : shared_{std::make_shared<Shared>(std::move(loop))} {
    shared_->ended = hooks.empty();
    if (hooks.empty()) return;
    thread_ =
        std::thread{[shared = shared_, to_call = std::move(hooks), name = std::move(hostname)] {
            pthread_setname_np(pthread_self(), "lovage-hooks");
            call_each(to_call, name);
            const std::lock_guard lock{shared->mutex};
            if (shared->left_behind) return;
            boost::asio::post(shared->over.executor(), [shared] {
                shared->ended = true;
                shared->over.notify_all();
            });
        }};
}

WorkerHookCalls::~WorkerHookCalls() {
    if (!thread_.joinable()) return;
    if (shared_->ended) {
        thread_.join();
        return;
    }
    const std::lock_guard lock{shared_->mutex};
    shared_->left_behind = true;
    thread_.detach();  // lint: owned by the process
}

Awaitable<bool> WorkerHookCalls::ended(Deadline deadline) {
    const auto shared = shared_;
    while (!shared->ended) {
        if (!co_await shared->over.wait(deadline) && !shared->ended) co_return false;
    }
    co_return true;
}

}  // namespace lovage
