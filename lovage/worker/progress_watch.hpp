#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lovage {

/// What is tried on a worker to which nothing comes although work waits, from mild to final.
enum class Repair : std::uint8_t {
    none,
    consumer,    ///< Consume anew, on a channel of its own.
    connection,  ///< Connect anew.
    give_up,     ///< End with an error: whoever started the process decides.
};
/// "consumer", "connection", "exit": the label of the metrics.
[[nodiscard]] std::string_view to_string(Repair repair) noexcept;

/// Notices that work waits at the broker, the worker could take it, and nothing arrives: a consumer
/// whose connection is alive and that gets nothing all the same.
///
/// It is slow to suspect. Work must wait at every look for the whole of `patience`, with nothing
/// delivered and the worker able to take more all that time. A queue found empty, a delivery, a
/// moment without a free slot, an unanswered question, or a pause of the process itself begin the
/// time anew. Each repair gets that time again before the next one.
///
/// Pure: it reads no clock and does no I/O. Not thread-safe.
class ProgressWatch {
public:
    using Clock = std::chrono::steady_clock;

    /// What the worker knows by itself.
    struct Worker {
        std::uint64_t deliveries = 0;  ///< That have come, ever.
        bool able = false;             ///< It consumes, a slot is free, and its prefetch has room.
    };

    /// `patience` is more than 0.
    explicit ProgressWatch(Clock::duration patience) noexcept;

    /// How long to wait between two calls of wants_look(): a quarter of the patience, at most 15 s.
    [[nodiscard]] Clock::duration interval() const noexcept;

    /// Whether the broker should be asked what waits: only while nothing comes to an able worker.
    [[nodiscard]] bool wants_look(Worker worker) noexcept;
    /// The broker's answer, how many messages wait for a consumer; nothing when it gave none.
    /// `worker` is as of now, after the answer. Returns what to do.
    [[nodiscard]] Repair looked(Worker worker, std::optional<std::uint64_t> waiting,
                                Clock::time_point now) noexcept;
    /// The last repair after which a delivery came, once.
    [[nodiscard]] Repair take_cure() noexcept;

private:
    void begin_anew() noexcept { since_.reset(); }

    Clock::duration patience_;
    std::uint64_t deliveries_ = 0;
    std::optional<Clock::time_point> since_;  // since when every look was a bad one
    Clock::time_point last_look_;
    Repair tried_ = Repair::none;
    Repair cure_ = Repair::none;
};

}  // namespace lovage
