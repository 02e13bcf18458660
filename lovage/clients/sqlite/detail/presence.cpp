#include <lovage/clients/sqlite/detail/presence.hpp>

#include <lovage/runtime/log.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include <sys/stat.h>

namespace lovage::sqlite::detail {

void Presence::remember(const std::filesystem::path& file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) return;
    file_ = file;
    identity_ = Identity{status.st_dev, status.st_ino};
}

Result<void> Presence::check() {
    if (!identity_) return {};
    struct stat status{};
    const bool found = ::stat(file_.c_str(), &status) == 0;
    const bool in_place = found ? Identity{status.st_dev, status.st_ino} == *identity_
                                : errno != ENOENT && errno != ENOTDIR;
    if (in_place) {
        reported_ = false;
        return {};
    }
    Error error{
        Errc::unavailable,
        fmt::format("'{}' was removed while it was in use: restart this program", file_.string()),
        std::nullopt};
    if (!std::exchange(reported_, true)) log::error("sqlite", "{}", error.detail);
    return std::unexpected{std::move(error)};
}

}  // namespace lovage::sqlite::detail
