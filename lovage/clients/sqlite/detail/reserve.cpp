#include <lovage/clients/sqlite/detail/reserve.hpp>

#include <lovage/clients/sqlite/files.hpp>

#include <fmt/format.h>

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lovage::sqlite::detail {

namespace {
constexpr std::chrono::milliseconds kBetweenAttempts{100};
}

Reserve::~Reserve() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> Reserve::open(const std::filesystem::path& database, std::int64_t bytes) {
    if (bytes == 0 || is_open()) return {};
    const std::string path = database.string() + "-reserve";
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
        return file_failure("cannot open", path, errno);
    }
    bytes_ = bytes;
    low_ = is_missing() && !take();
    return {};
}

bool Reserve::is_missing() const noexcept {
    if (descriptor_ < 0) return false;
    struct stat status{};
    return ::fstat(descriptor_, &status) == 0 && status.st_size < bytes_;
}

bool Reserve::release() noexcept {
    if (descriptor_ < 0 || is_missing()) return false;
    low_ = true;
    next_attempt_ = Deadline::Clock::now() + kBetweenAttempts;
    return ::ftruncate(descriptor_, 0) == 0;
}

void Reserve::refresh(std::int64_t reusable_bytes) noexcept {
    low_ = reusable_bytes < 2 * bytes_;
    const auto now = Deadline::Clock::now();
    if (now < next_attempt_) return;
    next_attempt_ = now + kBetweenAttempts;
    if (take()) low_ = false;
}

bool Reserve::take() noexcept {
    if (::posix_fallocate(descriptor_, 0, bytes_) == 0) return true;
    (void)!::ftruncate(descriptor_, 0);  // it may have got half of it
    return false;
}

}  // namespace lovage::sqlite::detail
