#include <lovage/app/app_core.hpp>
#include <lovage/app/client.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/runtime/for_each.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

constexpr std::chrono::seconds kRevokePatience{5};

/// Tasks revoked beside each other, and then printed and told of in one command, before the next
/// ones: whoever stops the program leaves no more than these stored and not told.
constexpr std::size_t kAtOnce = 256;

struct Block {
    App* app;
    RevokeOptions options;
    std::span<const std::string> task_ids;
    /// In their order, what each had ended as before, empty: it had not; nothing: not revoked.
    std::vector<std::optional<std::string>> ended_as;
};

/// Keeps the status alone of the record from before: results are large.
Awaitable<Result<std::string>> ended_as(AsyncResultBase task, Deadline deadline) {
    auto before = co_await task.meta_async(deadline);
    if (!before) co_return std::unexpected{std::move(before.error())};
    const bool too_late = before->ready() && before->status != states::kRevoked;
    co_return too_late ? std::move(before->status) : std::string{};
}

Awaitable<Result<void>> revoke_one(Block* block, std::size_t index) {
    const Deadline deadline = Deadline::in(kRevokePatience);
    AsyncResultBase task = block->app->async_result(block->task_ids[index]);
    auto before = co_await ended_as(task, deadline);
    if (!before) co_return std::unexpected{std::move(before.error())};
    // Workers are told of all of them in one command, tell_workers().
    Client& client = block->app->core()->client();
    auto stored = co_await client.revoke(task.id(), block->options, deadline);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    block->ended_as[index] = std::move(*before);
    co_return Result<void>{};
}

/// All of them, as far as the first that cannot be revoked.
Awaitable<Result<void>> revoke_all(Block* block) {
    return for_each_index(
        block->ended_as.size(), kAtOnce,
        [block](std::size_t index) { return revoke_one(block, index); }, OnFailure::finish);
}

/// Says what became of each; returns those that are revoked, and makes `code` kFailure when it was
/// too late for one.
std::vector<std::string> show(const Block& block, Console& console, int& code) {
    std::vector<std::string> revoked;
    for (std::size_t i = 0; i < block.ended_as.size(); ++i) {
        if (!block.ended_as[i]) continue;
        const std::string shown = lovage::detail::printable_line(block.task_ids[i]);
        if (!block.ended_as[i]->empty()) {
            console.err << fmt::format("{}: too late, it has ended as {}\n", shown,
                                       lovage::detail::printable_line(*block.ended_as[i]));
            code = kFailure;
            continue;
        }
        revoked.push_back(block.task_ids[i]);
        console.out << fmt::format(
            "{}: {}\n", shown,
            block.options.terminate ? "revoked, and terminated where it runs" : "revoked");
    }
    console.out.flush();
    return revoked;
}

/// Python's workers know nothing of what is stored: they must be told while they run.
Result<void> tell_workers(App& app, std::vector<std::string> revoked, RevokeOptions options) {
    if (revoked.empty()) return {};
    auto told = app.core()->loop().run_blocking(app.control().broadcast_async(
        control::revoke(std::move(revoked), options), {.reply = false}));
    if (!told) return std::unexpected{std::move(told.error())};
    return {};
}

}  // namespace

int run_revoke(App& app, const RevokeArguments& arguments, Console& console) {
    int code = kSuccess;
    const std::span<const std::string> all = arguments.task_ids;
    for (std::size_t at = 0; at < all.size(); at += kAtOnce) {
        const auto some = all.subspan(at, std::min(kAtOnce, all.size() - at));
        Block block{&app, arguments.options, some, {}};
        block.ended_as.resize(some.size());
        const auto done = app.core()->loop().run_blocking(revoke_all(&block));
        const auto told = tell_workers(app, show(block, console, code), arguments.options);
        if (!done) code = report(console, done.error());
        if (!told) code = report(console, told.error());
        if (!done || !told) break;
    }
    return code;
}

}  // namespace lovage::cli
