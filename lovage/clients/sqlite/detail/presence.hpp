#pragma once

#include <lovage/core/error.hpp>

#include <filesystem>
#include <optional>

#include <sys/types.h>

namespace lovage::sqlite::detail {

/// Notices that a file which is open is not the one at its path any more.
///
/// SQLite goes on writing into a file that was removed, or replaced by another process that found
/// none: everything would succeed and nobody would ever see it. Used by the writer's thread only.
class Presence {
public:
    /// The file at this path, just opened, is the one to look after from now on.
    void remember(const std::filesystem::path& file);

    /// Succeeds while it is in its place, or nothing was remembered. One system call. The first
    /// failure is logged. Errors: unavailable.
    [[nodiscard]] Result<void> check();

private:
    struct Identity {
        dev_t device;
        ino_t inode;
        bool operator==(const Identity&) const = default;
    };
    std::filesystem::path file_;
    std::optional<Identity> identity_;  ///< Not given to another file while ours is open.
    bool reported_ = false;
};

}  // namespace lovage::sqlite::detail
