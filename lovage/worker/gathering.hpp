#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>

namespace lovage {

/// When a worker waits a moment for more deliveries before it looks again.
///
/// Looking up revocations, waking a slot, storing and acknowledging cost nearly as much for one
/// task as for ten, so a broker that hands out tasks one by one, fast, is given time to gather
/// some. Where few would come, as of a chain, whose next step is sent when this one has ended, the
/// pause would only make each task late.
///
/// Pure state: it reads no clock. Not thread-safe.
class Gathering {
public:
    using Clock = std::chrono::steady_clock;
    /// The pause. Tasks that come in such numbers at once need none.
    static constexpr std::chrono::milliseconds kPause{1};
    static constexpr std::size_t kEnough = 32;
    /// So many deliveries in a pause are worth it.
    static constexpr double kWorthwhile = 6;

    /// So many deliveries came at once. True: wait kPause.
    [[nodiscard]] bool came(std::size_t deliveries, Clock::time_point now) noexcept {
        // Exponentially averaged over two pauses.
        constexpr std::chrono::duration<double> kOver = 2 * kPause;
        recent_ *= std::exp(-((now - last_) / kOver));
        recent_ += static_cast<double>(deliveries);
        last_ = now;
        return deliveries < kEnough && recent_ >= kWorthwhile * (kOver / kPause);
    }

private:
    double recent_ = 0;
    Clock::time_point last_;
};

}  // namespace lovage
