#pragma once

#include <chrono>
#include <functional>

namespace lovage::net {

/// A number in [0, 1), from this thread's own generator.
[[nodiscard]] double random_unit();

/// How long to wait before the next attempt to connect: full jitter, that is a random time between
/// zero and a limit that doubles with every attempt, so that clients of a server that comes back do
/// not arrive together.
///
/// Pure state: it reads no clock and waits for nothing. Not thread-safe.
class Backoff {
public:
    using Duration = std::chrono::milliseconds;
    static constexpr Duration kFirst{100};
    static constexpr Duration kLongest{10'000};

    /// `random` gives numbers in [0, 1).
    explicit Backoff(std::function<double()> random = random_unit, Duration first = kFirst,
                     Duration longest = kLongest);

    /// The wait before the next attempt: below 0.1 s for the first, below 10 s for the eighth and
    /// all later ones.
    [[nodiscard]] Duration next();
    /// Starts over. Call it when a connection has proved useful (it carried an answer), not when it
    /// was merely made: a server that accepts and hangs up must not be hammered.
    void reset() noexcept { limit_ = first_; }

private:
    std::function<double()> random_;
    Duration first_;
    Duration longest_;
    Duration limit_;
};

}  // namespace lovage::net
