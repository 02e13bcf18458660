#include <lovage/clients/sqlite/detail/turn.hpp>

#include <lovage/clients/sqlite/files.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

namespace lovage::sqlite::detail {

namespace {
constexpr std::chrono::microseconds kLongestSleep{400};
constexpr std::chrono::microseconds kStepAside{1000};
}  // namespace

Turn::~Turn() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> Turn::open(const std::filesystem::path& database) {
    if (descriptor_ >= 0) return {};
    const std::string path = database.string() + "-turn";
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
        return file_failure("cannot open", path, errno);
    }
    return {};
}

void Turn::lock(short type) noexcept {
    struct flock wanted{};
    wanted.l_type = type;
    wanted.l_whence = SEEK_SET;
    (void)::fcntl(descriptor_, F_OFD_SETLK, &wanted);
}

Turn::Waiting::Waiting(Turn& turn) noexcept : turn_{turn} {
    turn_.lock(F_RDLCK);
}

Turn::Waiting::~Waiting() {
    turn_.lock(F_UNLCK);
}

void Turn::Backoff::sleep() noexcept {
    std::this_thread::sleep_for(next_);
    next_ = std::min(next_ * 2, kLongestSleep);
}

void Turn::yield_to_waiting() const noexcept {
    struct flock asked{};
    asked.l_type = F_WRLCK;
    asked.l_whence = SEEK_SET;
    if (::fcntl(descriptor_, F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK) {
        std::this_thread::sleep_for(kStepAside);
    }
}

}  // namespace lovage::sqlite::detail
