#include "project.hpp"

#include <lovage/core/uuid.hpp>
#include <tests/support/soon.hpp>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace lovage::integration {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Command = Project;

std::string without_newline(std::string text) {
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

TEST_F(Command, CallPrintsAnIdAndResultItsValue) {
    Process worker = start_worker("worker");
    const Output call = run({"call", "ledger.add", "-a", "[40]", "-k", R"({"y": 2})"});
    ASSERT_EQ(call.ending, Ending{.exit_code = 0}) << call.err;
    const std::string id = without_newline(call.out);
    EXPECT_TRUE(is_uuid(id)) << id;

    const Output result = run({"result", id, "-t", "60"});
    EXPECT_EQ(result.ending, Ending{.exit_code = 0}) << result.err;
    EXPECT_EQ(result.out, "42\n");
    stop(worker);
}

TEST_F(Command, ResultOfAFailedTaskIsItsFailure) {
    Process worker = start_worker("worker");
    const Output call = run({"call", "ledger.refuse", "-a", R"(["not today"])"});
    const Output result = run({"result", without_newline(call.out), "-t", "60"});
    EXPECT_EQ(result.ending, Ending{.exit_code = 1});
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr("ValueError: not today"));
    stop(worker);
}

TEST_F(Command, AWrongArgumentIsAFailureThatNamesIt) {
    Process worker = start_worker("worker");
    const Output call = run({"call", "ledger.add", "-a", R"(["forty"])"});
    const Output result = run({"result", without_newline(call.out), "-t", "60"});
    EXPECT_EQ(result.ending, Ending{.exit_code = 1});
    EXPECT_THAT(result.err, HasSubstr("TypeError"));
    EXPECT_THAT(result.err, HasSubstr("x"));
    stop(worker);
}

TEST_F(Command, ResultGivesUpAtItsTimeout) {
    send_work("makes the files");
    const Output result = run({"result", "nobody", "-t", "1"});
    EXPECT_EQ(result.ending, Ending{.exit_code = 1});
    EXPECT_THAT(result.err, HasSubstr("nobody"));
}

TEST_F(Command, StatusAndPurgeTellWhatIsQueued) {
    for (const auto* const key : {"a", "b", "c"}) send_work(key);
    const Output status = run({"status", "--json"});
    ASSERT_EQ(status.ending, Ending{.exit_code = 69}) << status.err;  // no worker runs
    const auto report = parse_json(status.out);
    ASSERT_TRUE(report) << status.out;
    const Json& queue = report->find("queues")->as_array().at(0);
    EXPECT_EQ(*queue.find("name"), Json{"celery"});
    EXPECT_EQ(*queue.find("ready"), Json{3});

    const Output purge = run({"purge", "--force"});
    EXPECT_EQ(purge.ending, Ending{.exit_code = 0}) << purge.err;
    EXPECT_THAT(purge.out, HasSubstr("3 messages"));
    EXPECT_EQ(queue_status().ready, 0U);
}

TEST_F(Command, InspectControlAndStatusReachAWorker) {
    Process worker = start_worker("worker");
    // A worker consumes a moment before its mailbox is there.
    const Deadline patience = soon();
    Output ping = run({"inspect", "ping", "--json"});
    while (ping.ending.exit_code != 0 && !patience.passed()) ping = run({"inspect", "ping", "-j"});
    ASSERT_EQ(ping.ending, Ending{.exit_code = 0}) << ping.err;
    const auto nodes = parse_json(ping.out);
    ASSERT_TRUE(nodes && nodes->is_object()) << ping.out;
    const std::string node = nodes->as_object().front().first;

    const Output registered = run({"inspect", "registered", "-d", node, "-t", "60"});
    EXPECT_THAT(registered.out, HasSubstr("ledger.add"));
    const Output limited = run({"control", "rate_limit", "ledger.add", "5/m", "-d", node});
    EXPECT_EQ(limited.ending, Ending{.exit_code = 0}) << limited.out << limited.err;
    EXPECT_THAT(limited.out, HasSubstr("new rate limit set successfully"));
    const Output status = run({"status"});
    EXPECT_EQ(status.ending, Ending{.exit_code = 0}) << status.err;
    EXPECT_THAT(status.out, HasSubstr(node + "  pong"));

    const Output told = run({"control", "shutdown", "-d", node, "-t", "60"});
    EXPECT_EQ(told.ending, Ending{.exit_code = 0}) << told.err;
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0});
}

/// The executable `lovage`, which knows none of the tasks.
class LovageProgram : public Project {
protected:
    Output lovage(std::vector<std::string> command) {
        command.insert(command.begin(), LOVAGE_PROGRAM);
        const std::string name = "lovage-" + std::to_string(++runs_);
        Process process = start_program(name, std::move(command));
        const auto ending = process.wait(soon());
        EXPECT_TRUE(ending) << "the command did not end";
        return {.ending = ending.value_or(Ending{}),
                .out = text_of(name + ".out"),
                .err = text_of(name + ".err")};
    }

private:
    [[nodiscard]] std::string text_of(const std::string& name) const {
        std::ifstream stream{folder_.path() / name, std::ios::binary};
        return {std::istreambuf_iterator<char>{stream}, {}};
    }

    int runs_ = 0;
};

TEST_F(LovageProgram, DrawsAWorkflowOfAnotherProgram) {
    Process worker = start_worker("worker");
    const std::string root = uuid4();
    const auto first = app_.signature("ledger.add", 1, 1).set({.task_id = root});
    const auto chain = first | app_.signature("ledger.add", 10) | app_.signature("ledger.add", 100);
    EXPECT_EQ(chain.delay().get(kPatience), Json{112});
    stop(worker);

    const Output drawn = lovage({"graph", root});
    EXPECT_EQ(drawn.ending, Ending{.exit_code = 0}) << drawn.err;
    EXPECT_THAT(drawn.out, StartsWith("digraph workflow {"));
    const Output told = lovage({"graph", root, "--format", "json"});
    const auto graph = parse_json(told.out);
    ASSERT_TRUE(graph && graph->find("nodes")) << told.out;
    const Json::Array& nodes = graph->find("nodes")->as_array();
    EXPECT_EQ(nodes.size(), 3U);
    for (const Json& node : nodes) EXPECT_EQ(*node.find("state"), Json{"SUCCESS"});
}

TEST_F(LovageProgram, StartsNoWorker) {
    const Output refused = lovage({"worker"});
    EXPECT_EQ(refused.ending, Ending{.exit_code = 2});
    EXPECT_THAT(refused.err, HasSubstr("has no tasks to run"));
}

TEST_F(Command, AWorkerSaysWhatIsWrongWithItsOptions) {
    const Output wrong = run({"worker", "--concurency", "2"});
    EXPECT_EQ(wrong.ending, Ending{.exit_code = 2});
    EXPECT_THAT(wrong.err, HasSubstr("--concurrency"));
    EXPECT_THAT(wrong.out, IsEmpty());
}

}  // namespace
}  // namespace lovage::integration
