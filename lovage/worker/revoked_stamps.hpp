#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <lovage/core/task_message.hpp>

namespace lovage {

/// Stamps of tasks that shall not start: what `revoke_by_stamped_headers` leaves in a worker.
///
/// In memory only, as in Celery: a worker that starts later knows nothing of it. Not thread-safe.
class RevokedStamps {
public:
    /// The most values that are remembered; further ones take the oldest's places.
    static constexpr std::size_t kValuesMost = 10'000;

    /// Values by header, each as JSON text: 7 and "7" are two.
    using Stamps = std::map<std::string, std::set<std::string>>;

    RevokedStamps() = default;
    RevokedStamps(const RevokedStamps&) = delete;
    RevokedStamps& operator=(const RevokedStamps&) = delete;

    /// From now on tasks stamped with one of these values are revoked.
    void add(const Stamps& stamps);
    [[nodiscard]] bool revokes(const TaskMessage& message) const {
        return !stamps_.empty() && !common(message, stamps_).empty();
    }

    /// Of a stamp: a text, a number or a boolean, or a list of them. What else there is, is left
    /// out.
    [[nodiscard]] static std::vector<std::string> values_of(const Json& stamp);

    /// Which of `stamps` the message carries.
    [[nodiscard]] static Stamps common(const TaskMessage& message, const Stamps& stamps);

private:
    void forget_oldest();

    Stamps stamps_;  // no header is without values
    /// Where each value is, the oldest first.
    std::deque<std::pair<Stamps::iterator, std::set<std::string>::iterator>> order_;
};

}  // namespace lovage
