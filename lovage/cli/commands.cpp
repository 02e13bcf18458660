#include <lovage/cli/commands.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <istream>
#include <map>
#include <ostream>
#include <set>
#include <string_view>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

int exit_code_of(Errc code) {
    switch (code) {
        case Errc::disconnected:
        case Errc::unavailable:
        case Errc::deadline_exceeded:
            return kUnreachable;
        case Errc::invalid_argument:
            return kUsage;
        default:
            return kFailure;
    }
}

}  // namespace

int report(Console& console, const Error& error) {
    const std::string& text = error.detail.empty() ? error.message() : error.detail;
    console.err << "Error: " << lovage::detail::printable_line(text) << '\n';
    return exit_code_of(error.code);
}

bool confirm(Console& console, const std::string& question) {
    console.out << question << " (yes/NO) " << std::flush;
    std::string answer;
    if (!std::getline(console.in, answer)) console.out << '\n';
    return answer == "yes" || answer == "y" || answer == "YES" || answer == "Y";
}

std::vector<std::string> known_queues(App& app) {
    const Settings& settings = app.settings();
    std::set<std::string> names{settings.task_default_queue};
    for (const auto& [pattern, route] : settings.task_routes) names.insert(route.queue);
    for (const std::string& name : app.tasks().names()) {
        names.insert(app.tasks().find(name)->options.queue);
    }
    names.erase("");
    return {names.begin(), names.end()};
}

std::string unserved_tasks(App& app, const std::vector<std::string>& queues) {
    std::map<std::string, std::string> tasks_by_queue;
    for (const std::string& name : app.tasks().names()) {
        // As a send without a queue of its own goes.
        std::string queue = app.tasks().find(name)->options.queue;
        if (queue.empty()) queue = app.core()->router().route(name).queue;
        if (queue.empty()) queue = app.settings().task_default_queue;
        if (std::ranges::find(queues, queue) != queues.end()) continue;
        std::string& tasks = tasks_by_queue[queue];
        tasks += (tasks.empty() ? "" : ", ") + name;
    }
    std::string text;
    for (const auto& [queue, tasks] : tasks_by_queue) {
        text += fmt::format("{}{} ({})", text.empty() ? "" : "; ", queue, tasks);
    }
    return text;
}

int run_call(App& app, const CallArguments& arguments, Console& console) {
    try {
        const auto result =
            app.send_task(arguments.task, arguments.args, arguments.kwargs, arguments.options);
        console.out << result.id() << '\n';
        return kSuccess;
    } catch (const SendError& problem) {
        if (problem.outcome() == SendOutcome::unknown) {
            console.err << "The task may have been sent, as " << problem.task_id()
                        << "; nobody confirmed it.\n";
        }
        return report(console, problem.error());
    }
}

namespace {

/// What `result` prints for a value: a string as it is, anything else as JSON.
std::string shown_value(const Json& value) {
    if (value.is_raw()) {
        if (const auto read = value.expanded(); read && read->is_string()) return read->as_string();
    }
    return value.is_string() ? value.as_string() : to_json_text(value);
}

int show_failure(Console& console, const TaskMeta& meta) {
    const auto failure = meta.failure();
    console.err << meta.status << ": ";
    if (failure) {
        console.err << lovage::detail::printable_line(failure->exc_type);
        if (!failure->exc_message.empty()) {
            console.err << ": " << lovage::detail::printable_line(failure->exc_message);
        }
    }
    console.err << '\n';
    return kFailure;
}

}  // namespace

namespace {

/// The task is not ready in time: says what is known of it.
int report_not_ready(App& app, const AsyncResultBase& task, Console& console) {
    constexpr std::chrono::seconds kPatience{5};
    const auto now = app.core()->loop().run_blocking(task.meta_async(Deadline::in(kPatience)));
    if (!now) return report(console, now.error());
    console.err << "Error: task " << lovage::detail::printable_line(task.id())
                << " is not ready in time; its state is "
                << lovage::detail::printable_line(now->status);
    if (now->status == states::kPending) console.err << ", as that of an id which nobody sent";
    console.err << '\n';
    return kFailure;
}

}  // namespace

int run_result(App& app, const ResultArguments& arguments, Console& console) {
    // "No limit" is a year: long enough, and nothing waits without a deadline.
    const auto patience = arguments.timeout.value_or(std::chrono::hours{24 * 365});
    const auto task = app.async_result(arguments.task_id);
    const auto meta = app.core()->loop().run_blocking(task.wait_async(Deadline::in(patience)));
    if (!meta) {
        if (meta.error().code != Errc::deadline_exceeded) return report(console, meta.error());
        return report_not_ready(app, task, console);
    }
    if (arguments.traceback) {
        std::string text;
        const std::string traceback = meta->traceback.value_or("");
        lovage::detail::append_printable(text, traceback, lovage::detail::Lines::keep);
        console.out << (traceback.empty() ? "There is no traceback." : text) << '\n';
        return meta->status == states::kSuccess ? kSuccess : kFailure;
    }
    if (meta->status != states::kSuccess) return show_failure(console, *meta);
    console.out << shown_value(meta->result) << '\n';
    return kSuccess;
}

}  // namespace lovage::cli
