#include <lovage/testing/test_worker.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/log.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <utility>

namespace lovage::testing {

namespace {

/// Does something however its scope is left.
struct AtEnd {
    explicit AtEnd(std::function<void()> what) : action{std::move(what)} {}
    ~AtEnd() { action(); }
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;
    std::function<void()> action;
};

}  // namespace

TestWorker::TestWorker(App& app, std::size_t concurrency) {
    // The first of both: ready (true), or ended before it was.
    auto begun = std::make_shared<std::promise<bool>>();
    auto told = std::make_shared<std::atomic<bool>>(false);
    const auto tell = [begun, told](bool ready) {
        if (!told->exchange(true)) begun->set_value(ready);
    };
    WorkerOptions options;
    options.concurrency = concurrency;
    options.hostname = "test@localhost";
    options.on_ready = [tell] { tell(true); };
    worker_ = std::make_unique<Worker>(app, std::move(options));
    run_ = std::async(std::launch::async, [this, tell, core = app.core()] {
        const AtEnd ended{[tell] { tell(false); }};
        return core->loop().run_blocking(worker_->run());
    });
    if (!begun->get_future().get()) value_or_throw(run_.get());
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
