// The project stack as its users run it: the real programs, HTTP over sockets, SQLite files between
// them.
#include "http_client.hpp"
#include "notify_socket.hpp"
#include "process.hpp"
#include "stopped_process.hpp"

#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/runtime/deadline.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using Environment = std::map<std::string, std::string>;

/// Only a hang takes that long.
constexpr std::chrono::seconds kPatience{20};
Deadline soon() {
    return Deadline::in(kPatience);
}

const std::string kMultiplication = "/v1/celery-worker/integer-multiplication/";
const std::string kSum = "/v1/celery-worker/integers-sum/";

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream{file, std::ios::binary};
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

/// What `file` says once `text` is in it, looking again whenever something is written; what it says
/// at the deadline otherwise.
std::string wait_for_text(const std::filesystem::path& file, const std::string& text,
                          Deadline deadline) {
    const int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (inotify_add_watch(changes, file.c_str(), IN_MODIFY) < 0) {
        ADD_FAILURE() << "cannot watch " << file;
    }
    std::string all;
    while (!(all = text_of(file)).contains(text) && !deadline.passed()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
        pollfd changed{.fd = changes, .events = POLLIN, .revents = 0};
        poll(&changed, 1, static_cast<int>(left.count()));
        std::array<char, 4096> events;
        while (::read(changes, events.data(), events.size()) > 0) {
        }
    }
    close(changes);
    return all;
}

std::string id_in(const HttpReply& reply) {
    const Json json = reply.json();
    const Json* id = json.find("taskId");
    if (id == nullptr) throw std::runtime_error{"no taskId: " + shown(reply)};
    return id->as_string();
}

/// A folder where API and workers run; they find each other there, in `.lovage`.
class Stack : public testing::Test {
protected:
    // Whatever our children leave behind becomes our child, and is noticed in the destructor.
    Stack() { prctl(PR_SET_CHILD_SUBREAPER, 1); }
    ~Stack() override {
        if (HasFailure()) show_logs();
        EXPECT_TRUE(all_children_ended()) << "a process was left behind";
    }

    /// Its output goes to `name`.out and `name`.err.
    Process start(const std::string& name, std::vector<std::string> arguments,
                  Environment environment = {}) {
        const std::string store = "sqlite:///" + (folder_.path() / ".lovage").string();
        environment.insert({{"LOVAGE_BROKER_URL", store},
                            {"LOVAGE_RESULT_BACKEND", store},
                            {"LOVAGE_LOG_FORMAT", "text"},
                            {"CELERY_TASK_READY_TIME_OUT", std::to_string(kPatience.count())},
                            {"CELERY_TASK_RESULT_TIME_OUT", std::to_string(kPatience.count())}});
        return Process{{.arguments = std::move(arguments),
                        .environment = std::move(environment),
                        .folder = folder_.path(),
                        .output = file(name + ".out"),
                        .errors = file(name + ".err")}};
    }
    /// Returns once it listens, and the port it says it has is `port_`.
    Process start_api(Environment environment = {}) {
        Process api = start("api", {PROJECT_API, "--port", "0"}, std::move(environment));
        read_port(wait_for_text(file("api.err"), " listens on http://", soon()));
        return api;
    }
    Process start_worker(const std::string& name) {
        return start(name, {PROJECT_WORKER, "worker", "-Q", "project-worker", "-n", name + "@%h",
                            "-c", "1"});
    }
    void stop(Process& process) {
        process.signal(SIGTERM);
        EXPECT_EQ(process.wait(soon()), Ending{.exit_code = 0});
    }

    /// Finds "http://127.0.0.1:PORT".
    void read_port(const std::string& text) {
        const std::string_view before = "http://127.0.0.1:";
        const auto found = text.find(before);
        port_ = 0;
        if (found != std::string::npos) {
            std::from_chars(text.data() + found + before.size(), text.data() + text.size(), port_);
        }
        ASSERT_NE(port_, 0) << "no URL in: " << text;
    }

    HttpReply get(const std::string& path) const {
        return http_request(port_, "GET", path, "", soon());
    }
    HttpReply post(const std::string& path, const std::string& body = {}) const {
        return http_request(port_, "POST", path, body, soon());
    }
    /// Sends an integer to be doubled and returns the task's id.
    std::string send(int integer) const {
        return id_in(post(fmt::format("{}async/?integer={}", kMultiplication, integer)));
    }
    std::string state_of(const std::string& id) const {
        const Json json = get("/v1/tasks/" + id).json();
        const Json* state = json.find("taskStatus");
        return state == nullptr ? "" : state->as_string();
    }
    /// Waits for the result and leaves it where it is.
    std::string result_of(const std::string& id) const {
        return shown(get("/v1/tasks/" + id + "/result/?forgetRetrievedResult=false"));
    }

