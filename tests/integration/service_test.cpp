// A worker as a service: what it tells a service manager, its end by each signal, its own port, and
// its life as the first process of a container.
#include "http_client.hpp"
#include "notify_socket.hpp"
#include "project.hpp"

#include <tests/support/soon.hpp>

#include <gmock/gmock.h>

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Service : public Project {};

TEST_F(Service, TellsItsManagerOfItsLife) {
    NotifySocket manager{(folder_.path() / "notify").string()};
    Process worker = start_worker("worker", 2, {{"NOTIFY_SOCKET", manager.name()}});
    ASSERT_TRUE(manager.wait_for("READY=1", soon())) << logs();
    EXPECT_TRUE(manager.wait_for("STATUS=consuming celery: 0 of 2 slots busy", soon()));

    const auto held = send_hold("held");
    EXPECT_TRUE(manager.wait_for("STATUS=consuming celery: 1 of 2 slots busy", soon()));
    worker.signal(SIGTERM);
    EXPECT_TRUE(manager.wait_for("STOPPING=1", soon()));
    EXPECT_TRUE(manager.wait_for("STATUS=stopping: waiting for 1 tasks", soon()));
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    EXPECT_THAT(manager.lines(), Not(Contains("WATCHDOG=1"))) << "nobody asked";
}

TEST_F(Service, FeedsTheWatchdogByAnAbstractSocket) {
    NotifySocket manager{fmt::format("@lovage-test-{}", ::getpid())};
    const std::map<std::string, std::string> environment{{"NOTIFY_SOCKET", manager.name()},
                                                         {"WATCHDOG_USEC", "200000"}};
    Process worker = start_worker("worker", 1, environment);
    ASSERT_TRUE(manager.wait_for("READY=1", soon())) << logs();
    // Also while a task holds the only slot, and while the worker stops.
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(manager.wait_for("WATCHDOG=1", soon()));
    worker.signal(SIGTERM);
    ASSERT_TRUE(manager.wait_for("STOPPING=1", soon()));
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(manager.wait_for("WATCHDOG=1", soon()));
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
}

TEST_F(Service, AStoppedProcessFeedsNoWatchdog) {
    NotifySocket manager{(folder_.path() / "notify").string()};
    Process worker =
        start_worker("worker", 1, {{"NOTIFY_SOCKET", manager.name()}, {"WATCHDOG_USEC", "100000"}});
    ASSERT_TRUE(manager.wait_for("WATCHDOG=1", soon())) << logs();
    worker.signal(SIGSTOP);
    while (manager.wait_for("", Deadline::in(200ms))) {
    }
    worker.signal(SIGCONT);
    EXPECT_TRUE(manager.wait_for("WATCHDOG=1", soon()));
    stop(worker);
}

TEST_F(Service, AWatchdogForAnotherProcessIsLeftAlone) {
    NotifySocket manager{(folder_.path() / "notify").string()};
    Process worker = start_worker(
        "worker", 1,
        {{"NOTIFY_SOCKET", manager.name()}, {"WATCHDOG_USEC", "1000"}, {"WATCHDOG_PID", "1"}});
    ASSERT_TRUE(manager.wait_for("READY=1", soon())) << logs();
    stop(worker);
    EXPECT_FALSE(manager.wait_for("WATCHDOG=1", Deadline::in(0s)));
}

TEST_F(Service, AManagerThatIsNotThereIsNoReasonNotToServe) {
    for (const char* name : {"relative", "/nowhere/notify"}) {
        Process worker = start_worker("worker", 1, {{"NOTIFY_SOCKET", name}});
        EXPECT_EQ(send_work("done").wait(kPatience).status, states::kSuccess);
        stop(worker);
        EXPECT_THAT(log_of("worker"),
                    HasSubstr(fmt::format("NOTIFY_SOCKET={} cannot be used", name)));
    }
}

// SIGQUIT.

TEST_F(Service, SigquitWaitsForNothingAndReturnsWhatRan) {
    Process worker = start_worker("first", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGQUIT);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_THAT(log_of("first"), HasSubstr("Cold shutdown: 1 running tasks are given back"));
    EXPECT_EQ(queue_status().ready, 1U);

    ledger_.open_gate("held");
    Process other = start_worker("other", 1);
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
}

