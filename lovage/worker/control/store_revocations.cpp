#include <lovage/worker/control/store_revocations.hpp>

#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

namespace lovage::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kAtOnce = 256;

struct Work {
    Client* client;
    std::vector<std::string> task_ids;
    RevokeOptions options;
    Deadline deadline;
    std::size_t next = 0;
    std::vector<std::size_t> failed;
    Error why;
};

/// One of those that work at once.
Awaitable<void> store_some(Work* work) {
    while (work->next < work->task_ids.size()) {
        const std::size_t index = work->next++;
        Result<void> stored = fail(Errc::deadline_exceeded, "there was no time left");
        if (!work->deadline.passed()) {
            stored =
                co_await work->client->revoke(work->task_ids[index], work->options, work->deadline);
        }
        if (stored) continue;
        if (work->failed.empty()) work->why = std::move(stored.error());
        work->failed.push_back(index);
    }
}

}  // namespace

Awaitable<Unstored> store_revocations(Client* client, std::vector<std::string> task_ids,
                                      RevokeOptions options, Deadline deadline) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    Work work{client, std::move(task_ids), options, deadline, 0, {}, {}};
    TaskScope scope{co_await asio::this_coro::executor};
    for (std::size_t i = std::min(kAtOnce, work.task_ids.size()); i > 0; --i) {
        scope.spawn("store a revocation", store_some(&work));
    }
    while (!co_await scope.join(Deadline::in(std::chrono::hours{1}))) {
    }
    Unstored unstored;
    std::ranges::sort(work.failed);
    for (const std::size_t index : work.failed) {
        unstored.task_ids.push_back(std::move(work.task_ids[index]));
    }
    unstored.why = std::move(work.why);
    co_return unstored;
}

}  // namespace lovage::control
