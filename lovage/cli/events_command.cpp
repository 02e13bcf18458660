#include <lovage/app/app_core.hpp>
#include <lovage/app/remote_control.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/event_lines.hpp>
#include <lovage/core/time.hpp>
#include <lovage/events/event_receiver.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;
constexpr auto kLookUp = 60s;  // for events; none is no error
constexpr auto kClosing = 2s;

EventReceiverOptions receiver_options(const Settings& settings) {
    return {.exchange = settings.event_exchange,
            .queue_prefix = settings.event_queue_prefix,
            .queue_expires = settings.event_queue_expires,
            .queue_ttl = settings.event_queue_ttl};
}

/// Follows events, and shows those that the arguments ask for.
class EventWatch {
public:
    EventWatch(AppCore& core, const EventsArguments& arguments, Console& console)
        : core_{core},
          arguments_{arguments},
          console_{console},
          receiver_{core.broker(), core.clock(), receiver_options(core.settings())} {}

    Awaitable<Result<void>> open() {
        auto opened = co_await receiver_.open(Deadline::in(kPatience));
        if (!opened) co_return opened;
        co_return co_await ask_for_heartbeats();
    }
    /// Until enough were shown, or nobody reads them any more.
    Awaitable<void> follow() {
        while (!enough()) {
            auto events = co_await receiver_.receive(Deadline::in(kLookUp));
            if (events) {
                show(*events);
            } else if (events.error().code != Errc::deadline_exceeded) {
                co_await open_again(std::move(events.error()));
            }
        }
    }
    Awaitable<void> close() { co_await receiver_.close(Deadline::in(kClosing)); }

private:
    /// As Celery's receivers do at their start, so that workers are seen at once.
    Awaitable<Result<void>> ask_for_heartbeats() {
        ControlOptions options;
        options.reply = false;
        auto asked = co_await ask_nodes(core_.broker(), core_.settings(), core_.clock(),
                                        control::heartbeat(), std::move(options));
        if (!asked) co_return std::unexpected{std::move(asked.error())};
        co_return Result<void>{};
    }

    Awaitable<void> open_again(Error problem) {
        console_.err << fmt::format("Lost the broker: {}. Trying again …\n", problem.message())
                     << std::flush;
        while (true) {
            asio::steady_timer timer{core_.loop().executor(), 1s};
            co_await timer.async_wait(asio::use_awaitable);
            if (co_await open()) break;
        }
        console_.err << "Following events again; some may be missing.\n" << std::flush;
    }

    [[nodiscard]] bool enough() const {
        return !console_.out.good() || (arguments_.most && shown_ >= *arguments_.most);
    }

    void show(const std::vector<Event>& events) {
        const TimePoint now = wall_clock_now();
        for (const Event& event : events) {
            const TaskView* const task = state_.apply(event, now).task;
            if (enough() || !arguments_.filter.passes(event, task)) continue;
            console_.out << (arguments_.json ? event_json_line(event, now)
                                             : event_line(event, task, console_.color))
                         << '\n';
            ++shown_;
        }
        console_.out << std::flush;
    }

    AppCore& core_;
    const EventsArguments& arguments_;
    Console& console_;
    EventReceiver receiver_;
    EventState state_;
    std::uint64_t shown_ = 0;
};

Awaitable<Result<void>> watch_events(std::shared_ptr<AppCore> core,
                                     const EventsArguments* arguments, Console* console) {
    using namespace asio::experimental::awaitable_operators;
    auto connected = co_await core->connect(Deadline::in(kPatience));
    if (!connected) co_return connected;
    asio::signal_set signals{core->loop().executor(), SIGINT, SIGTERM};
    EventWatch watch{*core, *arguments, *console};
    auto opened = co_await watch.open();
    if (opened) (void)co_await (watch.follow() || signals.async_wait(asio::use_awaitable));
    co_await watch.close();
    co_return opened;
}

}  // namespace

int run_events(App& app, const EventsArguments& arguments, Console& console) {
    const auto outcome =
        app.core()->loop().run_blocking(watch_events(app.core(), &arguments, &console));
    return outcome ? kSuccess : report(console, outcome.error());
}

}  // namespace lovage::cli
