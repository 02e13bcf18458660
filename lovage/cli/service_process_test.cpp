#include <lovage/cli/service_process.hpp>

#include <chrono>
#include <csignal>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/notifier.hpp>

#include <tests/support/memory_app.hpp>
#include <tests/support/soon.hpp>

namespace lovage::cli {
namespace {

/// A service that ends when it has been told to stop often enough.
class Stubborn {
public:
    Stubborn(App& app, std::size_t signals)
        : told_{app.core()->loop().executor()}, needs_{signals} {}

    Service service() {
        return {.run = [this] { return run(); },
                .stop =
                    [this](int signal) {
                        signals.push_back(signal);
                        told_.notify_all();
                    },
                .state = [] { return ServiceReport::State{}; },
                .ready = [] { return Result<void>{fail(Errc::unavailable, "not yet")}; }};
    }

    std::promise<void> running;
    std::vector<int> signals;

private:
    Awaitable<Result<void>> run() {
        running.set_value();
        while (signals.size() < needs_) co_await told_.wait(soon());
        co_return fail(Errc::internal, "told");
    }

    Notifier told_;
    std::size_t needs_;
};

Awaitable<Result<void>> break_down() {
    throw std::runtime_error{"broken"};
    co_return Result<void>{};
}

TEST(ServiceProcess, HandsEverySignalOnUntilTheServiceEnds) {
    App app{"service", memory_settings()};
    ServiceProcess process{app, "test"};
    Stubborn stubborn{app, 2};
    ASSERT_TRUE(process.open(stubborn.service(), {.port = 0}));
    auto run = std::async(std::launch::async, [&] { return process.run(); });
    stubborn.running.get_future().wait();
    ASSERT_EQ(std::raise(SIGTERM), 0);
    ASSERT_EQ(run.wait_for(std::chrono::milliseconds{50}), std::future_status::timeout);
    ASSERT_EQ(std::raise(SIGQUIT), 0);
    EXPECT_EQ(run.get().error().detail, "told");
    EXPECT_THAT(stubborn.signals, testing::ElementsAre(SIGTERM, SIGQUIT));
}

TEST(ServiceProcess, WhatTheServiceThrowsComesThrough) {
    App app{"service", memory_settings()};
    ServiceProcess process{app, "test"};
    Stubborn stubborn{app, 0};
    Service service = stubborn.service();
    service.run = break_down;
    ASSERT_TRUE(process.open(std::move(service), {.port = 0}));
    EXPECT_THROW((void)process.run(), std::runtime_error);
}

TEST(ServiceProcess, AnAddressThatCannotBeListenedOnNamesTheOptions) {
    App app{"service", memory_settings()};
    ServiceProcess process{app, "test"};
    Stubborn stubborn{app, 0};
    const auto opened = process.open(stubborn.service(), {.port = 0, .host = "192.0.2.1"});
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().detail, testing::HasSubstr("--health-host"));
}

}  // namespace
}  // namespace lovage::cli
