#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <lovage/core/time.hpp>

namespace lovage {

/// Tasks delivered before their ETA, ordered by the moment they become due.
///
/// Pure state: it reads no clock and does no I/O; the consumer passes `now` in. Not thread-safe;
/// the worker's loop owns it.
template <class T, class Time = TimePoint>
class EtaQueue {
public:
    /// Holds at most `capacity` tasks; whatever does not fit stays with the broker.
    explicit EtaQueue(std::size_t capacity) : capacity_{capacity} {}

    /// Returns false when full and leaves `task` alone: the caller gives it back to the broker,
    /// since nobody else holds it.
    [[nodiscard]] bool push(T&& task, Time eta) {
        if (tasks_.size() >= capacity_) return false;
        tasks_.emplace(std::pair{eta, arrivals_++}, std::move(task));
        return true;
    }

    /// Removes and returns everything due at `now`: earliest first, ties in arrival order.
    [[nodiscard]] std::vector<T> pop_due(Time now) {
        std::vector<T> due;
        while (!tasks_.empty() && tasks_.begin()->first.first <= now) {
            due.push_back(std::move(tasks_.extract(tasks_.begin()).mapped()));
        }
        return due;
    }

    /// Removes and returns those that `matches` says yes to, in due order.
    template <class Matches>
    [[nodiscard]] std::vector<T> take_if(Matches matches) {
        std::vector<T> taken;
        for (auto at = tasks_.begin(); at != tasks_.end();) {
            const auto next = std::next(at);
            if (matches(at->second)) taken.push_back(std::move(tasks_.extract(at).mapped()));
            at = next;
        }
        return taken;
    }

    /// Everything that waits, in due order.
    [[nodiscard]] std::vector<T> all() const {
        std::vector<T> copies;
        copies.reserve(tasks_.size());
        for (const auto& [key, task] : tasks_) copies.push_back(task);
        return copies;
    }

    /// Removes and returns everything, in due order: for the end of the worker.
    [[nodiscard]] std::vector<T> take_all() {
        std::vector<T> all;
        all.reserve(tasks_.size());
        for (auto& [key, task] : tasks_) all.push_back(std::move(task));
        tasks_.clear();
        return all;
    }

    /// When the first task becomes due; nothing when empty.
    [[nodiscard]] std::optional<Time> next_due() const {
        if (tasks_.empty()) return std::nullopt;
        return tasks_.begin()->first.first;
    }

    [[nodiscard]] std::size_t size() const noexcept { return tasks_.size(); }
    [[nodiscard]] bool full() const noexcept { return tasks_.size() >= capacity_; }

private:
    std::size_t capacity_;
    std::uint64_t arrivals_ = 0;
    std::map<std::pair<Time, std::uint64_t>, T> tasks_;
};

}  // namespace lovage
