#include <lovage/runtime/service_report.hpp>

#include <lovage/runtime/log.hpp>

#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// How old a status line may be.
constexpr auto kLook = 1s;

}  // namespace

ServiceReport::ServiceReport(Executor executor, ServiceManager manager,
                             std::function<State()> state)
    : manager_{std::move(manager)}, state_{std::move(state)}, changed_{std::move(executor)} {}

void ServiceReport::tell() {
    State now = state_();
    Result<void> sent;
    if (now.phase != told_) {
        sent = now.phase == Phase::stopping ? manager_.stopping(now.status)
                                            : manager_.ready(now.status);
    } else if (now.status != told_status_) {
        sent = manager_.status(now.status);
    }
    if (!sent) {
        // Said again at the next look.
        log::debug("service", "{}", sent.error().message());
        return;
    }
    told_ = now.phase;
    told_status_ = std::move(now.status);
}

Awaitable<void> ServiceReport::run() {
    if (!manager_.problem().empty()) log::warning("service", "{}", manager_.problem());
    if (!manager_.present()) co_return;
    const auto watchdog = manager_.watchdog_interval();
    Deadline alive = Deadline::in(0s);
    while (true) {
        tell();
        Deadline next = Deadline::in(kLook);
        if (watchdog && alive.passed()) {
            if (auto sent = manager_.watchdog(); !sent) {
                log::warning("service", "{}", sent.error().message());
            }
            alive = Deadline::in(*watchdog);
        }
        if (watchdog) next = next.no_later_than(alive.remaining());
        co_await changed_.wait(next);
    }
}

}  // namespace lovage
