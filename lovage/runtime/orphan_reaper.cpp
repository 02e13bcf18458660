#include <lovage/runtime/orphan_reaper.hpp>

#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include <sys/wait.h>
#include <unistd.h>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// An orphan that has ended costs an entry in a table and no more.
constexpr auto kLookEvery = 2s;

template <class Number>
std::optional<Number> number_of(std::string_view text) {
    Number number{};
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return number;
}

/// This process's children that have ended.
std::vector<pid_t> ended_children() {
    std::vector<pid_t> ended;
    std::error_code ignored;
    const pid_t own = ::getpid();
    for (const auto& entry : std::filesystem::directory_iterator{"/proc", ignored}) {
        const auto pid = number_of<pid_t>(entry.path().filename().string());
        if (!pid) continue;
        std::ifstream file{entry.path() / "stat", std::ios::binary};
        const std::string text{std::istreambuf_iterator<char>{file}, {}};
        const auto line = parse_process_line(text);
        if (line && line->ended && line->parent == own) ended.push_back(*pid);
    }
    return ended;
}

extern "C" void end_by_signal(int signal) {
    // What a shell says of a process that a signal ended.
    ::_exit(128 + signal);
}

}  // namespace

std::vector<pid_t> OrphanFilter::look(const std::vector<pid_t>& ended) {
    std::vector<pid_t> orphans;
    std::set<pid_t> fresh;
    for (const pid_t pid : ended) {
        if (seen_.contains(pid)) {
            orphans.push_back(pid);
        } else {
            fresh.insert(pid);
        }
    }
    seen_ = std::move(fresh);
    return orphans;
}

std::optional<ProcessLine> parse_process_line(std::string_view text) {
    // "pid (name) state parent …": the name may hold anything, so what counts is its last bracket.
    const std::size_t bracket = text.rfind(')');
    if (bracket == std::string_view::npos || text.size() < bracket + 5) return std::nullopt;
    text.remove_prefix(bracket + 1);
    if (text[0] != ' ' || text[2] != ' ') return std::nullopt;
    const char state = text[1];
    text.remove_prefix(3);
    const auto parent = number_of<pid_t>(text.substr(0, text.find(' ')));
    if (!parent) return std::nullopt;
    return ProcessLine{.parent = *parent, .ended = state == 'Z'};
}

bool is_first_process() {
    return ::getpid() == 1;
}

Awaitable<void> reap_orphans() {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
    OrphanFilter filter;
    while (true) {
        timer.expires_after(kLookEvery);
        co_await timer.async_wait(boost::asio::use_awaitable);
        for (const pid_t orphan : filter.look(ended_children())) {
            if (::waitpid(orphan, nullptr, WNOHANG) == orphan) {
                log::debug("service", "process {}, left behind by another one, has ended", orphan);
            }
        }
    }
}

void let_signals_end_first_process() {
    if (!is_first_process()) return;
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) {
        struct sigaction now{};
        if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
        struct sigaction end{};
        end.sa_handler = end_by_signal;
        ::sigaction(signal, &end, nullptr);
    }
}

}  // namespace lovage
