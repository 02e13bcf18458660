#include <lovage/worker/control/store_revocations.hpp>

#include <lovage/runtime/for_each.hpp>

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
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
    std::vector<std::size_t> failed;
    Error why;
};

Awaitable<Result<void>> store_one(Work* work, std::size_t index) {
    Result<void> stored = fail(Errc::deadline_exceeded, "there was no time left");
    if (!work->deadline.passed()) {
        stored =
            co_await work->client->revoke(work->task_ids[index], work->options, work->deadline);
    }
    if (!stored) {
        if (work->failed.empty()) work->why = std::move(stored.error());
        work->failed.push_back(index);
    }
    co_return Result<void>{};  // the others are stored all the same
}

}  // namespace

Awaitable<Unstored> store_revocations(Client* client, std::vector<std::string> task_ids,
                                      RevokeOptions options, Deadline deadline) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    Work work{client, std::move(task_ids), options, deadline, {}, {}};
    const auto store = [&work](std::size_t index) { return store_one(&work, index); };
    (void)co_await for_each_index(work.task_ids.size(), kAtOnce, store, OnFailure::finish);
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation{});
    Unstored unstored;
    std::ranges::sort(work.failed);
    for (const std::size_t index : work.failed) {
        unstored.task_ids.push_back(std::move(work.task_ids[index]));
    }
    unstored.why = std::move(work.why);
    co_return unstored;
}

}  // namespace lovage::control
