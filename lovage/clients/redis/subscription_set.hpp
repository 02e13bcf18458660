#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::redis {

/// Which channels somebody wants to hear, and which of them the server has been told about.
///
/// What is wanted is data: it survives connections, and changes() gives the difference to what the
/// present connection knows. Pure state; not thread-safe.
class SubscriptionSet {
public:
    struct Changes {
        std::vector<std::string> subscribe;
        std::vector<std::string> unsubscribe;
        std::uint64_t connection = 0;  ///< For confirmed().
        [[nodiscard]] bool empty() const noexcept {
            return subscribe.empty() && unsubscribe.empty();
        }
    };

    /// One more user of `channel`.
    void add(const std::string& channel);
    /// One user less; the last one's leaving ends the subscription.
    void remove(const std::string& channel);

    /// What to tell the server next, at most `most` channels of each kind; it counts as told.
    [[nodiscard]] Changes changes(std::size_t most);
    [[nodiscard]] bool has_changes() const noexcept { return !dirty_.empty(); }

    /// The server has confirmed these subscriptions. Returns those that are in force: none when the
    /// connection they were made on is gone.
    [[nodiscard]] std::vector<std::string> confirmed(const Changes& changes);
    /// The connection is gone and with it all subscriptions.
    void connection_lost();

    /// A message sent to `channel` from now on arrives here, unless the connection is lost.
    [[nodiscard]] bool is_subscribed(std::string_view channel) const;
    [[nodiscard]] std::size_t size() const noexcept { return channels_.size(); }

private:
    struct Channel {
        std::size_t users = 0;
        bool told = false;       ///< SUBSCRIBE is the last the server was told.
        bool confirmed = false;  ///< … and it has answered.
    };
    std::map<std::string, Channel, std::less<>> channels_;
    std::set<std::string> dirty_;  ///< Channels whose users and `told` disagree.
    std::uint64_t connection_ = 1;
};

}  // namespace lovage::redis
