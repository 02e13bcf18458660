#include <lovage/worker/worker_hooks.hpp>

#include <lovage/runtime/log.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>

namespace lovage {

namespace {

Awaitable<void> call_each(std::vector<WorkerHooks::Hook> hooks, std::string hostname) {
    for (const auto& hook : hooks) {
        try {
            hook(hostname);
        } catch (const std::exception& problem) {
            log::error("worker", "a worker hook failed: {}", problem.what());
        }
    }
    co_return;
}

}  // namespace

Awaitable<void> call_worker_hooks(std::vector<WorkerHooks::Hook> hooks, std::string hostname) {
    if (hooks.empty()) co_return;
    boost::asio::thread_pool thread{1};
    co_await boost::asio::co_spawn(thread, call_each(std::move(hooks), std::move(hostname)),
                                   boost::asio::use_awaitable);
}

}  // namespace lovage
