#include "workload.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/slot_start.hpp>
#include <tests/support/task_ledger.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

namespace lovage::torture {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;
using testing_support::TaskLedger;
using Event = TaskLedger::Event;
using Clock = std::chrono::steady_clock;

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr) {
        throw std::runtime_error{fmt::format("{} is not set: this role is started by a run", name)};
    }
    return value;
}

TaskLedger& ledger() {
    static TaskLedger opened = [] {
        TaskLedger of_run = TaskLedger::open(variable(kLedgerVariable));
        if (slot::is_slot()) of_run.set_worker(getppid());
        return of_run;
    }();
    return opened;
}

/// From nothing at all to 9 ms, differently for neighbours.
std::chrono::milliseconds length_of(std::uint32_t task) {
    return std::chrono::milliseconds{task * 2654435761U % 10U};
}

std::int64_t work(std::int64_t number) {
    const auto task = static_cast<std::uint32_t>(number);
    ledger().note(Event::started, task);
    if (const auto length = length_of(task); length > 0ms) std::this_thread::sleep_for(length);
    ledger().note(Event::effect, task);
    return number;
}

class Producer {
public:
    Producer(App& app, double rate, std::uint64_t backlog)
        : app_{app},
          pace_{
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{1} / rate)},
          backlog_{backlog},
          run_{variable(kRunVariable)},
          scope_{app.core()->loop().executor()} {}

    Awaitable<void> run() {
        asio::signal_set signals{scope_.executor(), SIGTERM};
        signals.async_wait([this](const boost::system::error_code& error, int) {
            if (!error) stopping_ = true;
        });
        for (int lane = 0; lane < kLanes; ++lane) scope_.spawn("lane", send_on());
        while (!co_await scope_.join(Deadline::in(1s))) {
        }
        signals.cancel();
    }

private:
    static constexpr int kLanes = 64;
    static constexpr auto kLookAgain = 10ms;
    using Burst = std::chrono::duration<std::int64_t, std::ratio<1, 5>>;

    [[nodiscard]] static bool too_many(std::uint64_t backlog) {
        const std::uint64_t accepted = ledger().total(Event::accepted);
        const std::uint64_t done = ledger().done();
        return accepted > done && accepted - done > backlog;
    }

    Awaitable<void> send_on() {
        asio::steady_timer timer{scope_.executor()};
        while (!stopping_) {
            // What an outage has delayed is not made up for: the pace stays the same.
            turn_ = std::max(turn_ + pace_, Clock::now());
            // In bursts, so that workers hold what they have not started when something happens.
            timer.expires_at(std::chrono::ceil<Burst>(turn_));
            co_await timer.async_wait(asio::use_awaitable);
            while (too_many(backlog_) && !stopping_) {
                timer.expires_after(kLookAgain);
                co_await timer.async_wait(asio::use_awaitable);
            }
            if (stopping_) co_return;
            const auto task = ledger().take_next();
            if (!task) co_return;
            co_await settle(*task);
        }
    }

    /// Until the task is accepted, or certainly does not exist.
    Awaitable<void> settle(std::uint32_t task) {
        const std::string id = task_id(run_, task);
        for (bool unknown = false;;) {
            ledger().note(Event::sending, task);
            auto sent = co_await app_.send(kTaskName, Json::array({task}), Json::object(),
                                           {.task_id = id, .timeout = 2s});
            if (sent.accepted()) {
                ledger().note(Event::accepted, task);
                co_return;
            }
            unknown = unknown || sent.outcome == SendOutcome::unknown;
            ledger().note(unknown ? Event::unknown : Event::rejected, task);
            if (!unknown || stopping_) co_return;
        }
    }

    App& app_;
    Clock::duration pace_;
    std::uint64_t backlog_;
    std::string run_;
    Clock::time_point turn_ = Clock::now();
    bool stopping_ = false;
    TaskScope scope_;
};

}  // namespace

std::string task_id(const std::string& run, std::uint32_t task) {
    return fmt::format("{}-0000-4000-8000-{:012d}", run, task);
}

void register_tasks(App& app) {
    app.task(kTaskName, work, arg("number"));
}

int produce(App& app, double rate, std::uint64_t backlog) {
    register_default_drivers();
    Producer producer{app, rate, backlog};
    app.core()->loop().run_blocking(producer.run());
    log::flush();
    return EXIT_SUCCESS;
}

}  // namespace lovage::torture
