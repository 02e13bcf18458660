#include "stack.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace lovage::chaos {
namespace {

constexpr std::uint32_t kTasks = 100'000;
/// Tasks that make up the pace before a fault.
constexpr std::uint32_t kWarmUp = 200;
/// What a task takes on a busy machine, when an outage has left many to be done.
constexpr auto kLongestEach = 10ms;
/// After a fault is over: unconfirmed messages are sent again, lost connections made again.
constexpr auto kAftermath = 3s;

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream{file, std::ios::binary};
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

Awaitable<std::vector<std::string>> read_states(std::shared_ptr<AppCore> core,
                                                std::vector<std::string> ids) {
    value_or_throw(co_await core->connect(soon()));
    std::vector<std::string> found;
    for (const std::string& id : ids) {
        const auto meta = value_or_throw(co_await core->results().get(id, soon()));
        found.push_back(meta ? meta->status : std::string{lovage::states::kPending});
    }
    co_return found;
}

Awaitable<std::uint64_t> count_messages(std::shared_ptr<AppCore> core, std::string queue) {
    value_or_throw(co_await core->connect(soon()));
    auto status = co_await core->broker().queue_status(std::move(queue), soon());
    if (!status && status.error().code == Errc::not_found) co_return 0;
    const QueueStatus found = value_or_throw(std::move(status));
    co_return found.ready + found.delayed + found.unsettled;
}

}  // namespace

Stack::Stack()
    : ledger_{TaskLedger::create(folder_.path() / "ledger", kTasks)}, run_{uuid4().substr(0, 8)} {
    register_default_drivers();
    log::configure({.level = log::Level::off});  // the programs under test have logs of their own
}

