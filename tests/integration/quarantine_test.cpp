#include "project.hpp"

#include <lovage/app/app_core.hpp>

namespace lovage::integration {
namespace {

using testing::HasSubstr;

Awaitable<Result<void>> publish(std::shared_ptr<AppCore> core, Message message) {
    if (auto connected = co_await core->connect(soon()); !connected) co_return connected;
    QueueDeclaration queue;
    queue.name = core->settings().task_default_queue;
    if (auto declared = co_await core->broker().declare_queue(queue, soon()); !declared) {
        co_return declared;
    }
    Publication publication;
    publication.routing_key = queue.name;
    publication.message = std::move(message);
    co_return co_await core->broker().publish(std::move(publication), soon());
}

class Quarantine : public Project {
protected:
    /// Puts a message into the default queue that no Lovage client would send.
    void publish_raw(std::string body, Json headers = Json::object()) {
        Message message;
        message.headers = std::move(headers);
        message.body = std::move(body);
        const auto done =
            app_.core()->loop().run_blocking(publish(app_.core(), std::move(message)));
        ASSERT_TRUE(done) << done.error().message();
    }
};

TEST_F(Quarantine, KeepsWhatCannotBeDecodedAndGoesOn) {
    publish_raw("\x80\x05 not a task");
    publish_raw("[[], {}, {}]");
    Process worker = start_worker("worker");
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    stop(worker);

    const Output list = run({"quarantine", "list"});
    EXPECT_EQ(list.ending, Ending{.exit_code = 0}) << list.err;
    EXPECT_THAT(list.out, HasSubstr("undecodable"));
    const QueueStatus left = queue_status();
    EXPECT_EQ(left.ready + left.unsettled, 0U) << "nothing may loop";
}

TEST_F(Quarantine, KeepsAnUnknownTaskAndStoresItsFailure) {
    Process worker = start_worker("worker");
    const auto unknown = app_.send_task("no.such.task", Json::array({1}));
    const TaskMeta meta = unknown.wait(kPatience);
    EXPECT_EQ(meta.status, states::kFailure);
    const auto failure = meta.failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->exc_type, "NotRegistered");
    EXPECT_THAT(failure->exc_message, HasSubstr("no.such.task"));
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    stop(worker);

    const Output list = run({"quarantine", "list"});
    EXPECT_THAT(list.out, HasSubstr("no.such.task"));
    const Output show = run({"quarantine", "show", unknown.id()});
    EXPECT_EQ(show.ending, Ending{.exit_code = 0}) << show.err;
    EXPECT_THAT(show.out, HasSubstr(unknown.id()));
}

TEST_F(Quarantine, ReplaysAMessageToItsQueue) {
    const auto unknown = app_.send_task("no.such.task");
    Process worker = start_worker("worker");
    EXPECT_EQ(unknown.wait(kPatience).status, states::kFailure);
    stop(worker);

    const Output replay = run({"quarantine", "replay", unknown.id()});
    EXPECT_EQ(replay.ending, Ending{.exit_code = 0}) << replay.err;
    EXPECT_EQ(queue_status().ready, 1U);
    const Output dropped = run({"quarantine", "drop", "--all", "--force"});
    EXPECT_EQ(dropped.ending, Ending{.exit_code = 0}) << dropped.err;
}

}  // namespace
}  // namespace lovage::integration
