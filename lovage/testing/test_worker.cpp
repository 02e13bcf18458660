#include <lovage/testing/test_worker.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/log.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>

namespace lovage::testing {

TestWorker::TestWorker(App& app, std::size_t concurrency) {
    // The first of both: ready, or ended before it was.
    auto begun = std::make_shared<std::promise<void>>();
    auto told = std::make_shared<std::atomic<bool>>(false);
    const auto tell = [begun, told] {
        if (!told->exchange(true)) begun->set_value();
    };
    WorkerOptions options;
    options.concurrency = concurrency;
    options.hostname = "test@localhost";
    options.on_ready = tell;
    worker_ = std::make_unique<Worker>(app, std::move(options));
    run_ = std::async(std::launch::async, [this, tell, core = app.core()] {
        auto ended = core->loop().run_blocking(worker_->run());
        tell();
        return ended;
    });
    begun->get_future().wait();
    if (!worker_->ready() && run_.wait_for(std::chrono::seconds{0}) == std::future_status::ready) {
        value_or_throw(run_.get());
    }
}

TestWorker::~TestWorker() {
    if (!run_.valid()) return;
    worker_->request_stop();
    try {
        if (auto ended = run_.get(); !ended) {
            log::error("worker", "the test's worker: {}", ended.error().message());
        }
    } catch (const std::exception& problem) {
        log::error("worker", "the test's worker: {}", problem.what());
    }
}

}  // namespace lovage::testing
