#include <lovage/clients/redis/subscriber.hpp>

#include <lovage/runtime/log.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <utility>

namespace lovage::redis {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kChannelsAtOnce = 512;
constexpr auto kConfirmation = 30s;
constexpr auto kPauseAfterRefusal = 1s;

}  // namespace

Subscriber::Subscriber(Executor executor, Options options, Hooks hooks)
    : hooks_{std::move(hooks)},
      changed_{executor},
      client_{executor,
              std::move(options),
              {.connected = [this] { changed_.notify_all(); },
               .lost = [this] { set_.connection_lost(); },
               .pushed = [this](Reply reply) { on_push(std::move(reply)); }}},
      scope_{std::move(executor)} {}

void Subscriber::add(const std::string& channel) {
    set_.add(channel);
    if (!std::exchange(started_, true)) {
        client_.start();
        scope_.spawn("redis subscriptions", keep_subscribed());
    }
    changed_.notify_all();
}

void Subscriber::remove(const std::string& channel) {
    set_.remove(channel);
    changed_.notify_all();
}

Awaitable<void> Subscriber::keep_subscribed() {
    while (true) {
        // A round on the loop lets everybody of this turn have their say.
        co_await changed_.wait();
        while (client_.is_connected() && set_.has_changes()) {
            const auto changes = set_.changes(kChannelsAtOnce);
            Result<void> done;
            if (!changes.unsubscribe.empty()) {
                done = co_await client_.change_subscription("UNSUBSCRIBE", changes.unsubscribe,
                                                            Deadline::in(kConfirmation));
            }
            if (done && !changes.subscribe.empty()) {
                done = co_await client_.change_subscription("SUBSCRIBE", changes.subscribe,
                                                            Deadline::in(kConfirmation));
            }
            if (done) {
                auto in_force = set_.confirmed(changes);
                if (!in_force.empty()) hooks_.subscribed(std::move(in_force));
                continue;
            }
            set_.connection_lost();  // Whatever it was, everything is asked for again.
            if (done.error().code == Errc::unknown_outcome) continue;
            log::error("redis", "{}: subscribing failed: {}", client_.options().display_url(),
                       done.error().message());
            boost::asio::steady_timer pause{scope_.executor(), kPauseAfterRefusal};
            co_await pause.async_wait(boost::asio::use_awaitable);
        }
    }
}

void Subscriber::on_push(Reply reply) {
    // "message", channel, payload
    constexpr std::size_t kWords = 3;
    if (reply.items.size() != kWords || reply.items[0].text != "message") return;
    hooks_.message(reply.items[1].text, std::move(reply.items[2].text));
}

Awaitable<void> Subscriber::close() {
    scope_.request_stop();
    co_await client_.close(Deadline::in(0s));
    co_await scope_.join(Deadline::in(1min));
}

}  // namespace lovage::redis
