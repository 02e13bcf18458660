#include <lovage/app/revoke_tasks.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/client.hpp>
#include <lovage/app/control_commands.hpp>
#include <lovage/app/remote_control.hpp>
#include <lovage/runtime/for_each.hpp>
#include <lovage/runtime/log.hpp>

namespace lovage::detail {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kRevokedAtOnce = 128;

/// Named in one command: a worker takes 10,000.
constexpr std::size_t kToldAtOnce = 1000;

/// How long a broker that is away may hold up what is stored already; for as long afterwards nobody
/// is told, so that one who revokes many does not wait for each.
constexpr std::chrono::seconds kTellingPatience{5};

/// An app's, since when nobody could be told.
struct Telling {
    std::chrono::steady_clock::time_point not_before;
};

/// Our workers find the wish where it is stored. Python's ignore what they do not know.
ControlCommand news_of_revoked(std::span<const std::string> task_ids, RevokeOptions options) {
    ControlCommand command = control::revoke({task_ids.begin(), task_ids.end()}, options);
    command.arguments.set(control::kStoredArgument, true);
    return command;
}

}  // namespace

Awaitable<Result<void>> revoke_tasks(std::shared_ptr<AppCore> core,
                                     std::vector<std::string> task_ids, RevokeOptions options,
                                     Deadline deadline) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (task_ids.empty()) co_return Result<void>{};
    if (auto connected = co_await core->connect(deadline); !connected) co_return connected;
    const auto revoke_one = [&](std::size_t i) {
        return core->client().revoke(task_ids[i], options, deadline);
    };
    auto stored =
        co_await for_each_index(task_ids.size(), kRevokedAtOnce, revoke_one, OnFailure::cancel);
    if (!stored) co_return stored;
    co_await tell_of_revoked(core.get(), std::move(task_ids), options, deadline);
    co_return Result<void>{};
}

Awaitable<void> tell_of_revoked(AppCore* core, std::vector<std::string> task_ids,
                                RevokeOptions options, Deadline deadline) {
    Telling& telling = core->part<Telling>();
    if (std::chrono::steady_clock::now() < telling.not_before) co_return;
    deadline = deadline.no_later_than(kTellingPatience);
    Result<void> told = co_await core->connect_broker(deadline);
    if (!told && told.error().code == Errc::unavailable) co_return;
    const std::span<const std::string> all = task_ids;
    for (std::size_t at = 0; told && at < all.size(); at += kToldAtOnce) {
        const auto some = all.subspan(at, std::min(kToldAtOnce, all.size() - at));
        told = co_await tell_nodes(core->broker(), core->settings(), core->clock(),
                                   news_of_revoked(some, options), deadline);
    }
    if (told) co_return;
    telling.not_before = std::chrono::steady_clock::now() + kTellingPatience;
    log::warning("control",
                 "Python's workers were not told of {} revoked task(s), such as {}: {}. Nor are "
                 "they of others for {} s",
                 task_ids.size(), task_ids.front(), told.error().message(),
                 kTellingPatience.count());
}

}  // namespace lovage::detail
