// The program whose workers `./dev bench pools`, `events` and `control` measure: a worker like any
// other (lovage::main), and beside it
//
//     pool_tasks send TASK COUNT     fills the default queue; broker and results as for a worker
//     pool_tasks ping NODE COUNT     asks a worker `ping`, again and again on one connection
//     pool_tasks hop POOL ROUNDS     send, run, get, one at a time; one slot, broker in memory. It
//                                    says "ready" and waits for a line, so that its threads can be
//                                    given their processors
//
// Tasks write what they do into a page of memory that BENCH_PAGE names, whatever process they run
// in.
#include "measure.hpp"
#include "send_tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/lovage.hpp>
#include <lovage/worker/prefork/slot_start.hpp>
#include <lovage/worker/worker.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// What tasks tell. bench/pools.py reads it, by these offsets.
struct Page {
    std::atomic<std::uint64_t> started;
    std::atomic<std::uint64_t> ended;
    std::atomic<std::int64_t> first_start;  ///< Nanoseconds, CLOCK_MONOTONIC; 0: none yet.
    std::atomic<std::int64_t> first_redelivered_start;
};

Page& page() {
    static Page* const mapped = [] {
        static Page own;
        const char* const name = std::getenv("BENCH_PAGE");
        const int file = name == nullptr ? -1 : ::open(name, O_RDWR | O_CLOEXEC);
        if (file < 0) return &own;
        void* const memory =
            ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ::close(file);
        return memory == MAP_FAILED ? &own : static_cast<Page*>(memory);
    }();
    return *mapped;
}

