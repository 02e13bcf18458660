#include <lovage/worker/threads_pool.hpp>

#include <lovage/core/task_function.hpp>

#include <memory>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

namespace lovage {
namespace {

/// stop() lets go of a thread that does not end; what it does from then on is its own.
TEST(ThreadsPool, MayBeDestroyedAfterASlotLeftBehindHasEnded) {
    boost::asio::io_context loop{1};
    std::binary_semaphore started{0};
    std::binary_semaphore go{0};
    const TaskDefinition task = make_task_definition("blocking", [&] {
        started.release();
        go.acquire();
    });
    auto request = std::make_shared<TaskRequest>();
    request->message.id = "id";
    request->message.task = task.name;
    request->message.args = Json::raw("[]");
    request->message.kwargs = Json::raw("{}");
    request->definition = &task;
    request->context =
        std::make_shared<TaskContext>(TaskContext::Request{.id = "id", .task = task.name});
    auto pool = std::make_unique<ThreadsPool>(loop.get_executor(), 1, "threads");
    pool->start({});
    pool->submit({request});
    started.acquire();

    EXPECT_EQ(pool->stop(), 1U);
    go.release();
    while (pool->busy() > 0) std::this_thread::yield();
    EXPECT_EQ(pool->stop(), 0U);
    pool.reset();
    EXPECT_EQ(loop.poll(), 1U);  // its end is reported, to nobody
}

}  // namespace
}  // namespace lovage
