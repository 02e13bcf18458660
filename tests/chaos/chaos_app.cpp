// The program that the fault tests harm: a worker whose tasks write into the ledger, and a producer
// that writes down what it was told about each send.
//
// CHAOS_LEDGER names the ledger's file, CHAOS_RUN starts the ids of its tasks. CHAOS_COUNTDOWN, in
// milliseconds, makes the producer send its tasks for later. The variables of
// tests/support/failpoints.hpp let something happen inside.

#include <lovage/app/app_core.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/slot_start.hpp>
#include <tests/chaos/later_tasks.hpp>
#include <tests/chaos/ways.hpp>
#include <tests/support/failpoints.hpp>
#include <tests/support/task_ledger.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using lovage::Awaitable;
using lovage::chaos::Way;
using lovage::chaos::way_of;
using lovage::testing_support::TaskLedger;
using Event = TaskLedger::Event;
using Clock = std::chrono::steady_clock;

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr) throw std::runtime_error{std::string{name} + " is not set"};
    return value;
}

std::optional<std::chrono::milliseconds> countdown() {
    const char* const milliseconds = std::getenv("CHAOS_COUNTDOWN");
    if (milliseconds == nullptr) return std::nullopt;
    return std::chrono::milliseconds{std::atoll(milliseconds)};
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

/// Ends in the way that its number decides.
std::int64_t vary(lovage::TaskContext& context, std::int64_t number, std::int64_t milliseconds) {
    const auto task = static_cast<std::uint32_t>(number);
    const Way way = way_of(task);
    if (way == Way::crashes_once && ledger().started(task) == 0) {
        ledger().note(Event::started, task);
        raise(SIGKILL);
    }
    if (way == Way::goes_on) {
        ledger().note(Event::step, task);
        return number;
    }
    if (way == Way::retries_once && context.retries() == 0) {
        ledger().note(Event::started, task);
        context.retry({.countdown = 0s});
    }
    work(number, milliseconds);
    if (way == Way::is_rejected) throw lovage::Reject{.reason = "for a test"};
    return number;
}

/// The call of a task that goes on: chaos.vary, then a chord of two parts, then the effect.
lovage::TaskMessage workflow_of(std::string id, std::uint32_t task, std::int64_t milliseconds) {
    using lovage::Json;
    const lovage::Signature part{
        .task = "chaos.part", .args = Json::array({task}), .immutable = true};
    const lovage::Signature body{.task = "chaos.finish", .args = Json::array({task, milliseconds})};
    lovage::Signature chord{.task = "celery.chord", .type = lovage::SignatureType::chord};
    lovage::set_parts(chord, {.header = lovage::make_group({part, part}), .body = body});
    lovage::TaskMessage message;
    message.id = std::move(id);
    message.task = "chaos.vary";
    message.args = Json::array({task, milliseconds});
    message.embed.set("chain", lovage::encode_signatures({std::move(chord)}));
    return message;
}

/// Kills its slot the first time.
std::int64_t crash_once(std::int64_t number, std::int64_t milliseconds) {
    const auto task = static_cast<std::uint32_t>(number);
    if (ledger().started(task) == 0) {
        ledger().note(Event::started, task);
        raise(SIGKILL);
    }
    return work(number, milliseconds);
}

/// Works for a while; returns when it began and ended, on the clock of the whole machine.
std::pair<std::int64_t, std::int64_t> span_of(std::int64_t milliseconds) {
    const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
    const std::int64_t begin = now();
    std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds});
    return {begin, now()};
}

/// Never returns.
void spin() {
    for (volatile bool forever = true; forever;) {
    }
}

/// Sends the tasks that nobody has sent yet at a steady pace until it is stopped. What has an
/// unknown outcome is sent again under the same id, which is what the contract advises.
class Producer {
public:
    Producer(lovage::App& app, double rate, std::int64_t milliseconds, std::string task)
        : app_{app},
          task_{std::move(task)},
          pace_{
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{1} / rate)},
          // Each waits for its turn: no more of them than turns in a second.
          lanes_{static_cast<int>(std::clamp(rate, 1.0, 64.0))},
          milliseconds_{milliseconds},
          countdown_{countdown()},
          run_{variable("CHAOS_RUN")},
          scope_{app.core()->loop().executor()} {}

    Awaitable<void> run() {
        asio::signal_set signals{scope_.executor(), SIGTERM};
        for (int lane = 0; lane < lanes_; ++lane) scope_.spawn("lane", send_on());
        co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
        stopping_ = true;
        (void)co_await scope_.join(lovage::Deadline::in(1min));
    }

