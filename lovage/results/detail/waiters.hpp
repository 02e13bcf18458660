#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::detail {

/// A record's JSON text, shared by everybody it is delivered to.
using RecordText = std::shared_ptr<const std::string>;

/// The coroutines of one connection that wait for a task's final record.
///
/// The connection's loop owns it; only idle() may be asked from other threads.
class Waiters {
public:
    explicit Waiters(Executor executor) : executor_{std::move(executor)} {}
    Waiters(const Waiters&) = delete;
    Waiters& operator=(const Waiters&) = delete;

    /// One waiting coroutine. From its construction on no record of that task passes unnoticed, so
    /// the caller makes the ticket first and reads the store afterwards.
    class Ticket {
    public:
        Ticket(std::shared_ptr<Waiters> waiters, std::string task_id);
        ~Ticket();
        Ticket(const Ticket&) = delete;
        Ticket& operator=(const Ticket&) = delete;

        /// Waits for the record. One caller at a time.
        /// Errors: deadline_exceeded, closed (the connection was closed), cancelled.
        [[nodiscard]] Awaitable<Result<RecordText>> arrived(Deadline deadline);

    private:
        friend class Waiters;
        using Place = std::multimap<std::string, Ticket*, std::less<>>::iterator;

        std::shared_ptr<Waiters> waiters_;
        Place place_;
        boost::asio::steady_timer wake_;
        RecordText record_;
        bool closed_ = false;
    };

    /// Hands `record` to everybody who waits for that task.
    void deliver(std::string_view task_id, const RecordText& record);
    /// Ends every wait with Errc::closed.
    void close_all();

    [[nodiscard]] bool waits_for(std::string_view task_id) const {
        return tickets_.contains(task_id);
    }
    /// Nobody waits. Any thread: a store that is made after a ticket, and read after the ticket was
    /// made, is either seen by that read or sees the ticket here.
    [[nodiscard]] bool idle() const noexcept { return waiting_.load() == 0; }

    /// Every task waited for, once.
    [[nodiscard]] std::vector<std::string> task_ids() const;

private:
    Executor executor_;
    std::multimap<std::string, Ticket*, std::less<>> tickets_;
    std::atomic<std::size_t> waiting_{0};
};

/// Tells all connections of one store in this process about its new final records. Thread-safe.
class Announcer {
public:
    /// Registers a connection. Its loop must outlive the registration.
    void add(Executor executor, std::shared_ptr<Waiters> waiters);
    void remove(const Waiters* waiters);

    /// Delivers on each connection's own loop, soon; connections where nobody waits are left alone.
    void announce(std::string_view task_id, const RecordText& record);

private:
    struct Listener {
        Executor executor;
        std::shared_ptr<Waiters> waiters;
    };
    std::mutex mutex_;
    std::vector<Listener> listeners_;
};

}  // namespace lovage::detail
