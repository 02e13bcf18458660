#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/control/lamport_clock.hpp>
#include <lovage/events/event.hpp>

namespace lovage {

struct EventReceiverOptions {
    std::string exchange = "celeryev";      ///< event_exchange
    std::string queue_prefix = "celeryev";  ///< event_queue_prefix
    /// event_queue_expires; 0: it stays.
    std::chrono::milliseconds queue_expires = std::chrono::minutes{1};
    std::chrono::milliseconds queue_ttl = std::chrono::seconds{5};  ///< event_queue_ttl
    /// "worker.#" follows workers only.
    std::vector<std::string> routing_keys = {"#"};
};

/// Follows the events of a broker, through a queue of its own that goes when its consumer does.
/// Wire: the queue is declared as Celery's receivers declare it (celery-wire reference, section
/// 15.5).
///
/// Belongs to the broker's loop; not thread-safe. Lifetime: `broker`, which must be connected, and
/// `clock` must outlive it; close() it before it is destroyed.
class EventReceiver {
public:
    EventReceiver(Broker& broker, LamportClock& clock, EventReceiverOptions options);

    /// From here on events are kept for it. Again after an error of receive(): with a new queue.
    [[nodiscard]] Awaitable<Result<void>> open(Deadline deadline);
    /// At least one event, in the order in which they came. Moves the clock past theirs; producers
    /// have none that means anything, so `task-sent` gets a value of it. Errors: deadline_exceeded
    /// (go on); everything else: open() it again.
    [[nodiscard]] Awaitable<Result<std::vector<Event>>> receive(Deadline deadline);
    [[nodiscard]] Awaitable<void> close(Deadline deadline);

    /// Messages that could not be read, and elements that were no events.
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
    [[nodiscard]] const std::string& queue() const noexcept { return queue_; }

private:
    void read(const Delivery& delivery, std::vector<Event>& events);

    Broker& broker_;
    LamportClock& clock_;
    EventReceiverOptions options_;
    std::string queue_;
    std::unique_ptr<Consumer> consumer_;
    std::uint64_t refused_ = 0;
};

}  // namespace lovage
