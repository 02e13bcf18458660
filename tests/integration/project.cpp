#include "project.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include <sys/prctl.h>
#include <sys/wait.h>

namespace lovage::integration {
namespace {

Settings settings_for(const std::filesystem::path& folder) {
    Settings settings;
    settings.broker_url = "sqlite:///" + (folder / "store").string();
    settings.result_backend = settings.broker_url;
    return settings;
}

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream{file, std::ios::binary};
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

Awaitable<Result<QueueStatus>> ask_queue_status(std::shared_ptr<AppCore> core) {
    if (auto connected = co_await core->connect(soon()); !connected) {
        co_return std::unexpected(connected.error());
    }
    co_return co_await core->broker().queue_status(core->settings().task_default_queue, soon());
}

}  // namespace

Project::Project() : app_{"integration", settings_for(folder_.path())} {
    register_default_drivers();
    // Whatever our children leave behind becomes our child, and is noticed in the destructor.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Project::~Project() {
    if (HasFailure()) std::fputs(logs().c_str(), stderr);
    EXPECT_TRUE(all_children_ended()) << "a process was left behind";
}

Process Project::start(const std::string& name, std::vector<std::string> arguments,
                       std::map<std::string, std::string> environment) {
    arguments.insert(arguments.begin(), LOVAGE_LEDGER_APP);
    return start_program(name, std::move(arguments), std::move(environment));
}

Process Project::start_program(const std::string& name, std::vector<std::string> command,
                               std::map<std::string, std::string> environment) {
    const Settings& settings = app_.settings();
    environment.insert({{"LOVAGE_BROKER_URL", settings.broker_url},
                        {"LOVAGE_RESULT_BACKEND", settings.result_backend},
                        {"LOVAGE_LOG_FORMAT", "text"},
                        {"LOVAGE_WORKER_INFLIGHT_FOLDER", (folder_.path() / "inflight").string()},
                        {"TEST_LEDGER", ledger_.file().string()}});
    return Process{{.arguments = std::move(command),
                    .environment = std::move(environment),
                    .folder = folder_.path(),
                    .output = folder_.path() / (name + ".out"),
                    .errors = folder_.path() / (name + ".err")}};
}

Process Project::start_worker(const std::string& name, int slots,
                              std::map<std::string, std::string> environment) {
    return start(name, {"worker", "-n", name + "@%h", "-c", std::to_string(slots)},
                 std::move(environment));
}

void Project::stop(Process& worker) {
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
}

Output Project::run(std::vector<std::string> arguments) {
    const std::string name = fmt::format("command-{}", ++commands_);
    Process process = start(name, std::move(arguments));
    const auto ending = process.wait(soon());
    EXPECT_TRUE(ending) << "the command did not end";
    return {.ending = ending.value_or(Ending{}),
            .out = text_of(folder_.path() / (name + ".out")),
            .err = text_of(folder_.path() / (name + ".err"))};
}

AsyncResult<Json> Project::send_work(const std::string& key, int milliseconds,
                                     SendOptions options) {
    Json args = Json::array({key, milliseconds});
    return app_.send_task("ledger.work", std::move(args), Json::object(), std::move(options));
}

AsyncResult<Json> Project::send_hold(const std::string& key, bool heeds_stop) {
    Json args = Json::array({key, heeds_stop});
    return app_.send_task("ledger.hold", std::move(args));
}

QueueStatus Project::queue_status() {
    return value_or_throw(app_.core()->loop().run_blocking(ask_queue_status(app_.core())));
}

std::string Project::log_of(const std::string& name) const {
    return text_of(folder_.path() / (name + ".err"));
}

std::uint16_t Project::own_port(const std::string& name) const {
    const std::string log = log_of(name);
    constexpr std::string_view kUrl = "health and metrics at http://127.0.0.1:";
    const std::size_t found = log.find(kUrl);
    if (found == std::string::npos) return 0;
    return static_cast<std::uint16_t>(std::stoul(log.substr(found + kUrl.size())));
}

std::string Project::logs() const {
    constexpr std::size_t kEndOfEach = 4'000;
    std::string text;
    for (const auto& entry : std::filesystem::directory_iterator{folder_.path()}) {
        const auto extension = entry.path().extension();
        if (extension != ".out" && extension != ".err") continue;
        const std::string log = text_of(entry.path());
        if (log.empty()) continue;
        text += fmt::format("--- {}\n{}\n", entry.path().filename().string(),
                            log.substr(log.size() - std::min(log.size(), kEndOfEach)));
    }
    return text;
}

}  // namespace lovage::integration
