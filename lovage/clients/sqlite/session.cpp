#include <lovage/clients/sqlite/database.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace lovage::sqlite {

namespace asio = boost::asio;
using detail::Operation;
using detail::Phase;
using detail::SessionState;
using Clock = Deadline::Clock;

// --- Session -------------------------------------------------------------------------

Session::Session(std::shared_ptr<Database> database, const Executor& executor)
    : database_{std::move(database)}, state_{std::make_shared<SessionState>(executor)} {}

Session::~Session() {
    state_->close();
}

Executor Session::executor() const {
    return state_->executor;
}

std::size_t Session::outstanding() const noexcept {
    return state_->outstanding;
}

Deadline Session::never() {
    return Deadline::at(Clock::time_point::max());
}

void Session::start(Operation* operation) {
    state_->link(operation);
    if (database_->enqueue(operation)) {
        if (operation->has_deadline()) state_->arm(operation->deadline());
        return;
    }
    // Refused. Its outcome still comes later, never from inside submit().
    (void)operation->move_phase(Phase::queued, Phase::running);
    operation->set_error(Error{Errc::unavailable,
                               "'" + database_->file().string() +
                                   "': too many operations wait for the disk; send more slowly",
                               std::nullopt});
    (void)operation->move_phase(Phase::running, Phase::done);
    detail::Finished chain;
    chain.add(operation);
    state_->deliver(chain);
    operation->release();
}

Awaitable<Result<void>> Session::flush(Deadline deadline) {
    auto state = state_;
    auto done = co_await run([](Connection&) { return Result<void>{}; }, deadline);
    if (done && state->post_error) {
        done = std::unexpected{std::move(*state->post_error)};
        state->post_error.reset();
    }
    co_return done;
}

// --- detail::SessionState ------------------------------------------------------------

namespace detail {

namespace {

/// The loop's reference, for handlers that may be dropped with their loop.
class LoopReference {
public:
    explicit LoopReference(Operation* operation) noexcept : operation_{operation} {}
    LoopReference(LoopReference&& other) noexcept
        : operation_{std::exchange(other.operation_, nullptr)} {}
    LoopReference& operator=(LoopReference&&) = delete;
    ~LoopReference() {
        if (operation_ != nullptr) operation_->release();
    }
    Operation* operator->() const noexcept { return operation_; }

private:
    Operation* operation_;
};

}  // namespace

void SessionState::deliver(Finished chain) {
    const std::lock_guard lock{mutex};
    if (closed) return;  // close() has taken care of the loop's side of these
    finished.append(chain);
    if (!std::exchange(drain_posted, true)) {
        asio::post(executor, [state = shared_from_this()] { state->drain(); });
    }
}

void SessionState::drain() {
    {
        const std::lock_guard lock{mutex};
        draining.append(std::exchange(finished, {}));
        drain_posted = false;
    }
    // One by one: when an outcome makes its hearer end the session, close() takes care of the rest.
    while (Operation* const operation = draining.take()) {
        unlink(operation);
        operation->finish();
        operation->release();
    }
}

void SessionState::close() {
    Finished chain = std::exchange(draining, {});
    {
        const std::lock_guard lock{mutex};
        closed = true;
        chain.append(std::exchange(finished, {}));
    }
    timer.cancel();
    // The waiting side may be what is being destroyed: it hears of everything on the loop's next
    // turn.
    while (Operation* const operation = chain.take()) {
        unlink(operation);
        asio::post(executor, [reference = LoopReference{operation}] { reference->finish(); });
    }
    while (oldest != nullptr) {
        Operation* const operation = oldest;
        unlink(operation);
        LoopReference reference{operation};
        if (!operation->has_deadline()) {
            operation->drop_handler();  // a post runs to its end without us
            continue;
        }
        Error error{Errc::closed, "the connection was closed", std::nullopt};
        if (!operation->move_phase(Phase::queued, Phase::abandoned)) {
            (void)operation->move_phase(Phase::running, Phase::abandoned);
            error = Error{Errc::unknown_outcome,
                          "the connection was closed before the disk confirmed it", std::nullopt};
        }
        asio::post(executor,
                   [reference = std::move(reference), error = std::move(error)]() mutable {
                       reference->abandon(std::move(error));
                   });
    }
}

void SessionState::link(Operation* operation) {
    operation->earlier = newest;
    (newest != nullptr ? newest->later : oldest) = operation;
    newest = operation;
    ++outstanding;
}

void SessionState::unlink(Operation* operation) {
    (operation->earlier != nullptr ? operation->earlier->later : oldest) = operation->later;
    (operation->later != nullptr ? operation->later->earlier : newest) = operation->earlier;
    --outstanding;
}

void SessionState::arm(Clock::time_point when) {
    if (closed || (armed_for && *armed_for <= when)) return;
    armed_for = when;
    timer.expires_at(when);
    timer.async_wait([state = shared_from_this(), when](const boost::system::error_code& error) {
        if (error || state->armed_for != when) return;
        state->armed_for.reset();
        state->sweep();
    });
}

void SessionState::sweep() {
    const auto now = Clock::now();
    auto next_deadline = Clock::time_point::max();
    std::vector<std::pair<Operation*, Error>> given_up;
    for (Operation* operation = oldest; operation != nullptr; operation = operation->later) {
        if (operation->deadline() > now) {
            next_deadline = std::min(next_deadline, operation->deadline());
        } else if (operation->move_phase(Phase::queued, Phase::abandoned)) {
            given_up.emplace_back(operation,
                                  Error{Errc::deadline_exceeded,
                                        "it was not started within the time given", std::nullopt});
        } else if (operation->move_phase(Phase::running, Phase::abandoned)) {
            given_up.emplace_back(
                operation,
                Error{Errc::unknown_outcome, "the disk did not confirm it in time", std::nullopt});
        }
    }
    for (const auto& [operation, error] : given_up) unlink(operation);
    if (next_deadline != Clock::time_point::max()) arm(next_deadline);
    for (auto& [operation, error] : given_up) {
        operation->abandon(std::move(error));
        operation->release();
    }
}

}  // namespace detail

}  // namespace lovage::sqlite
