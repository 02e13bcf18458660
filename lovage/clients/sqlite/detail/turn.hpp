#pragma once

#include <lovage/core/error.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace lovage::sqlite::detail {

/// Lets writers of different processes take turns on one database file.
///
/// SQLite's write lock has no queue: who releases it and asks again at once wins over those that
/// sleep between two attempts. So a waiter holds a shared lock on `<file>-turn` (the kernel drops
/// it when the process dies), and a writer that sees one between two transactions steps aside for
/// longer than the waiter sleeps. Used by the writer's thread only.
class Turn {
public:
    Turn() = default;
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    /// Errors: unavailable.
    Result<void> open(const std::filesystem::path& database);

    /// Announces, while it lives, that this process waits.
    class Waiting {
    public:
        explicit Waiting(Turn& turn) noexcept;
        ~Waiting();
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;

    private:
        Turn& turn_;
    };

    /// The sleep between two attempts: short at first, never longer than what a busy writer steps
    /// aside for.
    class Backoff {
    public:
        void sleep() noexcept;

    private:
        std::chrono::microseconds next_{50};
    };

    /// Sleeps about a millisecond when another process waits; else costs one system call.
    void yield_to_waiting() const noexcept;

private:
    void lock(short type) noexcept;
    int descriptor_ = -1;
};

}  // namespace lovage::sqlite::detail
