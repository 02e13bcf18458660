#pragma once

#include <chrono>
#include <optional>

#include <lovage/core/rate_limit.hpp>

namespace lovage {

/// The tasks of one name under a rate limit: which turn the next one gets. Celery's token bucket
/// with room for one token, seen from the other side: turns are an interval apart, and what nobody
/// took is not made up for.
///
/// A turn soon enough is taken by a task that waits for it in the worker. For later ones tasks are
/// sent away, spread over the time to come, and have to ask again.
///
/// Pure state; not thread-safe.
class RateLine {
public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    /// `limit` is one. `horizon`: how long tasks wait in the worker.
    RateLine(RateLimit limit, std::chrono::milliseconds horizon);

    /// The next turn: `now` or later.
    [[nodiscard]] Time next(Time now) const noexcept {
        return next_ > now && now >= spare_until_ ? next_ : now;
    }
    /// Whether a task may wait here for that turn. Of slow lines the next two may, for at most ten
    /// minutes, since RabbitMQ takes back what is held for half an hour.
    [[nodiscard]] bool soon(Time turn, Time now) const noexcept { return turn - now <= wait_most_; }
    /// The next turn is taken, by who asked at `now`. Returns what give_back() wants to know.
    Time take(Time now) noexcept;
    /// A turn that was taken is not used: whoever asks before the one after it has it.
    void give_back(Time turn) noexcept;
    /// How long a task shall stay away that got no turn. Each is told a time of its own, at most
    /// kSpread turns from now: fewer of them at once would not hurt, none would waste turns.
    [[nodiscard]] std::chrono::milliseconds stay_away(Time now) noexcept;

private:
    static constexpr int kSpread = 64;

    Clock::duration interval_;
    Clock::duration wait_most_;
    Time next_{};
    Time spare_until_{};  // a turn that was given back may be taken before
    Time away_{};         // until when the last one was sent away
};

}  // namespace lovage
