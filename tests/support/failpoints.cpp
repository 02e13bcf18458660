#include "failpoints.hpp"

#include <lovage/runtime/failpoint.hpp>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace lovage::testing_support {

namespace {

using failpoint::Line;
using failpoint::Point;

enum class Action : std::uint8_t { kill, stop, error };

/// What arm_failpoints() read. Set before any handler is installed, then never changed.
struct Wish {
    Point point{};
    Action action = Action::kill;
    long milliseconds = 0;
    std::uint32_t visit = 1;
    std::string file;
};
Wish wish;
std::optional<Line> unwanted;
std::atomic<std::uint32_t> visits{0};

/// SIGSTOP, which a child of ours ends: nobody else knows that we are stopped.
void stop_for(long milliseconds) noexcept {
    const pid_t self = getpid();
    const pid_t waker = fork();
    if (waker == 0) {
        timespec left{.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000};
        while (nanosleep(&left, &left) != 0) {
        }
        ::kill(self, SIGCONT);
        _exit(0);
    }
    raise(SIGSTOP);
    waitpid(waker, nullptr, 0);
}

bool at_point(Point point) noexcept {
    if (point != wish.point || visits.fetch_add(1) + 1 != wish.visit) return false;
    const int file = open(wish.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return false;  // it has happened already
    close(file);
    if (wish.action == Action::kill) ::kill(getpid(), SIGKILL);
    if (wish.action == Action::stop) stop_for(wish.milliseconds);
    return wish.action == Action::error;
}

bool without_line(Line line) noexcept {
    return line == unwanted;
}

template <class Enum, std::size_t count>
Enum named(std::string_view name, const std::array<std::string_view, count>& names) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
        throw std::runtime_error{"no failpoint or safety line is named " + std::string{name}};
    }
    return static_cast<Enum>(found - names.begin());
}

/// The text after `separator`, which is cut off; empty when there is none.
std::string_view cut(std::string_view& text, char separator) {
    const auto at = text.find(separator);
    if (at == std::string_view::npos) return {};
    const auto rest = text.substr(at + 1);
    text = text.substr(0, at);
    return rest;
}

template <class Number>
void read(std::string_view text, Number& number) {
    if (text.empty()) return;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        throw std::runtime_error{"LOVAGE_FAILPOINT: no number: " + std::string{text}};
    }
}

void read_wish(std::string_view text) {
    std::string_view action = cut(text, '=');
    read(cut(action, '@'), wish.visit);
    read(cut(action, ':'), wish.milliseconds);
    wish.point = named<Point>(text, failpoint::kPointNames);
    if (action == "kill") {
        wish.action = Action::kill;
    } else if (action == "stop") {
        wish.action = Action::stop;
    } else if (action == "error") {
        wish.action = Action::error;
    } else {
        throw std::runtime_error{"LOVAGE_FAILPOINT: no action: " + std::string{action}};
    }
    const char* const file = std::getenv("LOVAGE_FAILPOINT_FILE");
    if (file == nullptr) throw std::runtime_error{"LOVAGE_FAILPOINT_FILE is not set"};
    wish.file = file;
}

}  // namespace

void arm_failpoints() {
    if (const char* const text = std::getenv("LOVAGE_FAILPOINT")) {
        read_wish(text);
        failpoint::detail::at_point = at_point;
    }
    if (const char* const text = std::getenv("LOVAGE_LEAVE_OUT")) {
        unwanted = named<Line>(text, failpoint::kLineNames);
        failpoint::detail::without_line = without_line;
    }
}

}  // namespace lovage::testing_support
