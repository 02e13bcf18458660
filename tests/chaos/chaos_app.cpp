// The program that the fault tests harm: a worker whose tasks write into the ledger, and a producer
// that writes down what it was told about each send.
//
// CHAOS_LEDGER names the ledger's file, CHAOS_RUN starts the ids of its tasks.

#include <lovage/app/app_core.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/slot_start.hpp>
#include <tests/support/task_ledger.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using lovage::Awaitable;
using lovage::testing_support::TaskLedger;
using Event = TaskLedger::Event;
using Clock = std::chrono::steady_clock;

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr) throw std::runtime_error{std::string{name} + " is not set"};
    return value;
}

TaskLedger& ledger() {
    static TaskLedger opened = [] {
        TaskLedger of_test = TaskLedger::open(variable("CHAOS_LEDGER"));
        if (lovage::slot::is_slot()) of_test.set_worker(getppid());
        return of_test;
    }();
    return opened;
}

std::int64_t work(std::int64_t number, std::int64_t milliseconds) {
    const auto task = static_cast<std::uint32_t>(number);
    ledger().note(Event::started, task);
    if (milliseconds > 0) std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds});
    ledger().note(Event::effect, task);
    return number;
}

/// Sends tasks 0, 1, … at a steady pace until it is stopped. What has an unknown outcome is sent
/// again under the same id, which is what the contract advises.
class Producer {
public:
    Producer(lovage::App& app, double rate, std::int64_t milliseconds)
        : app_{app},
          pace_{
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{1} / rate)},
          milliseconds_{milliseconds},
          run_{variable("CHAOS_RUN")},
          scope_{app.core()->loop().executor()} {}

    Awaitable<void> run() {
        asio::signal_set signals{scope_.executor(), SIGTERM};
        for (int lane = 0; lane < kLanes; ++lane) scope_.spawn("lane", send_on());
        co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
        stopping_ = true;
        (void)co_await scope_.join(lovage::Deadline::in(1min));
    }

private:
    static constexpr int kLanes = 64;

    Awaitable<void> send_on() {
        asio::steady_timer timer{scope_.executor()};
        while (!stopping_ && next_ < ledger().tasks()) {
            const std::uint32_t task = next_++;
            // What an outage has delayed is not made up for: the pace stays the same.
            turn_ = std::max(turn_ + pace_, Clock::now());
            timer.expires_at(turn_);
            co_await timer.async_wait(asio::use_awaitable);
            co_await settle(task);
        }
    }
    /// Until the task is accepted, or certainly does not exist.
    Awaitable<void> settle(std::uint32_t task) {
        const std::string id = fmt::format("{}-0000-4000-8000-{:012d}", run_, task);
        for (bool unknown = false;;) {
            ledger().note(Event::sending, task);
            auto sent = co_await app_.send("chaos.work", lovage::Json::array({task, milliseconds_}),
                                           lovage::Json::object(), {.task_id = id, .timeout = 2s});
            if (sent.accepted()) {
                ledger().note(Event::accepted, task);
                co_return;
            }
            unknown = unknown || sent.outcome == lovage::SendOutcome::unknown;
            ledger().note(unknown ? Event::unknown : Event::rejected, task);
            if (!unknown || stopping_) co_return;
        }
    }

    lovage::App& app_;
    Clock::duration pace_;
    std::int64_t milliseconds_;
    std::string run_;
    std::uint32_t next_ = 0;
    Clock::time_point turn_ = Clock::now();
    bool stopping_ = false;
    lovage::TaskScope scope_;
};

int produce(lovage::App& app, double rate, std::int64_t milliseconds) {
    lovage::register_default_drivers();
    Producer producer{app, rate, milliseconds};
    app.core()->loop().run_blocking(producer.run());
    lovage::log::flush();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // Whatever becomes of the test, its processes end with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    using lovage::arg;
    lovage::App app{"chaos"};
    app.task("chaos.work", work, arg("number"), arg("milliseconds"));
    if (argc == 4 && std::string{argv[1]} == "produce") {
        return produce(app, std::atof(argv[2]), std::atoi(argv[3]));
    }
    return lovage::main(app, argc, argv);
}
