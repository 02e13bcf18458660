#include <lovage/runtime/loop.hpp>

#include <lovage/runtime/notifier.hpp>

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include <pthread.h>

namespace lovage {
namespace {

Awaitable<int> answer() {
    co_return 42;
}

Awaitable<void> fail() {
    throw std::runtime_error{"no"};
    co_return;
}

Awaitable<void> call_back(Loop* loop, Errc* seen) {
    try {
        loop->run_blocking(answer());
    } catch (const LovageError& error) {
        *seen = error.code();
    }
    co_return;
}

Awaitable<void> announce_and_wait(std::promise<void>* waiting, Notifier* notifier) {
    waiting->set_value();
    co_await notifier->wait();
}

TEST(Loop, RunsACoroutineForABlockedCaller) {
    Loop loop{"test"};
    loop.start();
    loop.start();
    EXPECT_EQ(loop.run_blocking(answer()), 42);
    EXPECT_THROW(loop.run_blocking(fail()), std::runtime_error);
}

TEST(Loop, KnowsItsOwnThreadAndNamesIt) {
    Loop loop{"a name that is too long"};
    EXPECT_FALSE(loop.on_loop_thread());
    std::promise<std::string> name;
    loop.post([&] {
        char text[16] = {};
        pthread_getname_np(pthread_self(), text, sizeof text);
        name.set_value(loop.on_loop_thread() ? text : "elsewhere");
    });
    loop.start();
    EXPECT_EQ(name.get_future().get(), "a name that is ");
}

TEST(Loop, RunsOnTheCallersThreadUntilStopped) {
    Loop loop{"test"};
    std::thread::id ran_on;
    loop.post([&] {
        ran_on = std::this_thread::get_id();
        loop.stop();
    });
    loop.run_here();
    EXPECT_EQ(ran_on, std::this_thread::get_id());
    EXPECT_FALSE(loop.on_loop_thread());
}

TEST(Loop, RefusesABlockingCallOnItsOwnThread) {
    Loop loop{"test"};
    loop.start();
    Errc seen = Errc::internal;
    loop.run_blocking(call_back(&loop, &seen));
    EXPECT_EQ(seen, Errc::invalid_argument);
}

TEST(Loop, ItsEndReleasesBlockedCallers) {
    auto loop = std::make_unique<Loop>("test");
    Notifier notifier{loop->executor()};
    loop->start();
    std::promise<void> waiting;
    std::future<Errc> outcome = std::async(std::launch::async, [&, target = loop.get()] {
        try {
            target->run_blocking(announce_and_wait(&waiting, &notifier));
        } catch (const LovageError& error) {
            return error.code();
        }
        return Errc::internal;
    });
    waiting.get_future().get();
    loop.reset();
    EXPECT_EQ(outcome.get(), Errc::closed);
}

}  // namespace
}  // namespace lovage
