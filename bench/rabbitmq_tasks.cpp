// How many tasks a second go through RabbitMQ and Redis, and what does one cost in CPU? The other
// sides are rabbitmq_limit, a bare loop that moves the same bytes, and peers/celery_tasks.py.
//
//     rabbitmq_tasks BROKER_URL RESULT_URL MODE TASKS
//
//   publish   send TASKS tasks of 1 KiB, 200 at a time, each confirmed
//   drain     fill the queue, then: run a no-op, store its result, acknowledge
//   together  both at once: a producer's App and a worker's, each with its loop
//
// One line of JSON: tasks a second, CPU microseconds a task.
#include "measure.hpp"
#include "send_tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/lovage.hpp>
#include <lovage/worker/worker.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

using bench::Clock;
using bench::cpu_seconds;
using bench::seconds_since;
constexpr const char* kQueue = "lovage-tasks";

/// Tasks a second.
double send_rate(lovage::App& app, long tasks) {
    const auto start = Clock::now();
    if (bench::send_tasks(app, "noop", tasks) > 0) std::exit(1);
    return static_cast<double>(tasks) / seconds_since(start);
}

/// A worker with its App, and how many tasks it ran.
class Consuming {
public:
    explicit Consuming(const lovage::Settings& settings) : app_{"bench-worker", settings} {
        app_.task("noop", [this](const std::string&) { ++ran_; }, lovage::arg("payload"));
        lovage::WorkerOptions options;
        options.concurrency = 2;
        worker_.emplace(app_, options);
    }
    void start() {
        serving_ = asio::co_spawn(app_.core()->loop().executor(), worker_->run(), asio::use_future);
    }
    /// Waits until `tasks` have run, and until every result is stored and every message settled.
    void finish(long tasks) {
        while (ran_ < tasks) std::this_thread::sleep_for(500us);
        worker_->request_stop();
        if (const auto served = serving_.get(); !served) {
            std::cerr << served.error().message() << "\n";
            std::exit(1);
        }
    }

private:
    std::atomic<long> ran_{0};
    lovage::App app_;
    std::optional<lovage::Worker> worker_;
    std::future<lovage::Result<void>> serving_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::cerr << "usage: rabbitmq_tasks BROKER_URL RESULT_URL publish|drain|together TASKS\n";
        return 2;
    }
    const std::string mode = argv[3];
    const long tasks = std::atol(argv[4]);
    lovage::log::configure({.level = lovage::log::Level::warning});
    lovage::Settings settings;
    settings.broker_url = argv[1];
    settings.result_backend = argv[2];
    settings.task_publish_timeout = 60s;
    settings.task_default_queue = kQueue;
    lovage::App producer{"bench-producer", settings};
    bench::empty_queue(producer);
    double rate = 0;
    double cpu = cpu_seconds();
    if (mode == "publish") {
        rate = send_rate(producer, tasks);
    } else {
        Consuming consuming{settings};
        if (mode == "drain") {
            send_rate(producer, tasks);
            cpu = cpu_seconds();
        }
        const auto start = Clock::now();
        consuming.start();
        if (mode == "together") send_rate(producer, tasks);
        consuming.finish(tasks);
        rate = static_cast<double>(tasks) / seconds_since(start);
    }
    cpu = cpu_seconds() - cpu;
    bench::empty_queue(producer);
    std::cout << "{\"per_second\": " << rate
              << ", \"cpu_us\": " << cpu * 1e6 / static_cast<double>(tasks) << "}\n";
    return 0;
}
