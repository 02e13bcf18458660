#include <lovage/app/reply_collector.hpp>

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace lovage {

ReplyCollector::ReplyCollector(std::string ticket, const std::vector<std::string>& destination,
                               std::optional<std::size_t> limit)
    : ticket_{std::move(ticket)},
      missing_{destination.begin(), destination.end()},
      named_{!destination.empty()},
      limit_{std::min(limit.value_or(kNodesMax), kNodesMax)} {}

Result<std::uint64_t> ReplyCollector::add(const Message& message) {
    if (bytes_ + message.body.size() > kBytesMax) {
        return fail(Errc::too_large, fmt::format("the replies exceed {} MiB", kBytesMax >> 20U));
    }
    auto reply = decode_control_reply(message);
    if (!reply) return std::unexpected{std::move(reply.error())};
    if (reply->ticket != ticket_) return reply->clock;
    const auto known = replies_.find(reply->node);
    if (known == replies_.end() && replies_.size() >= kNodesMax) {
        return fail(Errc::too_large, fmt::format("more than {} nodes replied", kNodesMax));
    }
    bytes_ += message.body.size();
    missing_.erase(reply->node);
    if (known == replies_.end()) {
        replies_.emplace(std::move(reply->node), std::move(reply->value));
    } else {
        duplicates_.insert(reply->node);
        known->second = std::move(reply->value);
    }
    return reply->clock;
}

bool ReplyCollector::complete() const noexcept {
    return replies_.size() >= limit_ || (named_ && missing_.empty());
}

}  // namespace lovage
