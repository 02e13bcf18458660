#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace lovage {

/// Where a task waits that is not due yet: here, in memory and unacknowledged, or with the broker.
///
/// Held tasks begin on time; those with the broker cost no memory and no delivery. So a task is
/// held once it is due within the horizon, and handed to the broker before; and it leaves the
/// broker somewhat early, since its way back takes a while. Pure.
struct EtaPolicy {
    using Milliseconds = std::chrono::milliseconds;

    Milliseconds horizon = std::chrono::seconds{30};
    /// The longest time the broker is asked for at once.
    Milliseconds longest_delay = std::chrono::hours{19};

    /// The shortest time it is asked for: below, a hand-over costs more than it saves.
    static constexpr Milliseconds kShortest = std::chrono::seconds{1};

    /// How early a task leaves the broker.
    [[nodiscard]] Milliseconds lead() const noexcept {
        return std::min<Milliseconds>(std::chrono::seconds{5}, horizon / 4);
    }
    /// How long the broker shall keep a task that is due in `remaining`; nothing: it is held here.
    /// Without `room` for another one it goes to the broker in any case, at the price of beginning
    /// late by at most a second.
    [[nodiscard]] std::optional<Milliseconds> broker_delay(std::chrono::microseconds remaining,
                                                           bool room) const noexcept {
        const auto delay = std::chrono::duration_cast<Milliseconds>(
            std::min<std::chrono::microseconds>(remaining - lead(), longest_delay));
        if (room && (remaining <= horizon || delay < kShortest)) return std::nullopt;
        return std::max(delay, kShortest);
    }
};

}  // namespace lovage