void note_first(std::atomic<std::int64_t>& moment) {
    if (moment.load(std::memory_order_relaxed) != 0) return;
    std::int64_t none = 0;
    const auto now = bench::Clock::now().time_since_epoch();
    moment.compare_exchange_strong(
        none, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// From the start of a task to its end.
class Noted {
public:
    explicit Noted(const lovage::TaskContext& context) {
        page().started.fetch_add(1, std::memory_order_relaxed);
        note_first(page().first_start);
        if (context.request().redelivered) note_first(page().first_redelivered_start);
    }
    ~Noted() { page().ended.fetch_add(1, std::memory_order_relaxed); }
    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;
};

void noop(lovage::TaskContext& context, const std::string& /*payload*/) {
    const Noted noted{context};
}

void work(lovage::TaskContext& context, const std::string& /*payload*/) {
    const Noted noted{context};
    std::this_thread::sleep_for(50ms);
}

// A task's context outlives it.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-reference-coroutine-parameters)
lovage::Awaitable<void> nap(lovage::TaskContext& context, std::string /*payload*/) {
    const Noted noted{context};
    asio::steady_timer timer{co_await asio::this_coro::executor, 1s};
    co_await timer.async_wait(asio::use_awaitable);
}

constexpr auto kBetween = 3ms;

/// Microseconds from a send to its result, the median of `rounds` that begin `between` after the
/// one before has ended. On the worker's loop: nobody else has to be woken.
lovage::Awaitable<double> median_round_trip(const lovage::App* app, int rounds,
                                            std::chrono::milliseconds between) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    std::vector<double> times;
    for (int round = 0; round < rounds; ++round) {
        if (between.count() != 0) {
            timer.expires_after(between);
            co_await timer.async_wait(asio::use_awaitable);
        }
        const auto start = bench::Clock::now();
        const auto sent = co_await app->send("noop", lovage::Json::array({"x"}));
        lovage::value_or_throw(co_await sent.result.wait_async(lovage::Deadline::in(10s)));
        times.push_back(bench::seconds_since(start) * 1e6);
    }
    co_return bench::median(std::move(times));
}

/// The same, `kBetween` between, asked for by a thread that is none of the worker's.
double median_for_a_thread(const lovage::App& app, int rounds) {
    std::vector<double> times;
    for (int round = 0; round < rounds; ++round) {
        std::this_thread::sleep_for(kBetween);
        const auto start = bench::Clock::now();
        (void)app.send_task("noop", lovage::Json::array({"x"})).get(10s);
        times.push_back(bench::seconds_since(start) * 1e6);
    }
    return bench::median(std::move(times));
}

int hop(lovage::App& app, const std::string& pool, int rounds) {
    lovage::slot::enable_slots();
    lovage::log::configure({.level = lovage::log::Level::warning});
    lovage::Settings settings;
    settings.broker_url = settings.result_backend = "memory://";
    app.configure(settings);
    lovage::WorkerOptions options;
    options.pool = pool;
    options.concurrency = 1;
    lovage::Worker worker{app, options};
    const auto loop = app.core()->loop().executor();
    auto serving = asio::co_spawn(loop, worker.run(), asio::use_future);
    (void)app.send_task("noop", lovage::Json::array({"x"})).get(10s);  // its slot is there
    std::cout << "ready" << std::endl;
    std::string go;
    std::getline(std::cin, go);
    const auto on_loop = [&](std::chrono::milliseconds between) {
        return asio::co_spawn(loop, median_round_trip(&app, rounds, between), asio::use_future)
            .get();
    };
    const double closed = on_loop(0ms);
    const double alone = on_loop(kBetween);
    const double thread = median_for_a_thread(app, rounds);
    worker.request_stop();
    const auto served = serving.get();
    std::cout << "{\"closed_us\": " << closed << ", \"alone_us\": " << alone
              << ", \"thread_us\": " << thread << "}\n";
    return served ? 0 : 1;
}

/// One answer, and what the worker did until it came.
struct Ping {
    double milliseconds;
    std::uint64_t tasks;
};

/// Each ping, and the time of the median, the 99th hundredth and the slowest; pauses between them,
/// so that they meet the worker at any point of what it does.
int ping(lovage::App& app, const std::string& node, int count) {
    std::vector<Ping> pings;
    lovage::ControlOptions options;
    options.destination = {node};
    options.timeout = 10s;
    const auto first = bench::Clock::now();
    const std::uint64_t before_all = page().ended;
    for (int i = 0; i <= count; ++i) {
        const auto start = bench::Clock::now();
        const std::uint64_t before = page().ended;
        if (app.control().broadcast(lovage::control::ping(), options).size() != 1) {
            std::cerr << "no answer within 10 s\n";
            return 1;
        }
        // The first one connects.
        if (i > 0) pings.push_back({bench::seconds_since(start) * 1e3, page().ended - before});
        std::this_thread::sleep_for(std::chrono::milliseconds{5 + i % 7});
    }
    const double rate =
        static_cast<double>(page().ended - before_all) / bench::seconds_since(first);
    std::ranges::sort(pings, {}, &Ping::milliseconds);
    const auto at = [&](std::size_t hundredth) {
        return pings[(pings.size() - 1) * hundredth / 100].milliseconds;
    };
    std::cout << "{\"p50_ms\": " << at(50) << ", \"p99_ms\": " << at(99)
              << ", \"max_ms\": " << pings.back().milliseconds
              << ", \"tasks_meanwhile\": " << pings.back().tasks
              << ", \"tasks_per_second\": " << rate << "}\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    lovage::App app{"pool-tasks"};
    app.task("noop", noop, lovage::arg("payload"));
    app.task("work", work, lovage::arg("payload"));
    app.task("nap", nap, lovage::arg("payload"));
    const bool slot = lovage::slot::is_slot();
    if (!slot && argc == 4 && argv[1] == std::string_view{"hop"}) {
        return hop(app, argv[2], std::atoi(argv[3]));
    }
    if (!slot && argc == 4 && argv[1] == std::string_view{"ping"}) {
        lovage::log::configure({.level = lovage::log::Level::warning});
        return ping(app, argv[2], std::atoi(argv[3]));
    }
    if (!slot && argc == 4 && argv[1] == std::string_view{"send"}) {
        lovage::log::configure({.level = lovage::log::Level::warning});
        return bench::send_tasks(app, argv[2], std::atol(argv[3])) == 0 ? 0 : 1;
    }
    return lovage::main(app, argc, argv);
}
