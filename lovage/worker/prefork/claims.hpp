#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lovage::slot {

/// Which of the attempts that a worker has given to a slot the slot has begun, in memory that both
/// share. The worker may take back what has not begun: each attempt is either begun or taken back,
/// whoever is faster, and whenever the other one stops or dies.
///
/// Attempts are numbered from 1 in the order in which they are given. The last `kOpen` of them have
/// a cell each: nothing may be given whose number is that much larger than an attempt's that could
/// still begin. All zeros is the beginning.
class Claims {
public:
    static constexpr std::uint64_t kOpen = 64;

    enum class Answer : std::uint8_t {
        begin,
        taken_back,
        nonsense,  ///< Somebody has written over this memory.
    };

    /// The worker: it is about to give `attempt`.
    void give(std::uint64_t attempt) noexcept { cell(attempt).store(attempt); }

    /// The slot: may it begin `attempt`? After `begin` the worker cannot take it back any more.
    Answer begin(std::uint64_t attempt) noexcept {
        std::uint64_t seen = attempt;
        if (cell(attempt).compare_exchange_strong(seen, kClosed)) {
            begun_.store(attempt);
            return Answer::begin;
        }
        const bool given_anew = seen > attempt && seen % kOpen == attempt % kOpen;
        return seen == kClosed || given_anew ? Answer::taken_back : Answer::nonsense;
    }

    /// The worker: true when `attempt` has not begun, and now never will.
    bool take_back(std::uint64_t attempt) noexcept {
        std::uint64_t seen = attempt;
        return cell(attempt).compare_exchange_strong(seen, kClosed);
    }

    /// The number of the attempt that has begun last; 0: none has.
    [[nodiscard]] std::uint64_t begun() const noexcept { return begun_.load(); }

private:
    static constexpr std::uint64_t kClosed = 0;  // else the number of an attempt that may begin

    std::atomic<std::uint64_t>& cell(std::uint64_t attempt) noexcept {
        return cells_[attempt % kOpen];
    }

    std::atomic<std::uint64_t> begun_;
    std::array<std::atomic<std::uint64_t>, kOpen> cells_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "two processes share it");

}  // namespace lovage::slot
