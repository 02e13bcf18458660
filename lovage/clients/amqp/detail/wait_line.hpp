#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>

#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <functional>
#include <list>

namespace lovage::amqp::detail {

/// Coroutines of one loop that wait for their turn, first come, first served. Unlike a Notifier it
/// wakes as many as there is room for. Not thread-safe.
class WaitLine {
public:
    /// What those hold who were admitted and have not used their place yet.
    struct Held {
        std::size_t count = 0;
        std::size_t bytes = 0;
    };
    class Ticket;

    /// `returned` is called whenever an admitted ticket ends: its place was used, or can be given
    /// to another.
    WaitLine(Executor executor, std::function<void()> returned)
        : executor_{std::move(executor)}, returned_{std::move(returned)} {}
    WaitLine(const WaitLine&) = delete;
    WaitLine& operator=(const WaitLine&) = delete;
    ~WaitLine();

    /// Admits the first in line, if there is one.
    void admit_first();
    void admit_all();
    [[nodiscard]] std::size_t size() const noexcept { return waiting_.size(); }
    [[nodiscard]] Held held() const noexcept { return held_; }

private:
    using Tickets = std::list<Ticket*>;
    Executor executor_;
    std::function<void()> returned_;
    Tickets waiting_;
    Tickets admitted_;
    Held held_;
};

/// One coroutine's place; lives in its frame, so that it is given up however that ends.
class WaitLine::Ticket {
public:
    Ticket(WaitLine& line, std::size_t bytes)
        : line_{&line}, bytes_{bytes}, timer_{line.executor_} {}
    ~Ticket() { leave(); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    /// Goes to the end of the line. Returns true when admitted, false when the deadline passed
    /// first. Whoever was admitted looks again and may have to wait again.
    [[nodiscard]] Awaitable<bool> wait(Deadline deadline);
    /// What this ticket itself holds.
    [[nodiscard]] Held held() const noexcept {
        return place_ == Place::admitted ? Held{1, bytes_} : Held{};
    }

private:
    friend class WaitLine;
    enum class Place { outside, waiting, admitted };
    void admit();
    void leave();

    WaitLine* line_;  // null when it is gone
    std::size_t bytes_;
    boost::asio::steady_timer timer_;
    Place place_ = Place::outside;
    Tickets::iterator position_;
};

}  // namespace lovage::amqp::detail
