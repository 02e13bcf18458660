#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/brokers/broker.hpp>
#include <lovage/core/json.hpp>

/// How RabbitMQ keeps a message from consumers for a while: it goes into a queue that nobody
/// consumes, expires there after that queue's fixed time, and is dead-lettered to its work queue.
/// Times come in rungs, 1 s, 2 s, 4 s, …; each work queue has a delay queue for each rung in use.
namespace lovage::amqp_broker {

inline constexpr std::chrono::seconds kLongestRung{1 << 19};  // six days

/// The longest rung that is not longer than `delay`, so at least half of it; nothing below 1 s.
[[nodiscard]] std::optional<std::chrono::seconds> rung_for(
    std::chrono::milliseconds delay) noexcept;

/// Every rung, shortest first.
[[nodiscard]] std::vector<std::chrono::seconds> all_rungs();

/// Wire: "<queue>.delay.<seconds>s".
[[nodiscard]] std::string delay_queue_name(std::string_view work_queue, std::chrono::seconds rung);

/// The delay queue of `work` for one rung, of the same type.
///
/// A classic one goes when nobody has declared it again for its rung and kDelayQueueIdle more:
/// queues that were forgotten leave nothing behind. A quorum queue does not count a declaration as
/// use and might take messages with it, so it stays; its dead-lettering is confirmed within the
/// cluster.
[[nodiscard]] QueueDeclaration delay_queue(const QueueDeclaration& work, std::chrono::seconds rung);
inline constexpr std::chrono::minutes kDelayQueueIdle{60};

/// Without what RabbitMQ noted about the way through delay queues of ours: neither a task nor its
/// retry shall see how it was delayed, and a hundred rounds leave no more than one. Other
/// dead-letterings stay noted.
void erase_delay_marks(Json& headers);

/// Which delay queues are there for certain, and long enough for a message put into them now.
///
/// Pure state; not thread-safe.
class DelayQueues {
public:
    using Time = std::chrono::steady_clock::time_point;

    /// A queue as it was declared through this broker.
    void work_queue(const QueueDeclaration& queue);
    /// It was deleted.
    void forget(const std::string& queue);
    /// The same for one that goes with its consumer.
    void consumer_gone(const std::string& queue);
    /// Whether anybody may have put messages aside for it. One that goes with its consumer, such as
    /// remote control's, outlives no delay.
    [[nodiscard]] bool may_delay(const std::string& queue) const;
    [[nodiscard]] bool is_quorum(const std::string& queue) const;

    /// What must be declared before a message is put into the delay queue of that rung at `now`;
    /// nothing when it was, recently.
    [[nodiscard]] std::optional<QueueDeclaration> to_declare(const std::string& work,
                                                             std::chrono::seconds rung,
                                                             Time now) const;
    /// `queue`, a delay queue, was declared at `now`.
    void declared(const std::string& queue, Time now);
    /// It turned out not to exist.
    void gone(const std::string& queue);

private:
    std::map<std::string, QueueDeclaration, std::less<>> work_;
    std::map<std::string, Time, std::less<>> declared_;
};

}  // namespace lovage::amqp_broker
