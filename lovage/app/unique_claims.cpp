#include <lovage/app/unique_claims.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// One call of the state store, for a sender: longer than that it does not wait for it.
constexpr auto kPatience = 2s;
/// A claim outlives the send by that much.
constexpr auto kMargin = 1s;
/// Between two looks at a key that is being sent.
constexpr auto kLookAgain = 20ms;

Awaitable<void> pause(milliseconds length) {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, length};
    co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace

Awaitable<Result<UniqueView>> look_at_unique(AppCore* core, UniqueCall call, std::string task_id,
                                             Deadline deadline) {
    auto entry = co_await core->state().get(call.key, deadline);
    if (!entry) co_return std::unexpected{std::move(entry.error())};
    UniqueView view;
    if (!*entry) co_return view;
    view.version = (*entry)->version;
    view.record = UniqueRecord::from_text((*entry)->value);
    view.standing = judge(view.record, call, task_id);
    if (view.standing == Standing::taken) {
        const auto result = co_await core->results().get(view.record->task_id, deadline);
        if (result && *result && is_stale(*view.record, call, (*result)->status)) {
            view.standing = Standing::free;
        }
    }
    co_return view;
}

std::optional<milliseconds> lifetime_of_waiting(AppCore& core, const UniqueCall& call,
                                                std::optional<TimePoint> eta,
                                                std::optional<TimePoint> expires) {
    const TimePoint now = wall_clock_now();
    auto lifetime = unique_lifetime(call, revocation_lifetime(core.settings()), now, eta);
    if (!lifetime || !expires) return lifetime;
    const auto rest = std::chrono::ceil<milliseconds>(*expires - now);
    if (rest <= 0ms) return std::nullopt;
    return std::min(*lifetime, rest);
}

Awaitable<Result<UniqueClaims::Claim>> UniqueClaims::claim(const TaskSend* task,
                                                           Deadline deadline) {
    const UniqueCall& call = *task->unique;
    UniqueRecord record{task->task_id, std::string{UniqueRecord::kSending}, call.sent,
                        core_.client_id()};
    Error problem;
    std::optional<Error> under_way;  // by another sender, as it was at the last look
    while (true) {
        auto view =
            co_await look_at_unique(&core_, call, task->task_id, deadline.no_later_than(kPatience));
        if (!view) {
            if (under_way && deadline.passed()) co_return std::unexpected{std::move(*under_way)};
            problem = std::move(view.error());
            break;
        }
        told_of_trouble_ = false;
        if (view->standing == Standing::taken) {
            co_return fail(Errc::already_exists, std::move(view->record->task_id));
        }
        if (view->standing == Standing::ours) {
            // Sent before, and nobody knows how that went.
            const bool unsaid = view->record->state == UniqueRecord::kSending;
            co_return Claim{unsaid ? view->version : 0};
        }
        if (view->standing == Standing::free) {
            if (!call.counts(states::kPending)) co_return Claim{};
            const auto lifetime = std::chrono::ceil<milliseconds>(deadline.remaining()) + kMargin;
            auto written =
                co_await core_.state().compare_and_set(call.key, view->version, record.to_text(),
                                                       lifetime, deadline.no_later_than(kPatience));
            if (written) co_return Claim{*written};
            if (written.error().code != Errc::conflict) {
                problem = std::move(written.error());
                break;
            }
            continue;  // somebody was first
        }
        under_way = Error{Errc::deadline_exceeded,
                          "task " + view->record->task_id +
                              ", which is like it, is being sent, and nobody knows yet how that "
                              "goes"};
        if (deadline.remaining() <= kLookAgain) co_return std::unexpected{std::move(*under_way)};
        co_await pause(kLookAgain);
    }
    if (!std::exchange(told_of_trouble_, true)) {
        log::warning("app",
                     "Unique tasks are sent without a look whether they are there already ({}); "
                     "workers decide",
                     problem.message());
    }
    co_return Claim{};
}

Awaitable<void> UniqueClaims::conclude(const TaskSend* task, Claim claim,
                                       const Result<void>* outcome) {
    if (claim.version == 0) co_return;
    const UniqueCall& call = *task->unique;
    const Deadline deadline = Deadline::in(kPatience);
    if (!*outcome) {
        // What may exist keeps its claim until that lapses; by then a worker may have seen it.
        if (outcome->error().code == Errc::unknown_outcome) co_return;
        (void)co_await core_.state().compare_and_erase(call.key, claim.version, deadline);
        co_return;
    }
    const UniqueRecord record{task->task_id, std::string{states::kPending}, call.sent,
                              core_.client_id()};
    const auto lifetime = lifetime_of_waiting(core_, call, task->eta, task->expires);
    // A conflict: a worker has got it already, and written so. Otherwise the claim lapses, and the
    // worker that gets the task makes a new one.
    if (lifetime) {
        (void)co_await core_.state().compare_and_set(call.key, claim.version, record.to_text(),
                                                     *lifetime, deadline);
    } else {
        (void)co_await core_.state().compare_and_erase(call.key, claim.version, deadline);
    }
}

}  // namespace lovage
