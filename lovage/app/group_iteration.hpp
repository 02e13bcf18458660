#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

class AppCore;

/// A member of a group that is over.
struct ReadyMember {
    std::size_t index = 0;  ///< Its place in the group.
    TaskMeta meta;          ///< SUCCESS, FAILURE or REVOKED; AsyncResult<T>::value_from() reads it.
};

/// The members of a group in the order in which they end, each once: Celery's iter_native().
///
///     for (const lovage::ReadyMember& member : group.iterate(30s)) …
///     while (auto member = value_or_throw(co_await iteration.next_async(deadline))) …
///
/// Nothing runs between two calls, so it may be dropped at any time. A call waits for all members
/// that are missing; those that ended together come without a further wait. Not thread-safe: one
/// call at a time. Lifetime: keeps what it needs.
class GroupIteration {
public:
    GroupIteration(std::shared_ptr<AppCore> core, std::vector<std::string> members,
                   Deadline deadline);

    /// The next member that is over; nothing when there are no more. Errors: deadline_exceeded,
    /// those of the result backend; it may be called again.
    [[nodiscard]] Awaitable<Result<std::optional<ReadyMember>>> next_async(Deadline deadline);
    /// Blocking form, until the deadline that iterate() was given; throws LovageError. Never on the
    /// app's own loop. Inside a task it is a TaskContext::checkpoint() for as long as it waits.
    [[nodiscard]] std::optional<ReadyMember> next();

    /// Goes on by next().
    class Iterator {
    public:
        using difference_type = std::ptrdiff_t;
        using value_type = ReadyMember;

        explicit Iterator(GroupIteration* of) : of_{of}, member_{of->next()} {}
        const ReadyMember& operator*() const { return *member_; }
        const ReadyMember* operator->() const { return &*member_; }
        Iterator& operator++() {
            member_ = of_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& one, std::default_sentinel_t) {
            return !one.member_.has_value();
        }

    private:
        GroupIteration* of_;
        std::optional<ReadyMember> member_;
    };
    /// Waits for the first member.
    [[nodiscard]] Iterator begin() { return Iterator{this}; }
    [[nodiscard]] static std::default_sentinel_t end() { return {}; }

private:
    struct State;
    std::shared_ptr<AppCore> core_;
    std::shared_ptr<State> state_;
    Deadline deadline_;
};

}  // namespace lovage
