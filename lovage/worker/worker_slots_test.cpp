#include <lovage/worker/worker.hpp>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/worker/pool.hpp>

#include <functional>
#include <semaphore>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using ::testing::HasSubstr;

/// An app with a task that tells when it starts, and waits.
class WorkerSlots : public testing::Test {
protected:
    static Settings settings(std::optional<AutoscaleRange> autoscale = {}) {
        Settings settings = memory_settings();
        settings.worker_autoscale = autoscale;
        return settings;
    }
    /// A task that has been sent.
    static AsyncResult<Json> send_hold(App& app) { return app.send_task("hold"); }

    void add_hold(App& app) {
        app.task("hold", [this] {
            started_.release();
            go_on_.acquire();
        });
    }
    /// What remote control does, where it does it.
    template <class F>
    static auto on_loop(App& app, F what) {
        decltype(what()) result;
        app.core()->loop().call([&] { result = what(); });
        return result;
    }

    std::counting_semaphore<> started_{0};
    std::counting_semaphore<> go_on_{0};
};

TEST_F(WorkerSlots, GrowAndShrinkWhileTasksRun) {
    App app{"test", settings()};
    add_hold(app);
    RunningWorker running{app, 1};
    Worker& worker = running.worker();
    const auto first = send_hold(app);
    const auto second = send_hold(app);
    started_.acquire();
    EXPECT_FALSE(started_.try_acquire()) << "there is one slot only";
    EXPECT_TRUE(on_loop(app, [&] { return worker.grow(1); }));
    EXPECT_TRUE(started_.try_acquire_for(kLong));

    const auto too_many = on_loop(app, [&] { return worker.grow(Pool::kSlotsMost - 1); });
    ASSERT_FALSE(too_many);
    EXPECT_EQ(too_many.error().detail,
              "a pool of 2 slots cannot grow by 1023: it has 1024 at most");

    EXPECT_TRUE(on_loop(app, [&] { return worker.shrink(1); }));
    const auto refused = on_loop(app, [&] { return worker.shrink(1); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    const auto third = send_hold(app);
    go_on_.release(3);
    for (const auto& task : {first, second, third}) (void)task.get(kLong);
    EXPECT_TRUE(running.stop());
}

TEST_F(WorkerSlots, AreNotGrownByHandUnderAutoscale) {
    App app{"test", settings(AutoscaleRange{.max = 2, .min = 1})};
    add_hold(app);
    RunningWorker running{app, 1};
    Worker& worker = running.worker();
    const auto refused = on_loop(app, [&] { return worker.grow(1); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().detail,
              "pool_grow is not supported with autoscale. Adjust autoscale range instead.");
    const auto bounds = on_loop(app, [&] { return worker.autoscale({.max = 3, .min = 0}); });
    EXPECT_EQ(bounds, (AutoscaleRange{.max = 3, .min = 1}));
    for (int i = 0; i < 3; ++i) (void)send_hold(app);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(started_.try_acquire_for(kLong)) << "three at once";
    go_on_.release(3);
    EXPECT_TRUE(running.stop());
}

TEST_F(WorkerSlots, MoreThanThePoolCanHaveIsRefusedAtStart) {
    Settings autoscaled = settings(AutoscaleRange{.max = 1025, .min = 1});
    App app{"test", std::move(autoscaled)};
    Worker worker{app, {.pool = "threads"}};
    const auto outcome = app.core()->loop().run_blocking(worker.run());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().detail,
              "worker_autoscale (program): the pool 'threads' has 1024 slots at most");

    Settings many = settings();
    many.worker_concurrency = 1025;
    App other{"test", std::move(many)};
    Worker crowded{other, {.pool = "threads"}};
    EXPECT_THAT(other.core()->loop().run_blocking(crowded.run()).error().detail,
                HasSubstr("worker_concurrency (program): the pool 'threads' has 1024"));
}

TEST_F(WorkerSlots, RefusalsNameWhatIsMissing) {
    App app{"test", settings()};
    add_hold(app);
    RunningWorker running{app, 1};
    Worker& worker = running.worker();
    const auto no_bounds = on_loop(app, [&] { return worker.autoscale({.max = 3, .min = 1}); });
    ASSERT_FALSE(no_bounds);
    EXPECT_EQ(no_bounds.error().detail, "Autoscale not enabled");
    const auto no_restart = on_loop(app, [&] { return worker.restart_pool(); });
    ASSERT_FALSE(no_restart);
    EXPECT_THAT(no_restart.error().detail, HasSubstr("the pool 'threads' cannot be restarted"));
    EXPECT_TRUE(running.stop());
}

}  // namespace
}  // namespace lovage
