#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace lovage {

/// Tasks that found no place under the concurrency limit of their key: one line a key, in which the
/// first asks again now and then, for all behind it.
///
/// Somebody in this worker who gives a place back wakes the line; of places that other workers give
/// back it learns by asking, once a second, or, when so many keys wait, as often as kAsksMost
/// questions a second allow. Who has waited for as long as it may comes out whatever its turn.
///
/// Pure state; not thread-safe.
template <class T>
class KeyLines {
public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    static constexpr auto kAskEvery = std::chrono::seconds{1};
    static constexpr std::size_t kAsksMost = 1'000;

    /// A place in line: smaller ones come first, so that one who asked in vain goes back to where
    /// it was.
    [[nodiscard]] std::uint64_t next_ticket() noexcept { return ++tickets_; }

    /// `leave_at`: when it comes out at the latest.
    void push(const std::string& key, std::uint64_t ticket, T task, Time now, Time leave_at) {
        const auto [place, made] = lines_.try_emplace(key);
        Line& line = place->second;
        if (made) {
            line.ask_at = now + interval();
            asks_.emplace(line.ask_at, key);
        }
        line.tasks.emplace(ticket, Waiting{std::move(task), leave_at});
        leaves_.emplace(leave_at, key, ticket);
        ++size_;
    }

    /// Somebody waits for a place of that key.
    [[nodiscard]] bool waits(const std::string& key) const { return lines_.contains(key); }

    /// The first in that line asks at `when`.
    void wake(const std::string& key, Time when) {
        const auto place = lines_.find(key);
        if (place != lines_.end()) ask(place, when);
    }

    /// Removes and returns who shall ask now, one a line, and who has waited for as long as it may.
    [[nodiscard]] std::vector<T> pop_due(Time now) {
        std::vector<T> due;
        while (!leaves_.empty() && std::get<Time>(*leaves_.begin()) <= now) {
            const auto [leave_at, key, ticket] = *leaves_.begin();
            due.push_back(remove(lines_.find(key), ticket));
        }
        while (!asks_.empty() && asks_.begin()->first <= now) {
            const auto place = lines_.find(asks_.begin()->second);
            ask(place, now + interval());
            due.push_back(remove(place, place->second.tasks.begin()->first));
        }
        return due;
    }

    /// Removes and returns those that `matches` says yes to, line by line.
    template <class Matches>
    [[nodiscard]] std::vector<T> take_if(Matches matches) {
        std::vector<std::pair<std::string, std::uint64_t>> found;
        for (const auto& [key, line] : lines_) {
            for (const auto& [ticket, waiting] : line.tasks) {
                if (matches(waiting.task)) found.emplace_back(key, ticket);
            }
        }
        std::vector<T> taken;
        taken.reserve(found.size());
        for (const auto& [key, ticket] : found) taken.push_back(remove(lines_.find(key), ticket));
        return taken;
    }

    /// When there is somebody to come out; nothing when empty.
    [[nodiscard]] std::optional<Time> next_due() const {
        if (asks_.empty()) return std::nullopt;
        return std::min(asks_.begin()->first, std::get<Time>(*leaves_.begin()));
    }

    /// Removes and returns everybody, in the order in which they came.
    [[nodiscard]] std::vector<T> take_all() {
        std::map<std::uint64_t, T> by_ticket;
        for (auto& [key, line] : lines_) {
            for (auto& [ticket, waiting] : line.tasks) {
                by_ticket.emplace(ticket, std::move(waiting.task));
            }
        }
        lines_.clear();
        asks_.clear();
        leaves_.clear();
        size_ = 0;
        std::vector<T> all;
        all.reserve(by_ticket.size());
        for (auto& [ticket, task] : by_ticket) all.push_back(std::move(task));
        return all;
    }

    /// Everybody, line by line.
    [[nodiscard]] std::vector<T> all() const {
        std::vector<T> copies;
        copies.reserve(size_);
        for (const auto& [key, line] : lines_) {
            for (const auto& [ticket, waiting] : line.tasks) copies.push_back(waiting.task);
        }
        return copies;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    struct Waiting {
        T task;
        Time leave_at;
    };
    struct Line {
        std::map<std::uint64_t, Waiting> tasks;  // by ticket; never empty
        Time ask_at;
    };
    using Lines = std::map<std::string, Line>;

    [[nodiscard]] Clock::duration interval() const noexcept {
        return std::max<Clock::duration>(kAskEvery, kAskEvery * lines_.size() / kAsksMost);
    }

    void ask(typename Lines::iterator place, Time when) {
        asks_.erase({place->second.ask_at, place->first});
        place->second.ask_at = when;
        asks_.emplace(when, place->first);
    }

    T remove(typename Lines::iterator place, std::uint64_t ticket) {
        Line& line = place->second;
        const auto found = line.tasks.find(ticket);
        T task = std::move(found->second.task);
        leaves_.erase({found->second.leave_at, place->first, ticket});
        line.tasks.erase(found);
        --size_;
        if (line.tasks.empty()) {
            asks_.erase({line.ask_at, place->first});
            lines_.erase(place);
        }
        return task;
    }

    Lines lines_;
    std::set<std::pair<Time, std::string>> asks_;
    std::set<std::tuple<Time, std::string, std::uint64_t>> leaves_;
    std::uint64_t tickets_ = 0;
    std::size_t size_ = 0;
};

}  // namespace lovage
