#include <lovage/app/group_iteration.hpp>

#include <algorithm>
#include <deque>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/client.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/runtime/for_each.hpp>

namespace lovage {

/// Used on the app's loop, and by whoever waits for a call there.
struct GroupIteration::State {
    std::vector<std::string> members;
    std::vector<std::size_t> missing;  ///< places
    std::deque<ReadyMember> ready;
};

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// A task that iterates notices a stop within that time.
constexpr auto kIterationCheckpoint = 500ms;

/// What ends the wait for all when one is there.
constexpr Errc kOneIsReady = Errc::cancelled;

Awaitable<Result<void>> wait_for_one(Client* client, std::string task_id, std::size_t place,
                                     std::deque<ReadyMember>* ready, Deadline deadline) {
    auto meta = co_await client->wait(std::move(task_id), deadline);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    ready->push_back({place, std::move(*meta)});
    co_return fail(kOneIsReady, "");
}

template <class State>
Awaitable<Result<void>> wait_for_next(std::shared_ptr<AppCore> core, std::shared_ptr<State> state,
                                      Deadline deadline) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (auto connected = co_await core->connect(deadline); !connected) co_return connected;
    const auto wait = [&](std::size_t i) {
        const std::size_t place = state->missing[i];
        return wait_for_one(&core->client(), state->members[place], place, &state->ready, deadline);
    };
    auto done = co_await for_each_index(state->missing.size(), state->missing.size(), wait,
                                        OnFailure::cancel);
    std::erase_if(state->missing, [&](std::size_t place) {
        return std::ranges::any_of(state->ready,
                                   [&](const ReadyMember& one) { return one.index == place; });
    });
    if (state->ready.empty() && !done) co_return done;
    co_return Result<void>{};
}

template <class State>
Awaitable<Result<std::optional<ReadyMember>>> take_next(std::shared_ptr<AppCore> core,
                                                        std::shared_ptr<State> state,
                                                        Deadline deadline) {
    if (state->ready.empty() && !state->missing.empty()) {
        auto waited = co_await on_loop(core, wait_for_next(core, state, deadline));
        if (!waited) co_return std::unexpected{std::move(waited.error())};
    }
    if (state->ready.empty()) co_return std::optional<ReadyMember>{};
    ReadyMember next = std::move(state->ready.front());
    state->ready.pop_front();
    co_return std::optional<ReadyMember>{std::move(next)};
}

}  // namespace

GroupIteration::GroupIteration(std::shared_ptr<AppCore> core, std::vector<std::string> members,
                               Deadline deadline)
    : core_{std::move(core)}, state_{std::make_shared<State>()}, deadline_{deadline} {
    state_->members = std::move(members);
    for (std::size_t i = 0; i < state_->members.size(); ++i) state_->missing.push_back(i);
}

Awaitable<Result<std::optional<ReadyMember>>> GroupIteration::next_async(Deadline deadline) {
    return take_next(core_, state_, deadline);
}

std::optional<ReadyMember> GroupIteration::next() {
    TaskContext* const task = TaskContext::current();
    while (true) {
        if (task != nullptr) task->checkpoint();
        const Deadline until =
            task != nullptr ? deadline_.no_later_than(kIterationCheckpoint) : deadline_;
        auto found = core_->loop().run_blocking(next_async(until));
        const bool again =
            !found && found.error().code == Errc::deadline_exceeded && !deadline_.passed();
        if (!again) return value_or_throw(std::move(found));
    }
}

}  // namespace lovage
