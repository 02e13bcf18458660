#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/redis/client.hpp>
#include <lovage/clients/redis/subscription_set.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::redis {

/// One connection that keeps any number of channels subscribed, across reconnects.
///
/// Messages published while the connection was down are lost (that is Redis's pub/sub). So whoever
/// must not miss one reads the state they announce whenever `subscribed` is called: it is called
/// for the first subscription of a channel, and again for each after a lost connection.
/// Belongs to its executor's loop; not thread-safe. Connects at the first add(). Close it and wait
/// for that before destroying it.
class Subscriber {
public:
    struct Hooks {
        std::function<void(std::string_view channel, std::string payload)> message;
        /// From now on messages of these channels arrive.
        std::function<void(std::vector<std::string> channels)> subscribed;
    };
    Subscriber(Executor executor, Options options, Hooks hooks);

    /// Counted: each add() needs its remove(). All changes of one turn of the loop go out together.
    void add(const std::string& channel);
    void remove(const std::string& channel);
    /// The server has confirmed the subscription on the present connection.
    [[nodiscard]] bool is_subscribed(std::string_view channel) const {
        return set_.is_subscribed(channel);
    }

    [[nodiscard]] Awaitable<void> close();

private:
    Awaitable<void> keep_subscribed();
    void on_push(Reply reply);

    Hooks hooks_;
    SubscriptionSet set_;
    Notifier changed_;
    bool started_ = false;
    Client client_;
    TaskScope scope_;
};

}  // namespace lovage::redis