    [[nodiscard]] std::filesystem::path file(const std::string& name) const {
        return folder_.path() / name;
    }
    void show_logs() const {
        for (const auto& entry : std::filesystem::directory_iterator{folder_.path()}) {
            if (!entry.is_regular_file()) continue;
            fmt::print(stderr, "--- {}\n{}\n", entry.path().filename().string(),
                       text_of(entry.path()));
        }
    }

    sqlite::TestFolder folder_;
    std::uint16_t port_ = 0;
};

TEST_F(Stack, AnswersWithWhatAnotherProcessComputed) {
    Process worker = start_worker("worker");
    Process api = start_api();
    EXPECT_EQ(shown(get("/health/ready")),
              R"(200 {"status":"ok","checks":{"broker":"ok","results":"ok"}})");

    EXPECT_EQ(shown(post(kMultiplication + "?integer=21")), "200 42");
    EXPECT_EQ(shown(post(kMultiplication, R"({"integer": 21})")), "200 42");
    EXPECT_EQ(shown(post(kMultiplication + "?integer=" + std::string(300, '9'))),
              "200 1" + std::string(299, '9') + "8");
    EXPECT_EQ(shown(post(kSum + "?integers=1&integers=2&integers=39")), "200 42");
    EXPECT_EQ(shown(post(kSum, R"({"integers": [40, 2]})")), "200 42");
    stop(api);
    stop(worker);
}

TEST_F(Stack, HandsTheResultOfAnAsyncTaskOutUntilItIsForgotten) {
    Process worker = start_worker("worker");
    Process api = start_api();
    const auto sent = post(kMultiplication + "async/?integer=21");
    EXPECT_THAT(shown(sent), MatchesRegex(R"(200 \{"taskId":"[0-9a-f-]{36}"\})"));
    const auto id = id_in(sent);

    EXPECT_EQ(result_of(id), "200 42");
    EXPECT_EQ(shown(get("/v1/tasks/" + id)),
              R"(200 {"taskId":")" + id + R"(","taskStatus":"SUCCESS"})");
    EXPECT_EQ(shown(get("/v1/tasks/" + id + "/result/")), "200 42");
    const auto unknown = "404 {\"detail\":\"Task '" + id + "' is unknown.\"}";
    EXPECT_EQ(shown(get("/v1/tasks/" + id + "/result/")), unknown);
    EXPECT_EQ(shown(get("/v1/tasks/" + id)), unknown);
    stop(api);
    stop(worker);
}

TEST_F(Stack, RefusesWhatIsWrongWithEverythingThatIsWrong) {
    Process api = start_api();
    const auto refused = post(kMultiplication + "?integer=x&wait=-1");
    EXPECT_EQ(refused.status, 422);
    const Json json = refused.json();
    EXPECT_EQ(json.find("detail")->as_array().size(), 2U);
    EXPECT_THAT(refused.body, AllOf(HasSubstr("int_parsing"), HasSubstr("greater_than_equal")));

    EXPECT_EQ(get("/v1/tasks/3fa85f64-5717-4562-b3fc-2c963f66afa6").status, 404);
    EXPECT_EQ(get("/v1/tasks/3fa85f64-5717-4562-b3fc-2c963f66afa6/result/").status, 404);
    stop(api);
}

TEST_F(Stack, SaysWhereTheResultWillBeWhenTheClientDoesNotWait) {
    Process api = start_api();
    const auto accepted = post(kMultiplication + "?integer=21&wait=0");
    ASSERT_EQ(accepted.status, 202) << accepted.body;
    const auto id = id_in(accepted);
    const auto& location = accepted.fields.at("location");
    EXPECT_EQ(location, "/v1/tasks/" + id);
    EXPECT_EQ(shown(get(location)), R"(200 {"taskId":")" + id + R"(","taskStatus":"PENDING"})");

    // It is sent all the same: the first worker that comes does it.
    Process worker = start_worker("worker");
    EXPECT_EQ(result_of(id), "200 42");
    stop(api);
    stop(worker);
}

