#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <lovage/control/control_message.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// What workers answered, by node name.
using NodeReplies = std::map<std::string, Json>;

/// Gathers the replies to one request: who answered what, and when nobody else is expected.
///
/// Pure state; not thread-safe.
class ReplyCollector {
public:
    /// No more than that is kept: what exceeds it is dropped.
    static constexpr std::size_t kNodesMax = 10'000;
    static constexpr std::size_t kBytesMax = std::size_t{256} << 20U;

    /// `destination` are the nodes that were asked; empty: all there are. `limit`: so many nodes
    /// are enough.
    ReplyCollector(std::string ticket, const std::vector<std::string>& destination,
                   std::optional<std::size_t> limit);

    /// Returns the reply's clock, also when it answers another request and is ignored. A node that
    /// answers twice keeps its last value, as in Celery. Errors: malformed, too_large; nothing is
    /// kept then.
    Result<std::uint64_t> add(const Message& message);

    /// Nobody else is waited for: every destination has answered, or enough nodes have.
    [[nodiscard]] bool complete() const noexcept;
    [[nodiscard]] NodeReplies take() && { return std::move(replies_); }
    /// Names under which more than one reply came: several workers of one name.
    [[nodiscard]] const std::set<std::string>& duplicates() const noexcept { return duplicates_; }

private:
    std::string ticket_;
    std::set<std::string> missing_;
    bool named_;
    std::size_t limit_;
    std::size_t bytes_ = 0;
    NodeReplies replies_;
    std::set<std::string> duplicates_;
};

}  // namespace lovage
