#include <lovage/clients/redis/subscription_set.hpp>

#include <lovage/core/error.hpp>

#include <utility>

namespace lovage::redis {

void SubscriptionSet::add(const std::string& channel) {
    Channel& entry = channels_[channel];
    if (++entry.users > 1) return;
    if (entry.told) {
        dirty_.erase(channel);  // An UNSUBSCRIBE that was not sent yet is not needed any more.
    } else {
        dirty_.insert(channel);
    }
}

void SubscriptionSet::remove(const std::string& channel) {
    const auto found = channels_.find(channel);
    LOVAGE_ASSERT(found != channels_.end() && found->second.users > 0);
    if (--found->second.users > 0) return;
    if (found->second.told) {
        dirty_.insert(channel);
    } else {
        dirty_.erase(channel);
        channels_.erase(found);
    }
}

SubscriptionSet::Changes SubscriptionSet::changes(std::size_t most) {
    Changes changes{.connection = connection_};
    for (auto place = dirty_.begin(); place != dirty_.end();) {
        const auto found = channels_.find(*place);
        const bool wanted = found->second.users > 0;
        auto& list = wanted ? changes.subscribe : changes.unsubscribe;
        if (list.size() == most) {
            ++place;
            continue;
        }
        list.push_back(*place);
        if (wanted) {
            found->second.told = true;
        } else {
            channels_.erase(found);
        }
        place = dirty_.erase(place);
    }
    return changes;
}

std::vector<std::string> SubscriptionSet::confirmed(const Changes& changes) {
    std::vector<std::string> in_force;
    if (changes.connection != connection_) return in_force;
    for (const std::string& channel : changes.subscribe) {
        const auto found = channels_.find(channel);
        if (found == channels_.end() || !found->second.told) continue;
        found->second.confirmed = true;
        if (found->second.users > 0) in_force.push_back(channel);
    }
    return in_force;
}

void SubscriptionSet::connection_lost() {
    ++connection_;
    dirty_.clear();
    std::erase_if(channels_, [](const auto& entry) { return entry.second.users == 0; });
    for (auto& [name, channel] : channels_) {
        channel.told = channel.confirmed = false;
        dirty_.insert(name);
    }
}

bool SubscriptionSet::is_subscribed(std::string_view channel) const {
    const auto found = channels_.find(channel);
    return found != channels_.end() && found->second.confirmed && found->second.users > 0;
}

}  // namespace lovage::redis