private:
    Awaitable<void> send_on() {
        asio::steady_timer timer{scope_.executor()};
        while (!stopping_) {
            // What an outage has delayed is not made up for: the pace stays the same.
            turn_ = std::max(turn_ + pace_, Clock::now());
            timer.expires_at(turn_);
            co_await timer.async_wait(asio::use_awaitable);
            const auto task = stopping_ ? std::nullopt : ledger().take_next();
            if (!task) co_return;
            co_await settle(*task);
        }
    }
    /// Until the task is accepted, or certainly does not exist.
    Awaitable<void> settle(std::uint32_t task) {
        const std::string id = fmt::format("{}-0000-4000-8000-{:012d}", run_, task);
        for (bool unknown = false;;) {
            ledger().note(Event::sending, task);
            const auto outcome = co_await send(task, id);
            if (outcome == lovage::SendOutcome::accepted) {
                ledger().note(Event::accepted, task);
                co_return;
            }
            unknown = unknown || outcome == lovage::SendOutcome::unknown;
            ledger().note(unknown ? Event::unknown : Event::rejected, task);
            if (!unknown || stopping_) co_return;
        }
    }
    Awaitable<lovage::SendOutcome> send(std::uint32_t task, std::string id) {
        using lovage::SendOutcome;
        if (task_ == "chaos.vary" && way_of(task) == Way::goes_on) {
            const lovage::TaskMessage message = workflow_of(id, task, milliseconds_);
            const auto sent = co_await app_.core()->client().send(
                {.task_id = id, .queue = "celery", .message = encode_task_message(message)},
                lovage::Deadline::in(2s));
            if (sent) co_return SendOutcome::accepted;
            co_return sent.error().code == lovage::Errc::unknown_outcome ? SendOutcome::unknown
                                                                         : SendOutcome::rejected;
        }
        const auto sent = co_await app_.send(
            task_, lovage::Json::array({task, milliseconds_}), lovage::Json::object(),
            {.countdown = countdown_, .task_id = id, .timeout = 2s});
        co_return sent.outcome;
    }

    lovage::App& app_;
    std::string task_;
    Clock::duration pace_;
    int lanes_;
    std::int64_t milliseconds_;
    std::optional<std::chrono::milliseconds> countdown_;
    std::string run_;
    Clock::time_point turn_ = Clock::now();
    bool stopping_ = false;
    lovage::TaskScope scope_;
};

int produce(lovage::App& app, double rate, std::int64_t milliseconds, std::string task) {
    lovage::register_default_drivers();
    Producer producer{app, rate, milliseconds, std::move(task)};
    app.core()->loop().run_blocking(producer.run());
    lovage::log::flush();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // Whatever becomes of the test, its processes end with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lovage::testing_support::arm_failpoints();
    using lovage::arg;
    lovage::App app{"chaos"};
    app.task("chaos.work", work, arg("number"), arg("milliseconds"));
    app.task("chaos.vary", vary, arg("number"), arg("milliseconds"));
    app.task(
        "chaos.part",
        [](std::int64_t number) {
            ledger().note(Event::step, static_cast<std::uint32_t>(number));
            return number;
        },
        arg("number"));
    app.task(
        "chaos.finish",
        [](const lovage::Json&, std::int64_t number, std::int64_t milliseconds) {
            return work(number, milliseconds);
        },
        arg("parts"), arg("number"), arg("milliseconds"));
    app.task(
        "chaos.total",
        [](const std::vector<std::int64_t>& numbers, std::int64_t number) {
            work(number, 0);
            return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
        },
        arg("numbers"), arg("number"));
    app.task("chaos.crash-once", crash_once, arg("number"), arg("milliseconds"));
    app.task("chaos.spin", spin);
    app.task("chaos.crash", [] { raise(SIGKILL); });
    app.task("chaos.limited", span_of, arg("milliseconds")).concurrency_limit(1);
    lovage::chaos::register_later_tasks(app);
    if (argc == 5 && std::string{argv[1]} == "produce-later") {
        return lovage::chaos::produce_later(
            app, std::atoll(argv[2]),
            lovage::TimePoint{std::chrono::microseconds{std::atoll(argv[3])}},
            std::chrono::seconds{std::atoll(argv[4])});
    }
    if (argc == 5 && std::string{argv[1]} == "produce") {
        return produce(app, std::atof(argv[2]), std::atoi(argv[3]), argv[4]);
    }
    return lovage::main(app, argc, argv);
}
