#pragma once

#include <cstddef>
#include <future>
#include <memory>

#include <lovage/app/app.hpp>
#include <lovage/worker/worker.hpp>

namespace lovage::testing {

/// A worker that serves an app's default queue beside the test, in threads of the test's process,
/// from its construction to its end.
class TestWorker {
public:
    /// Returns when the worker consumes. Throws LovageError when it cannot start.
    explicit TestWorker(App& app, std::size_t concurrency = 1);
    /// Stops it; running tasks are waited for (`worker_shutdown_timeout`).
    ~TestWorker();
    TestWorker(const TestWorker&) = delete;
    TestWorker& operator=(const TestWorker&) = delete;

private:
    std::unique_ptr<Worker> worker_;
    std::future<Result<void>> run_;
};

}  // namespace lovage::testing