TEST_F(Stack, AWorkerThatComesAfterTheTimeOutDoesNotRunTheTask) {
    Process api = start_api({{"CELERY_TASK_READY_TIME_OUT", "0.3"}});
    const auto late = post(kMultiplication + "?integer=21");
    ASSERT_THAT(shown(late),
                testing::StartsWith("408 {\"detail\":\"Timeout (0.3s) exceed - Task '"));
    const auto id = late.body.substr(late.body.find('\'') + 1, 36);
    EXPECT_EQ(state_of(id), "REVOKED");

    // One slot, first in, first out: when the second task is done the first has been dealt with.
    const auto next = send(1);
    Process worker = start_worker("worker");
    EXPECT_EQ(result_of(next), "200 2");
    const auto discarded = fmt::format("Discarding revoked task: integer-multiplication[{}]", id);
    EXPECT_THAT(wait_for_text(file("worker.err"), discarded, soon()), HasSubstr(discarded));
    EXPECT_EQ(state_of(id), "REVOKED");
    stop(worker);
    EXPECT_THAT(text_of(file("worker.err")),
                AllOf(HasSubstr(next + "] succeeded"), Not(HasSubstr(id + "] succeeded"))));
    stop(api);
}

TEST_F(Stack, ASecondWorkerFinishesWhatAKilledOneLeft) {
    Process api = start_api();
    Process first = start_worker("first");
    EXPECT_THAT(wait_for_text(file("first.err"), " ready.", soon()), HasSubstr(" ready."));
    // Stopped, it cannot be faster than our sending; afterwards it is killed with its hands full.
    stop_outside_a_transaction(first, folder_.path() / ".lovage");
    constexpr int kTasks = 100;
    std::vector<std::string> ids;
    for (int integer = 0; integer < kTasks; ++integer) ids.push_back(send(integer));
    first.signal(SIGCONT);
    EXPECT_THAT(wait_for_text(file("first.err"), "] received", soon()), HasSubstr("] received"));
    first.kill();

    // At least this one waits when the second worker comes.
    ids.push_back(send(kTasks));
    EXPECT_EQ(state_of(ids.back()), "PENDING");
    Process second = start_worker("second");
    for (int integer = 0; integer <= kTasks; ++integer) {
        EXPECT_EQ(result_of(ids[static_cast<std::size_t>(integer)]),
                  fmt::format("200 {}", 2 * integer));
    }
    stop(second);
    EXPECT_THAT(text_of(file("second.err")), HasSubstr(ids.back() + "] succeeded"));
    stop(api);
}

TEST_F(Stack, TheApiTellsItsServiceManagerOfItsLife) {
    NotifySocket manager{file("notify")};
    Process api = start_api({{"NOTIFY_SOCKET", manager.name()}, {"WATCHDOG_USEC", "200000"}});
    EXPECT_TRUE(manager.wait_for("READY=1", soon()));
    EXPECT_TRUE(
        manager.wait_for(fmt::format("STATUS=serving at http://127.0.0.1:{}", port_), soon()));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(manager.wait_for("WATCHDOG=1", soon()));
    stop(api);
    EXPECT_TRUE(manager.wait_for("STOPPING=1", soon()));
}

TEST_F(Stack, NamesWhoHoldsATakenPort) {
    Process api = start_api();
    const auto port = std::to_string(port_);
    for (const std::string program : {PROJECT_API, PROJECT_DEMO}) {
        const auto name = std::filesystem::path{program}.filename().string();
        Process refused = start(name, {program, "--port", port});
        EXPECT_EQ(refused.wait(soon()), Ending{.exit_code = 2});
        EXPECT_THAT(text_of(file(name + ".err")),
                    AllOf(HasSubstr("127.0.0.1:" + port),
                          HasSubstr(fmt::format("process {} (project-api)", api.pid())),
                          HasSubstr("--port")));
    }
    stop(api);
}

TEST_F(Stack, TheDemoIsAllOfItInOneProcess) {
    Process demo = start("demo", {PROJECT_DEMO, "--port", "0"});
    // The banner, then one call of each task; this is the last.
    const std::string last = "ValueError: this task always fails";
    const auto output = wait_for_text(file("demo.out"), last, soon());
    EXPECT_THAT(output, AllOf(HasSubstr("documentation   http://127.0.0.1:"), HasSubstr("→ 42"),
                              HasSubstr(last)));
    ASSERT_NO_FATAL_FAILURE(read_port(output));
    EXPECT_EQ(shown(post(kMultiplication + "?integer=21")), "200 42");
    EXPECT_EQ(get("/health/ready").status, 200);
    stop(demo);
}

}  // namespace
}  // namespace lovage::integration
