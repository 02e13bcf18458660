// How many tasks a second go send → run a no-op → result stored → ack, in one process, durably, on
// the embedded broker? The other side is sqlite_limit: a bare loop that executes the same
// statements in the same batches. Producer and worker are two Apps, so two loops, as an API and a
// worker in one process would be. As there, tasks flow: a sender waits while more than kWindow
// tasks have been sent and not run, so that neither side measures a file with a backlog.
//
//     sqlite_tasks FOLDER [TASKS] [SENDERS] [SLOTS]
#include <lovage/app/app_core.hpp>
#include <lovage/clients/sqlite/database.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/worker/worker.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <future>
#include <iostream>
#include <semaphore>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr long kWindow = 1024;

struct Run {
    lovage::App* app;
    long left;
    long sent = 0;
    long refused = 0;
    std::atomic<long> ran{0};            // counted by the task, on its slot
    std::deque<lovage::Notifier*> held;  // senders that wait for their turn

    [[nodiscard]] long room() const { return kWindow - (sent - ran); }
};

lovage::Awaitable<void> send_some(Run* run) {
    lovage::Notifier turn{co_await asio::this_coro::executor};
    while (run->left > 0) {
        --run->left;
        if (run->room() <= 0) {
            run->held.push_back(&turn);
            co_await turn.wait();
        }
        ++run->sent;
        const auto sent = co_await run->app->send("noop");
        if (!sent.accepted()) ++run->refused;
    }
}

/// Every half a millisecond, lets as many senders go on as there is room for.
lovage::Awaitable<void> set_pace(Run* run, long tasks) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (run->ran < tasks) {
        timer.expires_after(500us);
        co_await timer.async_wait(asio::use_awaitable);
        for (long room = run->room(); room > 0 && !run->held.empty(); --room) {
            run->held.front()->notify_all();
            run->held.pop_front();
        }
    }
}

lovage::Awaitable<bool> drained(std::shared_ptr<lovage::AppCore> core) {
    const auto status = co_await core->broker().queue_status("celery", lovage::Deadline::in(10s));
    co_return status && status->ready == 0 && status->unsettled == 0;
}

long argument(int argc, char** argv, int index, long otherwise) {
    return argc > index ? std::strtol(argv[index], nullptr, 10) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: sqlite_tasks FOLDER [TASKS] [SENDERS] [SLOTS]\n";
        return 2;
    }
    const long tasks = argument(argc, argv, 2, 50'000);
    const long senders = argument(argc, argv, 3, 256);
    const long slots = argument(argc, argv, 4, 2);

    lovage::log::configure({.level = lovage::log::Level::warning});
    lovage::Settings settings;
    settings.broker_url = "sqlite:///" + std::string{argv[1]};
    settings.result_backend = settings.broker_url;
    settings.task_publish_timeout = 60s;
    lovage::App producer{"bench-producer", settings};
    lovage::App app{"bench-worker", settings};
    Run run{&producer, tasks};
    app.task("noop", [&run] { ++run.ran; });

    std::binary_semaphore ready{0};
    lovage::WorkerOptions options;
    options.concurrency = static_cast<std::size_t>(slots);
    options.on_ready = [&ready] { ready.release(); };
    lovage::Worker worker{app, options};
    auto serving = asio::co_spawn(app.core()->loop().executor(), worker.run(), asio::use_future);
    ready.acquire();

    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::future<void>> sending;
    for (long i = 0; i < senders; ++i) {
        sending.push_back(
            asio::co_spawn(producer.core()->loop().executor(), send_some(&run), asio::use_future));
    }
    auto pacing =
        asio::co_spawn(producer.core()->loop().executor(), set_pace(&run, tasks), asio::use_future);
    for (auto& sender : sending) sender.get();
    pacing.get();
    const auto sent = std::chrono::steady_clock::now();
    while (!app.core()->loop().run_blocking(drained(app.core()))) std::this_thread::sleep_for(1ms);
    const auto end = std::chrono::steady_clock::now();

    worker.request_stop();
    serving.get();
    const double seconds = std::chrono::duration<double>(end - begin).count();
    const double send_seconds = std::chrono::duration<double>(sent - begin).count();
    const auto commits = [&](const char* file) {
        return lovage::sqlite::Database::open({.file = std::filesystem::path{argv[1]} / file})
            ->counters()
            .commits;
    };
    std::cout << "{\"tasks\": " << tasks << ", \"broker_commits\": " << commits("broker.sqlite3")
              << ", \"result_commits\": " << commits("results.sqlite3")
              << ", \"refused\": " << run.refused << ", \"seconds\": " << seconds
              << ", \"send_seconds\": " << send_seconds
              << ", \"tasks_per_second\": " << static_cast<double>(tasks) / seconds << "}\n";
    return run.refused == 0 ? 0 : 1;
}
