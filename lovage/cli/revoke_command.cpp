#include <lovage/app/app_core.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <chrono>
#include <ostream>
#include <string>

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

}  // namespace

int run_revoke(App& app, const RevokeArguments& arguments, Console& console) {
    int code = kSuccess;
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
            console.out << fmt::format(
                "{}: {}\n", shown,
                arguments.options.terminate ? "revoked, and terminated where it runs" : "revoked");
        }
    }
    return code;
}

}  // namespace lovage::cli
