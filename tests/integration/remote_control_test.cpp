// Asking workers over the embedded broker and over RabbitMQ; nodes that answer are fakes.
#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/integration/both_brokers.hpp>
#include <tests/support/fake_node.hpp>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

constexpr auto kLong = 60s;  // a bound for what must end before

std::vector<Json> pong(const ControlRequest& /*request*/) {
    return {Json::object({{"ok", "pong"}})};
}

class RemoteControlOver : public BothBrokers {
protected:
    /// The broker's queues as another program sees them.
    std::vector<std::string> queues() {
        if (vhost_) return rabbitmq_queues();
        App other{"other", settings_};
        const auto list = [](std::shared_ptr<AppCore> core) -> Awaitable<std::vector<std::string>> {
            value_or_throw(co_await core->connect_broker(Deadline::in(kLong)));
            co_return value_or_throw(co_await core->broker().list_queues(Deadline::in(kLong)));
        };
        return other.core()->loop().run_blocking(list(other.core()));
    }

    std::vector<std::string> rabbitmq_queues() {
        const std::string reply = vhost_->api("GET", "queues/{vhost}?columns=name");
        std::vector<std::string> names;
        for (const Json& queue : parse_json(reply.substr(reply.find('['))).value().as_array()) {
            names.push_back(queue.find("name")->as_string());
        }
        std::ranges::sort(names);
        return names;
    }

    App asking_{"asking", settings_};
    App answering_{"answering", settings_};
};

LOVAGE_ON_BOTH_BROKERS(RemoteControlOver);

TEST_P(RemoteControlOver, RepliesOfSeveralNodesComeTogether) {
    const FakeNode one{answering_, "one@h", pong};
    const FakeNode two{answering_, "two@h", pong};
    EXPECT_THAT(asking_.control().broadcast(control::ping(), {.timeout = kLong, .limit = 2}),
                ElementsAre(Key("one@h"), Key("two@h")));
    EXPECT_THAT(
        asking_.control().broadcast(control::ping(), {.destination = {"two@h"}, .timeout = kLong}),
        ElementsAre(Key("two@h")));
}

TEST_P(RemoteControlOver, NobodyIsWaitedForWhereNobodyListens) {
    EXPECT_THAT(asking_.control().broadcast(control::ping(), {.timeout = kLong}), IsEmpty());
    {
        const FakeNode gone{answering_, "gone@h", pong};
    }
    EXPECT_THAT(asking_.control().broadcast(control::ping(), {.timeout = kLong}), IsEmpty());
}

TEST_P(RemoteControlOver, OneQueueIsKeptForRepliesAndNoneIsLeftBehind) {
    const FakeNode node{answering_, "one@h", pong};
    for (int i = 0; i < 3; ++i) {
        (void)asking_.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1});
    }
    (void)asking_.control().broadcast(control::ping(),
                                      {.destination = {"nobody@h"}, .timeout = 50ms});
    {
        App another{"another", settings_};
        (void)another.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1});
    }
    EXPECT_THAT(queues(),
                UnorderedElementsAre("one@h.celery.pidbox", EndsWith(".reply.celery.pidbox")));
}

TEST_P(RemoteControlOver, ResultsNeedNotBeInReach) {
    const FakeNode node{answering_, "one@h", pong};
    Settings settings = settings_;
    settings.result_backend = "redis://127.0.0.1:1/0";  // nobody serves that port
    App asking{"asking", settings};
    EXPECT_THAT(asking.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1}),
                ElementsAre(Key("one@h")));
}

TEST_P(RemoteControlOver, AReplyOfMebibytesArrives) {
    const std::string text(std::size_t{3} << 20U, 'x');
    const FakeNode node{answering_, "one@h",
                        [&](const ControlRequest&) { return std::vector{Json{text}}; }};
    const NodeReplies replies =
        asking_.control().broadcast(control::inspect("active"), {.timeout = kLong, .limit = 1});
    EXPECT_TRUE(replies.at("one@h") == Json{text});
}

}  // namespace
}  // namespace lovage::integration
