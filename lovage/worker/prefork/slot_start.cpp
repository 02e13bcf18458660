#include <lovage/worker/prefork/slot_start.hpp>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::slot {

namespace {

bool is_socket(int descriptor) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/// Runs before `main`, which may take its time until it reaches lovage::main: even then a slot must
/// not outlive its worker.
bool take_start() {
    const char* const value = std::getenv(kVariable);
    if (value == nullptr) return false;
    const std::string_view text{value};
    pid_t worker = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), worker);
    const bool number = error == std::errc{} && end == text.data() + text.size();
    ::unsetenv(kVariable);
    // Somebody's variable of that name makes no slot.
    if (!number || !is_socket(kRequestStream) || !is_socket(kOutcomeStream) ||
        !is_socket(kControlStream)) {
        return false;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != worker) ::_exit(0);  // it died before the line above
    for (const int own : {kRequestStream, kOutcomeStream, kControlStream, kCrashPage}) {
        ::fcntl(own, F_SETFD, FD_CLOEXEC);
    }
    return true;
}

const bool kIsSlot = take_start();

std::atomic<bool> enabled{false};

}  // namespace

void enable_slots() noexcept {
    enabled = true;
}
bool slots_enabled() noexcept {
    return enabled && !kIsSlot;
}

bool is_slot() noexcept {
    return kIsSlot;
}

}  // namespace lovage::slot
