#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lovage::redis {

/// Tells a quiet server from a dead one: what has been received decides.
///
/// After `ping_after` without a byte it asks for a PING; after `dead_after` it gives the connection
/// up. A write that is stuck half-way counts from its last progress, because answers wait behind
/// it. Pure state; not thread-safe.
class Liveness {
public:
    using Clock = std::chrono::steady_clock;
    struct Limits {
        std::chrono::milliseconds ping_after{8'000};
        std::chrono::milliseconds dead_after{16'000};
    };
    enum class Verdict : std::uint8_t { fine, ping, dead };
    struct Finding {
        Verdict verdict;
        Clock::time_point look_again;
    };

    Liveness(Limits limits, Clock::time_point now)
        : limits_{limits}, received_{now}, progressed_{now} {}

    void received(Clock::time_point now) noexcept {
        received_ = now;
        pinged_ = false;
    }
    void write_began(Clock::time_point now) noexcept {
        writing_ = true;
        progressed_ = now;
    }
    void write_ended() noexcept { writing_ = false; }

    /// `allowed_silence`: what a blocking command at the front of the queue may take on top.
    [[nodiscard]] Finding look(Clock::time_point now,
                               std::chrono::milliseconds allowed_silence) noexcept {
        const auto since =
            (writing_ ? std::max(received_, progressed_) : received_) + allowed_silence;
        const auto dead_at = since + limits_.dead_after;
        if (now >= dead_at) return {Verdict::dead, now};
        const auto ping_at = since + limits_.ping_after;
        if (pinged_) return {Verdict::fine, dead_at};
        if (now < ping_at) return {Verdict::fine, ping_at};
        pinged_ = true;
        return {Verdict::ping, dead_at};
    }

private:
    Limits limits_;
    Clock::time_point received_;
    Clock::time_point progressed_;
    bool writing_ = false;
    bool pinged_ = false;
};

}  // namespace lovage::redis