Stack::~Stack() {
    if (producer_) stop(*producer_);
    if (worker_) stop(*worker_);
    if (api_) stop(*api_);
    if (HasFailure()) std::fputs(logs(40'000).c_str(), stderr);
}

Process Stack::start(const std::string& name, std::vector<std::string> arguments,
                     std::map<std::string, std::string> environment) {
    environment.insert({{"LOVAGE_BROKER_URL", servers_.broker},
                        {"LOVAGE_WORKER_INFLIGHT_FOLDER", (folder_.path() / "inflight").string()},
                        {"LOVAGE_RESULT_BACKEND", servers_.results},
                        {"LOVAGE_LOG_FORMAT", "text"},
                        {"CHAOS_LEDGER", folder_.path() / "ledger"},
                        {"CHAOS_RUN", run_}});
    environment.insert(settings_.begin(), settings_.end());
    const auto log = folder_.path() / (name + ".log");
    return Process{{.arguments = std::move(arguments),
                    .environment = std::move(environment),
                    .folder = folder_.path(),
                    .output = log,
                    .errors = log}};
}

void Stack::start_worker(const std::string& name, std::map<std::string, std::string> environment) {
    worker_ = start(name,
                    {LOVAGE_CHAOS_APP, "worker", "-P", pool_, "-n", name + "@%h", "-c",
                     std::to_string(kSlots), "-l", "warning"},
                    std::move(environment));
}

void Stack::start_producer(double rate, std::chrono::milliseconds each, const std::string& task,
                           std::map<std::string, std::string> environment) {
    producer_ = start(
        "producer",
        {LOVAGE_CHAOS_APP, "produce", std::to_string(rate), std::to_string(each.count()), task},
        std::move(environment));
}

std::uint16_t Stack::start_api() {
    api_ = start("api", {LOVAGE_PROJECT_API, "--port", "0"},
                 {{"LOVAGE_TASK_PUBLISH_TIMEOUT", std::to_string(kPublishTimeout / 1s)}});
    return port_in_log("api", " listens on http://127.0.0.1:");
}

std::uint16_t Stack::port_in_log(const std::string& name, const std::string& text) const {
    std::uint16_t port = 0;
    if (wait_for_log(name, text, soon())) {
        const std::string log = log_of(name);
        const char* const number = log.data() + log.find(text) + text.size();
        std::from_chars(number, log.data() + log.size(), port);
    }
    EXPECT_NE(port, 0) << "no port in the log of " << name;
    return port;
}

void Stack::start_load() {
    start_worker();
    start_producer();
    wait_for_progress(kWarmUp);
}

void Stack::stop(Process& process) {
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(soon()), Ending{.exit_code = 0});
}

void Stack::stop_producer() {
    stop(*producer_);
    producer_.reset();
}

void Stack::wait_for_progress(std::uint32_t tasks, Deadline deadline) {
    std::uint32_t effects = 0;
    std::uint32_t highest = 0;
    for (std::uint32_t task = 0; task < ledger_.tasks(); ++task) {
        if (ledger_.effects(task) == 0) continue;
        ++effects;
        highest = task;
    }
    // Numbers go up as tasks are sent, nearly in order: counting goes on where it ended.
    const std::uint32_t from = effects == 0 ? 0 : highest + 1;
    std::uint32_t beyond = 0;
    EXPECT_TRUE(ledger_.wait_until(
        [&] {
            beyond = 0;
            for (std::uint32_t task = from; task < kTasks && beyond < tasks; ++task) {
                beyond += ledger_.effects(task) > 0 ? 1 : 0;
            }
            return beyond >= tasks;
        },
        deadline))
        << "the work has stopped: " << beyond << " further tasks ran instead of " << tasks;
}

std::optional<Clock::time_point> Stack::full_rate_from(TaskLedger::Event event,
                                                       Clock::time_point earliest) const {
    std::vector<Clock::time_point> times;
    for (const TaskLedger::Entry& entry : ledger_.trace()) {
        if (entry.event == event && entry.time >= earliest) times.push_back(entry.time);
    }
    std::ranges::sort(times);
    for (std::size_t first = 0; first + kFullSecond <= times.size(); ++first) {
        if (times[first + kFullSecond - 1] - times[first] <= 1s) return times[first];
    }
    return std::nullopt;
}

Clock::time_point Stack::end_connections(testing_support::TcpProxy& proxy,
                                         testing_support::Ending ending, std::uint64_t connections,
                                         Clock::duration noticed) {
    const auto before = proxy.counts();
    const auto fault = Clock::now();
    proxy.end_connections(ending);
    EXPECT_GE(proxy.counts().broken - before.broken, connections);
    EXPECT_TRUE(proxy.wait_until(
        [&](const auto& counts) { return counts.accepted >= before.accepted + connections; },
        Deadline::at(fault + noticed)))
        << "connected again: " << proxy.counts().accepted - before.accepted;
    return fault;
}

void Stack::expect_recovery(Clock::time_point back) const {
    using Event = TaskLedger::Event;
    // It takes a second to see that a rate is full.
    const Deadline seen = Deadline::at(back + kBackAtFullRate + 2s);
    while (!seen.passed() &&
           !(full_rate_from(Event::accepted, back) && full_rate_from(Event::effect, back))) {
        let_pass(200ms);
    }
    for (const auto& [event, name] :
         {std::pair{Event::accepted, "sending"}, std::pair{Event::effect, "running"}}) {
        const auto recovered = full_rate_from(event, back);
        if (!recovered) {
            ADD_FAILURE() << name << " did not reach its full rate again";
            continue;
        }
        const std::chrono::duration<double> took = *recovered - back;
        fmt::print("{}: full rate {:.2f} s after the server was back\n", name, took.count());
        EXPECT_LE(took, kBackAtFullRate) << name;
    }
}

void Stack::note_fault(Clock::time_point begin, std::vector<pid_t> befell) {
    faults_.push_back({begin, Clock::now() + kAftermath, std::move(befell)});
}

void Stack::expect_all_well(Clock::time_point fault, Clock::time_point back,
                            std::vector<pid_t> befell) {
    note_fault(fault, std::move(befell));
    expect_recovery(back);
    expect_contract();
    expect_results(servers_.results);
}

void Stack::allow_resends() {
    faults_.push_back(
        {Clock::time_point::min(), Clock::time_point::max(), {}, /*only_resent=*/true});
}

std::vector<std::uint32_t> Stack::accepted_since(Clock::time_point from) const {
    std::map<std::uint32_t, Clock::time_point> first_word;
    for (const TaskLedger::Entry& entry : ledger_.trace()) {
        const auto [known, added] = first_word.emplace(entry.task, entry.time);
        if (!added) known->second = std::min(known->second, entry.time);
    }
    std::vector<std::uint32_t> tasks;
    for (const auto& [task, time] : first_word) {
        if (time >= from && ledger_.accepted(task)) tasks.push_back(task);
    }
    return tasks;
}

void Stack::expect_contract(Clock::time_point owed_from) {
    if (producer_) stop_producer();
    const std::vector<std::uint32_t> owed = accepted_since(owed_from);
    EXPECT_GE(owed.size(), kFullSecond);
    std::size_t done = 0;
    EXPECT_TRUE(ledger_.wait_until(
        [&] {
            while (done < owed.size() && ledger_.effects(owed[done]) > 0) ++done;
            return done == owed.size();
        },
        Deadline::in(kPatience + owed.size() * kLongestEach)))
        << "accepted tasks did not run";
    // The last results and acks are on their way.
    stop(*worker_);
    worker_.reset();
    TaskLedger::Report report = ledger_.check(faults_);
    fmt::print("{}\n", report.describe());
    std::erase_if(report.lost,
                  [&](std::uint32_t task) { return !std::ranges::binary_search(owed, task); });
    EXPECT_TRUE(report.holds()) << report;
    EXPECT_THAT(logs(), testing::Not(testing::HasSubstr("unknown delivery tag")))
        << "a stale ack was sent";
}

void Stack::let_pass(Clock::duration time) const {
    (void)ledger_.wait_until([] { return false; }, Deadline::in(time));
}

std::string Stack::id_of(std::uint32_t task) const {
    return fmt::format("{}-0000-4000-8000-{:012d}", run_, task);
}

std::map<std::uint32_t, std::string> Stack::states(const std::string& results_url) const {
    Settings settings;
    settings.broker_url = "memory://chaos";
    settings.result_backend = results_url;
    const App app{"chaos-results", settings};
    std::vector<std::uint32_t> tasks;
    std::vector<std::string> ids;
    for (std::uint32_t task = 0; task < kTasks; ++task) {
        if (!ledger_.accepted(task)) continue;
        tasks.push_back(task);
        ids.push_back(id_of(task));
    }
    const auto found = app.core()->loop().run_blocking(read_states(app.core(), std::move(ids)));
    std::map<std::uint32_t, std::string> states;
    for (std::size_t i = 0; i < tasks.size(); ++i) states.emplace(tasks[i], found.at(i));
    return states;
}

void Stack::expect_results(const std::string& results_url) const {
    std::vector<std::string> missing;
    for (const auto& [task, state] : states(results_url)) {
        if (state != lovage::states::kSuccess) missing.push_back(id_of(task));
    }
    EXPECT_THAT(missing, testing::IsEmpty()) << "accepted tasks without a result";
}

std::uint64_t Stack::messages_in(const std::string& queue) const {
    Settings settings;
    settings.broker_url = servers_.broker;
    settings.result_backend = "memory://chaos";
    const App app{"chaos-queues", settings};
    return app.core()->loop().run_blocking(count_messages(app.core(), queue));
}

std::string Stack::log_of(const std::string& name) const {
    return text_of(folder_.path() / (name + ".log"));
}

bool Stack::wait_for_log(const std::string& name, const std::string& text,
                         Deadline deadline) const {
    const auto file = folder_.path() / (name + ".log");
    const int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(changes, file.c_str(), IN_MODIFY);
    bool found = false;
    while (!(found = text_of(file).contains(text)) && !deadline.passed()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
        pollfd changed{.fd = changes, .events = POLLIN, .revents = 0};
        poll(&changed, 1, static_cast<int>(left.count()));
        std::array<char, 4096> events;
        while (::read(changes, events.data(), events.size()) > 0) {
        }
    }
    ::close(changes);
    return found;
}

std::string Stack::logs(std::size_t end_of_each) const {
    std::string text;
    for (const auto& entry : std::filesystem::directory_iterator{folder_.path()}) {
        if (entry.path().extension() != ".log") continue;
        const std::string log = text_of(entry.path());
        text += fmt::format("--- {}\n{}\n", entry.path().filename().string(),
                            log.substr(log.size() - std::min(log.size(), end_of_each)));
    }
    return text;
}

}  // namespace lovage::chaos
