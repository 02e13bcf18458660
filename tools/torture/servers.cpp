#include "servers.hpp"

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <signal.h>

namespace lovage::torture {

namespace {
using namespace std::chrono_literals;
}  // namespace

void let_pass(Deadline::Clock::duration time) {
    std::this_thread::sleep_for(time);
}

char state_of(pid_t pid) {
    std::ifstream file{fmt::format("/proc/{}/stat", pid)};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    // "pid (name) state …", and the name may contain anything.
    const auto name_end = text.rfind(") ");
    return name_end == std::string::npos || name_end + 2 >= text.size() ? '\0' : text[name_end + 2];
}

Evidence suspend(pid_t pid, std::chrono::milliseconds time) {
    if (pid <= 0 || ::kill(pid, SIGSTOP) != 0) return std::nullopt;
    const bool stopped = look_until([&] { return state_of(pid) == 'T'; }, Deadline::in(2s));
    let_pass(time);
    const bool still = state_of(pid) == 'T';
    ::kill(pid, SIGCONT);
    const auto healed = Deadline::Clock::now();
    const bool goes_on = look_until([&] { return state_of(pid) != 'T'; }, Deadline::in(2s));
    if (!stopped || !still || !goes_on) return std::nullopt;
    return Sign{fmt::format("pid {} was seen stopped", pid), healed};
}

}  // namespace lovage::torture
