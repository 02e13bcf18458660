#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <lovage/results/state_store.hpp>

namespace lovage {

/// What the holder of an entry of the state store knows of it, and does next: renew it in time,
/// find out what became of it when a write was refused, give it back at the end. What is not heard
/// of may have happened; an entry is recognised by its value, which is like no other's.
///
/// Pure state: it is told what the store answered, and when.
class HeldKey {
public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    enum class Step : std::uint8_t {
        wait,        ///< Until wake_at().
        renew,       ///< Compare version() and set value() for the length of the lease.
        look,        ///< Read it.
        erase,       ///< Compare version() and erase.
        write_last,  ///< Compare version() and set last().
        done,
    };
    /// What keeps an entry alive.
    struct Lease {
        std::chrono::milliseconds length;
        Time asked;                ///< When the holder asked for it: at the store it began later.
        Time until = Time::max();  ///< From then on nobody minds when it lapses.
    };
    /// What an entry becomes that shall not go when it is given back.
    struct Last {
        std::string value;
        std::chrono::milliseconds lifetime;
    };

    /// An entry that the holder has written; `version` 0: that it will write at the end only.
    /// Without a lease it needs no renewal.
    HeldKey(std::string value, std::uint64_t version, std::optional<Lease> lease)
        : value_{std::move(value)}, version_{version}, lease_{lease} {}

    [[nodiscard]] const std::string& value() const noexcept { return value_; }
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
    [[nodiscard]] std::chrono::milliseconds lease() const { return lease_->length; }
    [[nodiscard]] const Last& last() const { return *last_; }

    [[nodiscard]] Step next(Time now) const noexcept;
    /// Nothing: only when it is given back.
    [[nodiscard]] std::optional<Time> wake_at() const noexcept;

    /// Once. From here on it is erased, or becomes `last`; when that cannot be done within the time
    /// of the lease, it is left to lapse.
    void give_back(std::optional<Last> last, Time now);

    // What the store answered.

    /// It was renewed, asked at `asked`: from then on the holder counts, and renews after a third,
    /// so that two renewals may fail.
    void renewed(std::uint64_t version, Time asked) noexcept;
    /// It is gone, or has become `last`.
    void given_back() noexcept { over_ = true; }
    /// Its version is another.
    void conflicted() noexcept { doubt_ = true; }
    /// What is there.
    void found(const std::optional<StateEntry>& entry);
    /// Nothing that helps.
    void failed(Time now) noexcept;

    /// Somebody else has it now, while its holder goes on.
    [[nodiscard]] bool lost(Time now) const noexcept { return lost_ && matters(now); }
    /// Somebody else may have it: it was not renewed in time.
    [[nodiscard]] bool may_have_lapsed(Time now) const noexcept {
        return lease_ && matters(now) && now - lease_->asked >= lease_->length;
    }

private:
    [[nodiscard]] bool matters(Time now) const noexcept {
        return !ending_ && (!lease_ || now < lease_->until);
    }
    [[nodiscard]] Time renewal() const noexcept { return lease_->asked + lease_->length / 3; }

    std::string value_;
    std::uint64_t version_;
    std::optional<Lease> lease_;
    std::optional<Last> last_;
    bool ending_ = false;
    bool doubt_ = false;
    bool lost_ = false;
    bool over_ = false;
    int failures_ = 0;  // in a row
    Time retry_at_{};
    Time give_up_at_{};
};

}  // namespace lovage
