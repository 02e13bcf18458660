#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>

#include <cstddef>
#include <list>

namespace lovage::amqp::detail {

/// Coroutines of one loop that wait for their turn, first come, first served. Unlike a Notifier it
/// wakes as many as there is room for. Not thread-safe.
class WaitLine {
public:
    explicit WaitLine(Executor executor) : executor_{std::move(executor)} {}
    WaitLine(const WaitLine&) = delete;
    WaitLine& operator=(const WaitLine&) = delete;
    ~WaitLine();

    /// Returns true when admitted, false when the deadline passed first. Whoever was admitted looks
    /// again and may have to wait again.
    [[nodiscard]] Awaitable<bool> wait(Deadline deadline);
    void admit(std::size_t count);
    void admit_all() { admit(waiting_.size()); }
    [[nodiscard]] std::size_t size() const noexcept { return waiting_.size(); }

private:
    class Waiter;
    Executor executor_;
    std::list<Waiter*> waiting_;
};

}  // namespace lovage::amqp::detail
