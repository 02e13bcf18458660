#include <lovage/app/app_core.hpp>
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

/// Tasks revoked beside each other; workers take so many ids in one command at most.
constexpr std::size_t kAtOnce = 256;
constexpr std::size_t kToldAtOnce = 10'000;

/// Revokes one task and returns its record from before; its status is PENDING when there was none.
Awaitable<Result<TaskMeta>> revoke(AsyncResultBase task, RevokeOptions options) {
    const Deadline deadline = Deadline::in(kRevokePatience);
    auto before = co_await task.meta_async(deadline);
    if (!before) co_return before;
    auto stored = co_await task.revoke_async(deadline, options);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    co_return before;
}

/// All of them, as far as the first that cannot be revoked; their records in the order of the ids.
struct Revoking {
    App* app;
    const RevokeArguments* arguments;
    std::vector<std::optional<TaskMeta>> before;
};

Awaitable<Result<void>> revoke_one(Revoking* all, std::size_t index) {
    auto before = co_await revoke(all->app->async_result(all->arguments->task_ids[index]),
                                  all->arguments->options);
    if (!before) co_return std::unexpected{std::move(before.error())};
    all->before[index] = std::move(*before);
    co_return Result<void>{};
}

Awaitable<Result<void>> revoke_all(Revoking* all) {
    return for_each_index(
        all->before.size(), kAtOnce, [all](std::size_t index) { return revoke_one(all, index); },
        OnFailure::finish);
}

/// Python's workers know nothing of what is stored: they must be told while they run.
Result<void> tell_workers(App& app, std::span<const std::string> task_ids, RevokeOptions options) {
    for (std::size_t at = 0; at < task_ids.size(); at += kToldAtOnce) {
        const auto some = task_ids.subspan(at, std::min(kToldAtOnce, task_ids.size() - at));
        auto told = app.core()->loop().run_blocking(app.control().broadcast_async(
            control::revoke({some.begin(), some.end()}, options), {.reply = false}));
        if (!told) return std::unexpected{std::move(told.error())};
    }
    return {};
}

}  // namespace

int run_revoke(App& app, const RevokeArguments& arguments, Console& console) {
    Revoking all{&app, &arguments, {}};
    all.before.resize(arguments.task_ids.size());
    const auto done = app.core()->loop().run_blocking(revoke_all(&all));
    int code = kSuccess;
    std::vector<std::string> revoked;
    for (std::size_t i = 0; i < all.before.size(); ++i) {
        if (!all.before[i]) continue;
        const TaskMeta& before = *all.before[i];
        const std::string shown = lovage::detail::printable_line(arguments.task_ids[i]);
        if (before.ready() && before.status != states::kRevoked) {
            console.err << fmt::format("{}: too late, it has ended as {}\n", shown,
                                       lovage::detail::printable_line(before.status));
            code = kFailure;
        } else {
            revoked.push_back(arguments.task_ids[i]);
            console.out << fmt::format(
                "{}: {}\n", shown,
                arguments.options.terminate ? "revoked, and terminated where it runs" : "revoked");
        }
    }
    if (!done) code = report(console, done.error());
    if (revoked.empty()) return code;
    const auto told = tell_workers(app, revoked, arguments.options);
    return told ? code : report(console, told.error());
}

}  // namespace lovage::cli