TEST_F(Service, ASoftShutdownGivesRunningTasksTheirTime) {
    Process worker = start_worker("first", 1, {{"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT", "60"}});
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGQUIT);
    EXPECT_FALSE(worker.wait(Deadline::in(200ms)));
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("start", "held"), 1U);
}

TEST_F(Service, ASoftShutdownEndsWithItsTime) {
    Process worker = start_worker("first", 1, {{"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT", "0.3"}});
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGQUIT);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_EQ(queue_status().ready, 1U);
}

TEST_F(Service, SigtermCanBeRemappedToSigquit) {
    Process worker = start_worker("first", 1, {{"REMAP_SIGTERM", "SIGQUIT"}});
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_THAT(log_of("first"), HasSubstr("Cold shutdown"));
}

// The worker's own port.

TEST_F(Service, ServesHealthAndMetricsOnItsOwnPort) {
    Process worker = start("worker", {"worker", "-c", "2", "--health-port", "0"});
    EXPECT_EQ(send_work("done").wait(kPatience).status, states::kSuccess);
    const std::uint16_t port = own_port("worker");
    ASSERT_NE(port, 0) << logs();

    EXPECT_EQ(http_request(port, "GET", "/health/live", "", soon()).status, 200);
    EXPECT_EQ(http_request(port, "GET", "/health/ready", "", soon()).status, 200);
    EXPECT_EQ(http_request(port, "GET", "/nothing", "", soon()).status, 404);
    const HttpReply metrics = http_request(port, "GET", "/metrics", "", soon());
    EXPECT_EQ(metrics.status, 200);
    EXPECT_THAT(metrics.body,
                HasSubstr(R"(lovage_tasks_total{outcome="success",task="ledger.work"} 1)"));
    EXPECT_THAT(metrics.body, HasSubstr("lovage_worker_slots 2\n"));

    // While it finishes its tasks it is alive, but not ready.
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGTERM);
    const Deadline deadline = soon();
    int ready = 200;
    while (ready == 200 && !deadline.passed()) {
        ready = http_request(port, "GET", "/health/ready", "", deadline).status;
    }
    EXPECT_EQ(ready, 503);
    EXPECT_EQ(http_request(port, "GET", "/health/live", "", soon()).status, 200);
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
}

TEST_F(Service, IsNotReadyWhileNoSlotCanBeStarted) {
    const std::string needed = (folder_.path() / "needed").string();
    Process worker =
        start("worker", {"worker", "-c", "2", "--health-port", "0"}, {{"TEST_SLOTS_NEED", needed}});
    const auto waits = send_work("waits");
    ASSERT_TRUE(eventually([&] { return own_port("worker") != 0; }, soon())) << logs();
    const std::uint16_t port = own_port("worker");
    const auto ready = [&] { return http_request(port, "GET", "/health/ready", "", soon()); };
    EXPECT_TRUE(eventually([&] { return ready().body.contains("no slot can be started"); }, soon()))
        << logs();
    EXPECT_EQ(ready().status, 503);
    EXPECT_EQ(http_request(port, "GET", "/health/live", "", soon()).status, 200);

    std::ofstream{needed} << "back";
    EXPECT_EQ(waits.wait(kPatience).status, states::kSuccess) << logs();
    EXPECT_EQ(ready().status, 200);
    stop(worker);
}

TEST_F(Service, ATakenPortIsNamed) {
    Process first = start("first", {"worker", "-c", "1", "--health-port", "0"});
    EXPECT_EQ(send_work("done").wait(kPatience).status, states::kSuccess);
    const std::string port = std::to_string(own_port("first"));
    ASSERT_NE(port, "0") << logs();
    const Output second = run({"worker", "-c", "1", "--health-port", port});
    EXPECT_EQ(second.ending.exit_code, 1);
    EXPECT_THAT(second.err, HasSubstr(port));
    EXPECT_THAT(second.err, HasSubstr("--health-port"));
    stop(first);
}

// The first process of a container.

/// What /proc says of a process's children.
struct Child {
    pid_t pid;
    std::string name;
};
std::vector<Child> children_of(pid_t parent) {
    std::vector<Child> children;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
        const std::string pid = entry.path().filename().string();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file{entry.path() / "stat"};
        std::string text;
        std::getline(file, text);
        const std::size_t open = text.find('(');
        const std::size_t close = text.rfind(')');
        if (open == std::string::npos || close == std::string::npos) continue;
        if (std::stol(text.substr(close + 4)) != parent) continue;
        children.push_back({std::stoi(pid), text.substr(open + 1, close - open - 1)});
    }
    return children;
}

