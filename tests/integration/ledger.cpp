#include "ledger.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

namespace lovage::integration {

namespace {

/// How often a condition is looked at while nothing is written: it may be about something else.
constexpr std::chrono::milliseconds kLook{50};

}  // namespace

Ledger::Ledger(std::filesystem::path file) : file_{std::move(file)} {
    descriptor_ = open(file_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (descriptor_ < 0 || inotify_ < 0 ||
        inotify_add_watch(inotify_, file_.c_str(), IN_MODIFY) < 0) {
        throw std::runtime_error{"cannot watch " + file_.string()};
    }
}

Ledger::~Ledger() {
    if (descriptor_ >= 0) close(descriptor_);
    if (inotify_ >= 0) close(inotify_);
}

const std::vector<Ledger::Entry>& Ledger::read() {
    std::array<char, 65'536> buffer;
    for (ssize_t bytes = 0; (bytes = ::read(descriptor_, buffer.data(), buffer.size())) > 0;) {
        rest_.append(buffer.data(), static_cast<std::size_t>(bytes));
    }
    std::size_t start = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos;
         start = end + 1) {
        std::istringstream line{rest_.substr(start, end - start)};
        Entry entry;
        std::int64_t nanoseconds = 0;
        if (line >> entry.event >> entry.key >> entry.pid >> nanoseconds) {
            entry.time = std::chrono::nanoseconds{nanoseconds};
            entries_.push_back(std::move(entry));
        }
    }
    rest_.erase(0, start);
    return entries_;
}

std::size_t Ledger::count(std::string_view event) {
    return static_cast<std::size_t>(std::ranges::count(read(), event, &Entry::event));
}

std::size_t Ledger::count(std::string_view event, std::string_view key) {
    return static_cast<std::size_t>(std::ranges::count_if(
        read(), [&](const Entry& entry) { return entry.event == event && entry.key == key; }));
}

std::map<std::string, std::vector<Ledger::Entry>> Ledger::by_key(std::string_view event) {
    std::map<std::string, std::vector<Entry>> entries;
    for (const Entry& entry : read()) {
        if (entry.event == event) entries[entry.key].push_back(entry);
    }
    return entries;
}

bool Ledger::wait_until(const std::function<bool()>& condition, Deadline deadline) {
    while (!condition()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
        if (left.count() == 0) return false;
        pollfd changed{.fd = inotify_, .events = POLLIN, .revents = 0};
        poll(&changed, 1, static_cast<int>(std::min<std::int64_t>(left.count(), kLook.count())));
        std::array<char, 4096> events;
        while (::read(inotify_, events.data(), events.size()) > 0) {
        }
    }
    return true;
}

bool Ledger::wait_for(std::string_view event, std::string_view key, Deadline deadline) {
    return wait_until([&] { return count(event, key) > 0; }, deadline);
}

void Ledger::open_gate(const std::string& key) const {
    std::ofstream{file_.string() + "." + key + ".open"};
}

std::chrono::nanoseconds monotonic_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

}  // namespace lovage::integration
