#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <lovage/worker/task_run.hpp>

namespace lovage {

/// Running attempts that have a soft time limit, ordered by the moment it passes.
///
/// Pure state: it reads no clock. Not thread-safe; the worker's loop owns it.
class SoftLimits {
public:
    using Time = std::chrono::steady_clock::time_point;
    using RequestPtr = std::shared_ptr<TaskRequest>;

    /// `request` starts at `now`. One without a limit is left alone.
    void started(const RequestPtr& request, Time now) {
        if (!request->soft_time_limit) return;
        request->soft_limit_at = now + *request->soft_time_limit;
        attempts_.emplace(request->soft_limit_at, request);
    }
    void ended(const RequestPtr& request) { attempts_.erase({request->soft_limit_at, request}); }

    /// Removes and returns the attempts whose limit has passed.
    [[nodiscard]] std::vector<RequestPtr> pop_passed(Time now) {
        std::vector<RequestPtr> passed;
        while (!attempts_.empty() && attempts_.begin()->first <= now) {
            passed.push_back(std::move(attempts_.extract(attempts_.begin()).value().second));
        }
        return passed;
    }
    /// When the first limit passes; nothing when none is running.
    [[nodiscard]] std::optional<Time> next() const {
        if (attempts_.empty()) return std::nullopt;
        return attempts_.begin()->first;
    }

private:
    std::set<std::pair<Time, RequestPtr>> attempts_;
};

}  // namespace lovage
