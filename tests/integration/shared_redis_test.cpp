// Two stacks that keep their results in one Redis database, apart by Celery's global_keyprefix.

#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/core/uuid.hpp>
#include <tests/support/soon.hpp>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class SharedRedis : public testing::Test {
protected:
    SharedRedis() { register_default_drivers(); }

    Settings settings(const std::string& prefix) const {
        Settings settings;
        settings.broker_url = "memory://" + uuid4();
        settings.result_backend = "redis+socket://" + server_.options().socket_path;
        settings.result_backend_transport_options.global_keyprefix = prefix;
        return settings;
    }
    /// Leaves a result, a revocation and a chord that a sweeper would end.
    static Awaitable<void> leave_traces(std::shared_ptr<AppCore> core) {
        const Deadline deadline = soon();
        value_or_throw(co_await core->connect(deadline));
        ResultBackend& results = core->results();
        TaskMeta meta;
        meta.task_id = "task";
        meta.status = states::kSuccess;
        value_or_throw(co_await results.store(meta, deadline));
        value_or_throw(co_await core->client().revoke("another", {}, deadline));
        value_or_throw(co_await results.start_chord(
            {"chord", 1, {}, Json::raw(R"({"body": {}, "root_id": "", "members": null})")},
            deadline));
        value_or_throw(
            co_await results.add_chord_part({"chord", 0, "part", "SUCCESS", 1}, deadline));
    }
    static Awaitable<std::vector<UnfinishedChord>> look(std::shared_ptr<AppCore> core) {
        value_or_throw(co_await core->connect(soon()));
        co_return value_or_throw(
            co_await core->results().look_at_chords({.every = 1h, .quiet = 0ms}, soon()));
    }
    std::vector<std::string> keys() const {
        std::istringstream lines{server_.cli("keys '*'")};
        std::vector<std::string> keys;
        for (std::string key; std::getline(lines, key);) keys.push_back(key);
        return keys;
    }

    redis::TestServer server_;
};

TEST_F(SharedRedis, StacksWithPrefixesOfTheirOwnDoNotMeet) {
    App shop{"same-name", settings("shop")};
    App bank{"same-name", settings("bank:")};
    shop.core()->loop().run_blocking(leave_traces(shop.core()));
    EXPECT_THAT(keys(), Each(StartsWith("shop_")));
    EXPECT_FALSE(keys().empty());
    EXPECT_THAT(bank.core()->loop().run_blocking(look(bank.core())), IsEmpty());
    EXPECT_EQ(bank.async_result("task").state(), "PENDING");
    EXPECT_EQ(shop.async_result("task").state(), "SUCCESS");
    EXPECT_THAT(shop.core()->loop().run_blocking(look(shop.core())), SizeIs(1));
}

TEST_F(SharedRedis, WithoutPrefixesOneLooksAfterTheChordsOfTheOther) {
    App shop{"same-name", settings("")};
    App bank{"same-name", settings("")};
    shop.core()->loop().run_blocking(leave_traces(shop.core()));
    EXPECT_THAT(bank.core()->loop().run_blocking(look(bank.core())), SizeIs(1));
}

}  // namespace
}  // namespace lovage::integration
