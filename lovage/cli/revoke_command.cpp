#include <lovage/app/app_core.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <chrono>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

constexpr std::chrono::seconds kRevokePatience{5};

/// Revokes one task and returns its record from before; its status is PENDING when there was none.
Awaitable<Result<TaskMeta>> revoke(AsyncResultBase task, RevokeOptions options) {
    const Deadline deadline = Deadline::in(kRevokePatience);
    auto before = co_await task.meta_async(deadline);
    if (!before) co_return before;
    auto stored = co_await task.revoke_async(deadline, options);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    co_return before;
}

/// Python's workers know nothing of what is stored: they must be told while they run.
Result<void> tell_workers(App& app, std::vector<std::string> task_ids, RevokeOptions options) {
    auto told = app.core()->loop().run_blocking(
        app.control().broadcast_async(control::revoke(task_ids, options), {.reply = false}));
    if (!told) return std::unexpected{std::move(told.error())};
    return {};
}

}  // namespace

int run_revoke(App& app, const RevokeArguments& arguments, Console& console) {
    int code = kSuccess;
    std::vector<std::string> revoked;
    for (const std::string& id : arguments.task_ids) {
        const auto before =
            app.core()->loop().run_blocking(revoke(app.async_result(id), arguments.options));
        if (!before) return report(console, before.error());
        const std::string shown = lovage::detail::printable_line(id);
        if (before->ready() && before->status != states::kRevoked) {
            console.err << fmt::format("{}: too late, it has ended as {}\n", shown,
                                       lovage::detail::printable_line(before->status));
            code = kFailure;
        } else {
            revoked.push_back(id);
            console.out << fmt::format(
                "{}: {}\n", shown,
                arguments.options.terminate ? "revoked, and terminated where it runs" : "revoked");
        }
    }
    if (revoked.empty()) return code;
    const auto told = tell_workers(app, std::move(revoked), arguments.options);
    return told ? code : report(console, told.error());
}

}  // namespace lovage::cli
