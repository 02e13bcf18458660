#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>

#include <lovage/core/task_message.hpp>

namespace lovage {

/// Stamps of tasks that shall not start: what `revoke_by_stamped_headers` leaves in a worker.
///
/// In memory only, as in Celery: a worker that starts later knows nothing of it. Not thread-safe.
class RevokedStamps {
public:
    /// The most values that are remembered; further ones are refused.
    static constexpr std::size_t kValuesMost = 10'000;

    using Stamps = std::map<std::string, std::set<std::string>>;

    /// From now on tasks stamped with one of these values are revoked. False: there is no room.
    bool add(const Stamps& stamps);
    [[nodiscard]] bool revokes(const TaskMessage& message) const {
        return !stamps_.empty() && !common(message, stamps_).empty();
    }

    /// Which of `stamps` the message carries.
    [[nodiscard]] static Stamps common(const TaskMessage& message, const Stamps& stamps);

private:
    Stamps stamps_;
    std::size_t values_ = 0;
};

}  // namespace lovage
