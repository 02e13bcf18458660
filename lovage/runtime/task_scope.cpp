#include <lovage/runtime/task_scope.hpp>

#include <lovage/core/error.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <list>

namespace lovage {

namespace asio = boost::asio;

struct TaskScope::State {
    explicit State(const Executor& executor) : ended{executor} {}

    struct Entry {
        std::string name;
        asio::cancellation_signal cancel;  // outlives the coroutine: Asio 1.26 needs that
    };
    std::list<Entry> entries;
    bool stopping = false;
    Notifier ended;
};

namespace {

/// Logs what ended a coroutine, except the cancellation that a stop asked for.
void report(const std::string& name, const std::exception_ptr& error, bool stopping) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& problem) {
        if (stopping && problem.code() == asio::error::operation_aborted) return;
        log::error("runtime", "'{}' ended by an error: {}", name, problem.what());
    } catch (const std::exception& problem) {
        log::error("runtime", "'{}' ended by an exception: {}", name, problem.what());
    } catch (...) {
        log::error("runtime", "'{}' ended by an unknown exception", name);
    }
}

}  // namespace

TaskScope::TaskScope(Executor executor)
    : executor_{std::move(executor)}, state_{std::make_shared<State>(executor_)} {}

TaskScope::~TaskScope() {
    if (!state_->entries.empty()) {
        log::error("runtime", "a task scope ends while '{}' still runs",
                   state_->entries.front().name);
        log::flush();  // the assertion below ends the program
    }
    LOVAGE_ASSERT(state_->entries.empty());
}

void TaskScope::spawn(std::string name, Awaitable<void> work) {
    const auto entry = state_->entries.emplace(state_->entries.end());
    entry->name = std::move(name);
    auto finished = [state = state_, entry](const std::exception_ptr& error) {
        if (error) report(entry->name, error, state->stopping);
        // The signal is in use until this handler returns: erase the entry on a later turn.
        asio::post(state->ended.executor(), [state, entry] {
            state->entries.erase(entry);
            state->ended.notify_all();
        });
    };
    asio::co_spawn(executor_, std::move(work),
                   asio::bind_cancellation_slot(entry->cancel.slot(), std::move(finished)));
    // Even when the coroutine has ended already its entry is still there.
    if (state_->stopping) entry->cancel.emit(asio::cancellation_type::terminal);
}

void TaskScope::request_stop() noexcept {
    state_->stopping = true;
    // Cancelling may complete entries; their erasure is posted, so the list is stable here.
    for (auto& entry : state_->entries) entry.cancel.emit(asio::cancellation_type::terminal);
}

Awaitable<bool> TaskScope::join(Deadline deadline) {
    auto state = state_;
    while (!state->entries.empty()) {
        const bool in_time = co_await state->ended.wait(deadline);
        if (!in_time && !state->entries.empty()) co_return false;
    }
    co_return true;
}

std::size_t TaskScope::running() const noexcept {
    return state_->entries.size();
}

}  // namespace lovage
