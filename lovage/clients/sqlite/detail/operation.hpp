#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace lovage::sqlite::detail {

struct SessionState;

/// Where an operation is. The loop and the writer race for the transitions; each is one
/// compare-and-swap.
enum class Phase : std::uint8_t {
    queued,     ///< Not started: the loop may still withdraw it.
    running,    ///< Inside a transaction.
    done,       ///< Over; the outcome is on its way to the loop.
    abandoned,  ///< The loop gave up; the outcome is nobody's.
};

/// One submitted operation: the only allocation an operation costs.
///
/// Shared by two sides, the loop and the writer; each releases once and the last one deletes.
class Operation {
public:
    using TimePoint = Deadline::Clock::time_point;

    Operation(std::shared_ptr<SessionState> session, TimePoint deadline) noexcept
        : session_{std::move(session)}, deadline_{deadline} {}
    virtual ~Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    /// Writer: runs it and keeps the outcome; false when that is an error. May be called again.
    virtual bool execute(Connection& connection) noexcept = 0;
    /// Writer: replaces the outcome.
    virtual void set_error(Error error) = 0;
    /// Loop: hands the outcome over.
    virtual void finish() = 0;
    /// Loop: hands `error` over instead of an outcome.
    virtual void abandon(Error error) = 0;
    /// Loop: nobody will hear of the outcome. (The handler may hold things of the loop's.)
    virtual void drop_handler() = 0;

    [[nodiscard]] bool move_phase(Phase from, Phase to) noexcept {
        return phase_.compare_exchange_strong(from, to, std::memory_order_acq_rel);
    }
    [[nodiscard]] Phase phase() const noexcept { return phase_.load(std::memory_order_acquire); }
    [[nodiscard]] bool has_deadline() const noexcept { return deadline_ != TimePoint::max(); }
    [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }
    [[nodiscard]] SessionState& session() const noexcept { return *session_; }

    void release() noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    Operation* next = nullptr;  ///< Of the queue, then of the session's finished ones.
    // The session's list of outstanding operations; only the loop touches it.
    Operation* earlier = nullptr;
    Operation* later = nullptr;

private:
    std::shared_ptr<SessionState> session_;
    TimePoint deadline_;
    std::atomic<Phase> phase_{Phase::queued};
    std::atomic<int> references_{2};
};

/// Operations of one session whose outcomes are known, in order.
struct Finished {
    Operation* first = nullptr;
    Operation* last = nullptr;
    void add(Operation* operation) noexcept {
        operation->next = nullptr;
        (last != nullptr ? last->next : first) = operation;
        last = operation;
    }
    void append(Finished chain) noexcept {
        if (chain.first == nullptr) return;
        (last != nullptr ? last->next : first) = chain.first;
        last = chain.last;
    }
    /// The oldest, taken out; null when there is none.
    Operation* take() noexcept {
        Operation* const taken = first;
        if (taken != nullptr) first = taken->next;
        if (first == nullptr) last = nullptr;
        return taken;
    }
};

/// The part of a Session that the writer reaches; lives until the last operation is gone.
struct SessionState : std::enable_shared_from_this<SessionState> {
    explicit SessionState(const Executor& loop) : executor{loop}, timer{loop} {}

    const Executor executor;

    // Writer to loop. Posting happens under the mutex: once `closed` is seen the executor may be
    // gone.
    std::mutex mutex;
    Finished finished;
    bool drain_posted = false;
    bool closed = false;

    // Loop only.
    Operation* oldest = nullptr;
    Operation* newest = nullptr;
    std::size_t outstanding = 0;
    Finished draining;                ///< Taken over by drain(), not handed out yet.
    boost::asio::steady_timer timer;  ///< Runs to the earliest deadline it knows of.
    std::optional<Deadline::Clock::time_point> armed_for;
    std::optional<Error> post_error;

    /// Hands finished operations to the loop: one post for all of them. Any thread.
    void deliver(Finished chain);
    /// Hands their outcomes out. What hears of one may end the session.
    void drain();
    /// The session ends: nothing is posted by the writer any more, and no handler is left to it.
    void close();
    void link(Operation* operation);
    void unlink(Operation* operation);
    void arm(Deadline::Clock::time_point when);
    /// Gives up operations whose deadline has passed.
    void sweep();
};

template <class F, class Done>
class TypedOperation final : public Operation {
public:
    using Outcome = std::invoke_result_t<F&, Connection&>;

    TypedOperation(std::shared_ptr<SessionState> session, TimePoint deadline, F op, Done done)
        : Operation{std::move(session), deadline}, op_{std::move(op)}, done_{std::move(done)} {}

    bool execute(Connection& connection) noexcept override {
        try {
            outcome_.emplace(op_(connection));
        } catch (const std::exception& problem) {
            outcome_.emplace(fail(Errc::internal, problem.what()));
        } catch (...) {
            outcome_.emplace(fail(Errc::internal, "an unknown exception"));
        }
        return outcome_->has_value();
    }
    void set_error(Error error) override { outcome_.emplace(std::unexpected{std::move(error)}); }
    void finish() override {
        Done done = std::move(*done_);
        done_.reset();
        Outcome outcome = std::move(*outcome_);
        std::move(done)(std::move(outcome));
    }
    void abandon(Error error) override {
        Done done = std::move(*done_);
        done_.reset();
        std::move(done)(Outcome{std::unexpected{std::move(error)}});
    }

    void drop_handler() override { done_.reset(); }

private:
    F op_;
    std::optional<Done>
        done_;  ///< Belongs to the loop; gone when the writer may be the last to leave.
    std::optional<Outcome> outcome_;
};

/// The completion of a post: the first error waits for the next flush.
struct RememberError {
    SessionState* session;
    template <class T>
    void operator()(Result<T> outcome) && {
        if (!outcome && !session->post_error) session->post_error = std::move(outcome.error());
    }
};

}  // namespace lovage::sqlite::detail
