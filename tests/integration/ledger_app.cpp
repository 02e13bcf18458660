// The program the integration tests run: tasks that write down what they do, independently of
// Lovage.
//
// TEST_LEDGER names the file. Each line is appended with one write: "<event> <key> <pid>
// <nanoseconds>", the process being the worker (whatever slot the task runs in), the time on the
// monotonic clock, which all processes of the machine share.

#include <lovage/lovage.hpp>
#include <lovage/worker/prefork/slot_start.hpp>

#include <fmt/core.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

std::filesystem::path ledger_file() {
    const char* const file = std::getenv("TEST_LEDGER");
    if (file == nullptr) throw std::runtime_error{"TEST_LEDGER is not set"};
    return file;
}

void note(const char* event, const std::string& key) {
    static const int ledger =
        open(ledger_file().c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    static const pid_t worker = lovage::slot::is_slot() ? getppid() : getpid();
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::string line = fmt::format("{} {} {} {}\n", event, key, worker,
                                         now.tv_sec * 1'000'000'000LL + now.tv_nsec);
    if (write(ledger, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        throw std::runtime_error{"the ledger cannot be written"};
    }
}

/// Works for a while; returns the key.
std::string work(std::string key, std::int64_t milliseconds) {
    note("start", key);
    if (milliseconds > 0) std::this_thread::sleep_for(std::chrono::milliseconds{milliseconds});
    note("end", key);
    return key;
}

/// Writes down which task it is, and ends.
void identify(lovage::TaskContext& context, std::string key) {
    note("start", context.request().id);
    note("end", key);
}

/// Works until the file <ledger>.<key>.open appears, or until asked to stop when `heeds_stop`.
std::string hold(lovage::TaskContext& context, std::string key, bool heeds_stop) {
    note("start", key);
    const auto gate = ledger_file().string() + "." + key + ".open";
    while (!std::filesystem::exists(gate)) {
        if (heeds_stop && context.stop_token().stop_requested()) {
            note("stopped", key);
            return key;
        }
        std::this_thread::sleep_for(2ms);
    }
    note("end", key);
    return key;
}

/// Recursion without end that the compiler cannot take apart.
int use_stack(int depth) {
    volatile char block[4096];
    block[0] = static_cast<char>(depth);
    return depth < 0 ? 0 : use_stack(depth + 1) + block[0];
}

// Functions that call stacks shall name.

[[gnu::noinline]] void dereference_null() {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
}

[[gnu::noinline]] void spin() {
    for (volatile bool forever = true; forever;) {
    }
}

[[gnu::noinline]] void sleep_long() {
    std::this_thread::sleep_for(std::chrono::hours{1});
}

/// Nobody writes into that pipe.
[[gnu::noinline]] void read_in_vain() {
    std::array<int, 2> ends{};
    char byte = 0;
    if (::pipe(ends.data()) != 0) return;
    while (::read(ends[0], &byte, 1) != 0) {
    }
}

[[gnu::noinline]] void take_memory() {
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int i = 0; i < 10 * 1024; ++i) {
        constexpr std::size_t kMebibyte = std::size_t{1} << 20U;
        blocks.push_back(std::make_unique_for_overwrite<char[]>(kMebibyte));
        std::memset(blocks.back().get(), 1, kMebibyte);
    }
}

void block_every_signal() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

/// Misbehaves in the way asked for.
[[gnu::noinline]] void misbehave(const std::string& how, const std::string& key) {
    note("start", key);
    std::fprintf(stderr, "%s says: %s\n", key.c_str(), how.c_str());
    if (how == "null") dereference_null();
    if (how == "abort") std::abort();
    if (how == "exit") std::_Exit(7);
    if (how == "stack") use_stack(0);
    if (how == "kill") raise(SIGKILL);
    if (how == "stop") raise(SIGSTOP);
    if (how == "memory") take_memory();
    if (how == "memory-deaf") {
        block_every_signal();
        take_memory();
    }
    if (how == "hang-up") {
        // The slot ends as soon as it has said how this went, and does not look for more.
        ::shutdown(lovage::slot::kRequestStream, SHUT_RD);
        return;
    }
    if (how == "asleep") sleep_long();
    if (how == "reading") read_in_vain();
    if (how == "ignore-SIGTERM") std::signal(SIGTERM, SIG_IGN);
    if (how == "deaf") block_every_signal();
    spin();
}

/// Never returns by itself, but heeds what its context says: busy all the time, or asleep.
void heed(lovage::TaskContext& context, const std::string& how, std::string key) {
    note("start", key);
    while (true) {
        if (how == "hang-up") {
            // The slot ends as soon as it has said how this went, and does not look for more.
            ::shutdown(lovage::slot::kRequestStream, SHUT_RD);
            return;
        }
        if (how == "asleep") std::this_thread::sleep_for(10ms);
        context.checkpoint();
    }
}

/// The same as a coroutine; a task's context outlives it.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-reference-coroutine-parameters)
lovage::Awaitable<void> doze(lovage::TaskContext& /*context*/, std::string /*how*/,
                             std::string key) {
    note("start", key);
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor,
                                    std::chrono::hours{1}};
    co_await timer.async_wait(boost::asio::use_awaitable);
}

/// A task that uses its own app, as a slot does by way of the worker.
std::int64_t add_elsewhere(const lovage::App& app, std::int64_t x, std::int64_t y) {
    return app.send_task("ledger.add", lovage::Json::array({x, y}))
        .get(20s)
        .as_int64()
        .value_or(-1);
}

void refuse(std::string reason) {
    throw std::invalid_argument{reason};
}

/// Sends `count` tasks called "<prefix>-<n>" and writes down those that were accepted.
int produce(const lovage::App& app, const std::string& prefix, int count) {
    lovage::register_default_drivers();
    for (int index = 0; index < count; ++index) {
        const std::string key = fmt::format("{}-{}", prefix, index);
        lovage::Json args = lovage::Json::array({key, 0});
        app.send_task("ledger.work", std::move(args));
        note("accepted", key);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // Whatever becomes of the test, its processes end with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    using lovage::arg;
    lovage::App app{"ledger"};
    app.task("ledger.work", work, arg("key"), arg("milliseconds") = 0);
    app.task("ledger.identify", identify, arg("key"));
    app.task("ledger.hold", hold, arg("key"), arg("heeds_stop") = false);
    app.task(
           "ledger.limited",
           [](lovage::TaskContext& context, std::string key, const std::string& /*account*/) {
               return hold(context, std::move(key), false);
           },
           arg("key"), arg("account"))
        .concurrency_limit(1, lovage::per("account"));
    app.task(
           "ledger.unique",
           [](lovage::TaskContext& context, std::string key, const std::string& /*order*/) {
               return hold(context, std::move(key), false);
           },
           arg("key"), arg("order"))
        .unique({.key = lovage::per("order")});
    app.task("ledger.refuse", refuse, arg("reason"));
    app.task(
        "ledger.add", [](std::int64_t x, std::int64_t y) { return x + y; }, arg("x"), arg("y") = 1);
    app.task("ledger.heed", heed, arg("how"), arg("key"));
    app.task("ledger.doze", doze, arg("how"), arg("key"));
    app.task("ledger.misbehave", misbehave, arg("how"), arg("key"));
    app.task(
        "ledger.add-elsewhere",
        [&app](std::int64_t x, std::int64_t y) { return add_elsewhere(app, x, y); }, arg("x"),
        arg("y"));
    // The ids of two sends of the same call.
    app.task(
        "ledger.send-unique-twice",
        [&app](const std::string& order) {
            const lovage::Json args = lovage::Json::array({"in-a-slot", order});
            return std::vector{app.send_task("ledger.unique", args).id(),
                               app.send_task("ledger.unique", args).id()};
        },
        arg("order"));
    app.task("ledger.progress", [](lovage::TaskContext& context) {
        context.update_state("PROGRESS", lovage::Json::object({{"done", 3}}));
        note("start", "progress");
        while (context.stop_reason() == lovage::StopReason::none) std::this_thread::sleep_for(1ms);
        context.checkpoint();
    });
    app.task("ledger.inspect", [&app] {
        return static_cast<std::int64_t>(app.control().broadcast(lovage::control::ping()).size());
    });
    app.task("ledger.tell", [](lovage::TaskContext& context) {
        for (int done = 1; done <= 3; ++done) {
            context.send_event("task-progress", lovage::Json::object({{"done", done}}));
        }
    });
    // Leaves a process behind, which belongs to whoever inherits orphans.
    app.task(
        "ledger.orphan",
        [](const std::string& seconds) { return std::system(("sleep " + seconds + " &").c_str()); },
        arg("seconds"));
    app.on_slot_start([] { note("slot-start", "-"); });
    // What slots need is away until somebody makes this file.
    if (const char* const needed = std::getenv("TEST_SLOTS_NEED")) {
        app.on_slot_start([needed] {
            if (::access(needed, F_OK) != 0) throw std::runtime_error{"the database is away"};
        });
    }
    app.on_slot_stop([] { note("slot-stop", "-"); });
    // A registry that depends on where it runs.
    if (std::getenv("TEST_ODD_SLOTS") != nullptr && lovage::slot::is_slot()) {
        app.task("ledger.odd", [] {});
    }
    if (argc == 4 && std::string{argv[1]} == "produce")
        return produce(app, argv[2], std::atoi(argv[3]));
    return lovage::main(app, argc, argv);
}
