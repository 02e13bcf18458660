// A Lovage program with the tasks of tasks.py, for Python to call: the same names, the same
// answers.

#include <lovage/lovage.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

using lovage::arg;
using lovage::Json;

/// The folder where tasks leave marks and wait for gates.
std::filesystem::path folder() {
    const char* const path = std::getenv("INTEROP_FOLDER");
    if (path == nullptr) throw std::runtime_error{"INTEROP_FOLDER is not set"};
    return path;
}

Json about(lovage::TaskContext& context, const std::vector<std::string>& header_names) {
    const auto& request = context.request();
    Json headers = Json::object();
    for (const std::string& name : header_names) {
        const Json* value = request.headers.find(name);
        headers.set(name, value != nullptr ? *value : Json{});
    }
    return Json::object({{"id", request.id},
                         {"root_id", request.root_id},
                         {"correlation_id", request.correlation_id},
                         {"retries", request.retries},
                         {"headers", std::move(headers)}});
}

void fail(const std::string& kind, const std::string& message) {
    if (kind == "ValueError") throw std::invalid_argument{message};
    if (kind == "IndexError") throw std::out_of_range{message};
    if (kind == "RuntimeError") throw std::runtime_error{message};
    if (kind == "OutOfStock") throw lovage::TaskError{kind, message, "shop.errors"};
    if (kind == "Refused") throw lovage::TaskError{kind, message, "tasks"};
    throw lovage::TaskError{kind, message};
}

/// One line, written at once.
void mark(const std::string& key) {
    const std::string line = key + "\n";
    const int file =
        open((folder() / "marks").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const bool written = write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    close(file);
    if (!written) throw std::runtime_error{"the mark cannot be written"};
}

/// Ends when the file `key` appears.
std::string hold(const std::string& key) {
    while (!std::filesystem::exists(folder() / key)) {
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return key;
}

/// Fails until it has run `failures` times more, then says how often it was run again.
std::int64_t flaky(lovage::TaskContext& context, std::int64_t failures, double countdown) {
    if (context.retries() >= failures) return context.retries();
    const auto wait = std::chrono::milliseconds{static_cast<std::int64_t>(countdown * 1000)};
    context.retry(
        {.countdown = wait, .cause = std::make_exception_ptr(std::runtime_error{"try again"})});
}

/// Goes round by retries and returns who ran it.
std::vector<std::string> relay(lovage::TaskContext& context, std::vector<std::string> runners,
                               std::int64_t hops) {
    runners.emplace_back("c++");
    if (static_cast<std::int64_t>(runners.size()) < hops) {
        context.retry({.countdown = std::chrono::milliseconds{0},
                       .args = Json::array({lovage::to_json(runners), hops})});
    }
    return runners;
}

/// One stop more on the way through a workflow.
std::vector<std::string> visit(std::vector<std::string> visited) {
    visited.emplace_back("c++");
    return visited;
}

std::int64_t total(const std::vector<std::int64_t>& numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
}

std::string flat(const Json& value) {
    if (!value.is_array()) return value.as_string();
    std::string text;
    for (const Json& part : value.as_array()) text += flat(part);
    return text;
}

/// Associative: how results lie in lists makes no difference, in which order they come does.
std::string append(const Json& value, const std::string& word) {
    return flat(lovage::value_or_throw(value.fully_expanded())) + word;
}

/// Ends when it is asked to.
void spin(lovage::TaskContext& context) {
    while (true) {
        context.checkpoint();
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
}

/// Tells how far it is, in events of its own.
void tell(lovage::TaskContext& context, std::int64_t steps) {
    for (std::int64_t done = 1; done <= steps; ++done) {
        context.send_event("task-progress", Json::object({{"done", done}}));
    }
}

}  // namespace

int main(int argc, char** argv) {
    // Whatever becomes of the test, its processes end with it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lovage::App app{"interop"};
    app.task(
        "tasks.add", [](std::int64_t x, std::int64_t y) { return x + y; }, arg("x"), arg("y") = 10);
    app.task("tasks.echo", [](Json value) { return value; }, arg("value"));
    app.task("tasks.echo_bytes", [](lovage::Bytes data) { return data; }, arg("data"));
    app.task("tasks.echo_time", [](lovage::TimePoint moment) { return moment; }, arg("moment"));
    app.task("tasks.about", about, arg("header_names") = std::vector<std::string>{});
    app.task("tasks.fail", fail, arg("kind"), arg("message"));
    app.task("tasks.mark", mark, arg("key"));
    app.task("tasks.quiet", mark, arg("key"));
    app.task("tasks.hold", hold, arg("key"));
    app.task("tasks.flaky", flaky, arg("failures"), arg("countdown") = 0.2);
    app.task("tasks.relay", relay, arg("runners"), arg("hops")).max_retries(std::nullopt);
    app.task("tasks.spin", spin);
    app.task("tasks.tell", tell, arg("steps"));
    app.task("tasks.who", [] { return std::string{"c++"}; });
    app.task("tasks.visit", visit, arg("visited") = std::vector<std::string>{});
    app.task("tasks.total", total, arg("numbers"));
    app.task("tasks.append", append, arg("value"), arg("word"));
    app.task(
        "tasks.spawn",
        [&app](std::int64_t x, const std::string& queue) {
            return app.send_task("tasks.add", Json::array({x}), Json::object(), {.queue = queue})
                .id();
        },
        arg("x"), arg("queue"));
    app.task(
        "tasks.spawn_chord",
        [&app](const std::vector<std::string>& queues) {
            std::vector<lovage::Canvas<>> header;
            for (std::size_t i = 0; i + 1 < queues.size(); ++i) {
                header.push_back(app.signature("tasks.add", i, i).set({.queue = queues[i]}));
            }
            const auto body = app.signature("tasks.total").set({.queue = queues.back()});
            return lovage::chord(header, body).delay().id();
        },
        arg("queues"));
    return lovage::main(app, argc, argv);
}