class Container : public Service {
protected:
    void SetUp() override {
        Process probe{{.arguments = in_namespace({"/bin/true"}),
                       .environment = {},
                       .folder = folder_.path(),
                       .output = folder_.path() / "probe.out",
                       .errors = folder_.path() / "probe.err"}};
        if (probe.wait(soon()) != Ending{.exit_code = 0}) {
            GTEST_SKIP() << "this system forbids namespaces: unshare fails";
        }
    }

    static std::vector<std::string> in_namespace(std::vector<std::string> command) {
        std::vector<std::string> arguments{
            "/usr/bin/unshare", "--user",       "--map-root-user", "--pid",
            "--fork",           "--mount-proc", "--kill-child"};
        arguments.insert(arguments.end(), command.begin(), command.end());
        return arguments;
    }
    /// Runs ledger_app as the first process of a namespace; its own process number there is 1.
    [[nodiscard]] Process start_first(const std::string& name, std::vector<std::string> command) {
        command.insert(command.begin(), LOVAGE_LEDGER_APP);
        return start_program(name, in_namespace(std::move(command)));
    }
    /// The process number, seen from here, of what `unshare` has started.
    [[nodiscard]] static pid_t first_process(const Process& unshare) {
        const Deadline deadline = soon();
        while (!deadline.passed()) {
            for (const Child& child : children_of(unshare.pid())) {
                if (child.name != "unshare") return child.pid;
            }
            ::poll(nullptr, 0, 5);
        }
        throw std::runtime_error{"unshare has started nothing"};
    }
    /// Waits until the process has a child of that name, or none.
    [[nodiscard]] static bool wait_for_child(pid_t parent, const std::string& name, bool there) {
        const Deadline deadline = soon();
        while (!deadline.passed()) {
            const auto children = children_of(parent);
            if ((std::ranges::find(children, name, &Child::name) != children.end()) == there)
                return true;
            ::poll(nullptr, 0, 5);
        }
        return false;
    }
};

TEST_F(Container, AWorkerStopsAtSigtermAndWaitsForOrphans) {
    Process unshare = start_first("worker", {"worker", "-c", "1"});
    const pid_t worker = first_process(unshare);
    app_.send_task("ledger.orphan", Json::array({"3"}));
    ASSERT_TRUE(wait_for_child(worker, "sleep", true)) << logs();
    EXPECT_TRUE(wait_for_child(worker, "sleep", false)) << "it is a zombie for ever";
    EXPECT_EQ(send_work("done").wait(kPatience).status, states::kSuccess);
    ::kill(worker, SIGTERM);
    EXPECT_EQ(unshare.wait(soon()), Ending{.exit_code = 0}) << logs();
}

TEST_F(Container, EverySlotThatDiesIsExplainedAllTheSame) {
    Process unshare = start_first("worker", {"worker", "-c", "1"});
    const pid_t worker = first_process(unshare);
    app_.send_task("ledger.misbehave", Json::array({"exit", "gone"}));
    // Its exit status reached the pool and not the reaper.
    const Deadline deadline = soon();
    while (log_of("worker").find("exit code 7") == std::string::npos && !deadline.passed()) {
        ::poll(nullptr, 0, 5);
    }
    EXPECT_THAT(log_of("worker"), HasSubstr("exit code 7"));
    ::kill(worker, SIGTERM);
    EXPECT_EQ(unshare.wait(soon()), Ending{.exit_code = 0}) << logs();
}

TEST_F(Container, ACommandThatWaitsEndsAtSigterm) {
    Process unshare = start_first("result", {"result", "nobody-sent-this", "-t", "600"});
    const pid_t command = first_process(unshare);
    // The first may come before the program has begun; the kernel drops it then.
    std::optional<Ending> ending;
    for (const Deadline deadline = soon(); !ending && !deadline.passed();) {
        ::kill(command, SIGTERM);
        ending = unshare.wait(Deadline::in(20ms));
    }
    EXPECT_EQ(ending, Ending{.exit_code = 128 + SIGTERM}) << logs();
}

}  // namespace
}  // namespace lovage::integration
