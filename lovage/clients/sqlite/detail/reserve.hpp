#pragma once

#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <cstdint>
#include <filesystem>

namespace lovage::sqlite::detail {

/// Disk space kept back in `<file>-reserve`, given up when the disk is full, so that what shrinks
/// the database (settling messages) can still be written. Shared by the processes on the file: all
/// see its size. Used by the writer's thread only.
class Reserve {
public:
    Reserve() = default;
    ~Reserve();
    Reserve(const Reserve&) = delete;
    Reserve& operator=(const Reserve&) = delete;

    /// `bytes` 0: there is none, and low() is never true. A disk too full to make it is no error.
    Result<void> open(const std::filesystem::path& database, std::int64_t bytes);
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

    /// Frees the space; false when there was nothing to free.
    bool release() noexcept;
    /// True while the reserve is gone: whatever needs new space should be refused.
    [[nodiscard]] bool low() const noexcept { return low_; }

    /// True when somebody released it. One system call.
    [[nodiscard]] bool is_missing() const noexcept;
    /// Tries to take it back; `reusable_bytes` inside the database are as good as twice that on the
    /// disk.
    void refresh(std::int64_t reusable_bytes) noexcept;
    /// It is not missing: we took it back, or another process did.
    void note_present() noexcept { low_ = false; }

private:
    [[nodiscard]] bool take() noexcept;
    int descriptor_ = -1;
    std::int64_t bytes_ = 0;
    bool low_ = false;
    Deadline::Clock::time_point next_attempt_;
};

}  // namespace lovage::sqlite::detail
