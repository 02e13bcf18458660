// The commands that look at queues: status and purge.
#include <lovage/cli/commands.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/drivers.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/cli/remote_text.hpp>
#include <lovage/cli/table.hpp>
#include <lovage/control/control_names.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/runtime/url.hpp>

#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// One server as `status` shows it.
struct Server {
    std::string url;  ///< Without secrets.
    std::optional<Error> problem;
};

struct Report {
    Server broker;
    Server results;
    std::vector<std::pair<std::string, QueueStatus>> queues;
    Result<NodeReplies> nodes;
};

using CorePtr = std::shared_ptr<AppCore>;

/// Whether a queue is one of remote control or of somebody who follows events.
bool is_of_tools(const std::string& queue, const Settings& settings) {
    return queue.ends_with('.' + ControlNames{settings.control_exchange}.request_exchange()) ||
           queue.starts_with(settings.event_queue_prefix + '.');
}

/// What the nodes of a reply to `ping` consume: not every broker lists its queues.
Awaitable<std::set<std::string>> consumed_queues(Broker* broker, CorePtr core, NodeReplies nodes,
                                                 std::chrono::milliseconds timeout) {
    std::set<std::string> names;
    if (nodes.empty()) co_return names;
    ControlOptions asking{.timeout = timeout};
    for (const auto& [node, pong] : nodes) asking.destination.push_back(node);
    const auto replies = co_await ask_nodes(*broker, core->settings(), core->clock(),
                                            control::inspect("active_queues"), std::move(asking));
    if (!replies) co_return names;
    for (const auto& [node, queues] : *replies) {
        if (!queues.is_array()) continue;
        for (const Json& queue : queues.as_array()) {
            const Json* const name = queue.find("name");
            if (name != nullptr && name->is_string()) names.insert(name->as_string());
        }
    }
    co_return names;
}

/// The queues of these names, and all that the broker lists, with their counts; a queue that does
/// not exist is left out, and so is one that another connection has for itself.
Awaitable<Result<void>> read_queues(Broker* broker, CorePtr core, std::set<std::string> names,
                                    Report* report, Deadline deadline) {
    auto listed = co_await broker->list_queues(deadline);
    if (!listed) co_return std::unexpected{std::move(listed.error())};
    names.insert(listed->begin(), listed->end());
    for (const std::string& name : names) {
        if (is_of_tools(name, core->settings())) continue;
        const auto status = co_await broker->queue_status(name, deadline);
        if (status) {
            report->queues.emplace_back(name, *status);
        } else if (status.error().code != Errc::not_found &&
                   status.error().code != Errc::conflict) {
            co_return std::unexpected{status.error()};
        }
    }
    co_return Result<void>{};
}

/// Broker and result backend get connections of their own, so that one's failure does not hide the
/// other.
Awaitable<Report> read_report(CorePtr core, std::vector<std::string> known,
                              StatusArguments wanted) {
    const Settings& settings = core->settings();
    Report report{{display_urls(settings.broker_url), std::nullopt},
                  {display_urls(settings.result_backend), std::nullopt},
                  {},
                  {}};
    // Both before either connects: an unknown scheme throws.
    const auto broker = make_broker(core->loop().executor(), settings);
    const auto results = make_results(core->loop().executor(), settings);
    Result<void> done = co_await broker->connect(Deadline::in(wanted.timeout));
    if (done) {
        ControlOptions asking{.destination = std::move(wanted.destination),
                              .timeout = wanted.node_timeout};
        report.nodes = co_await ask_nodes(*broker, settings, core->clock(), control::ping(),
                                          std::move(asking));
        auto names = co_await consumed_queues(
            broker.get(), core, report.nodes.value_or(NodeReplies{}), wanted.node_timeout);
        names.insert(known.begin(), known.end());
        done = co_await read_queues(broker.get(), core, std::move(names), &report,
                                    Deadline::in(wanted.timeout));
    }
    if (!done) report.broker.problem = std::move(done.error());

    const Deadline for_results = Deadline::in(wanted.timeout);
    done = co_await results->connect(for_results);
    if (!done) report.results.problem = std::move(done.error());

    const Deadline closing = Deadline::in(std::chrono::seconds{5});
    co_await broker->close(closing);
    co_await results->close(closing);
    co_return report;
}

Json server_json(const Server& server) {
    Json json = Json::object();
    json.set("url", server.url);
    json.set("reachable", !server.problem);
    json.set("error", server.problem ? Json{server.problem->message()} : Json{});
    return json;
}

Json report_json(const Report& report) {
    Json queues = Json::array();
    for (const auto& [name, status] : report.queues) {
        Json queue = Json::object();
        queue.set("name", name);
        queue.set("ready", status.ready);
        queue.set("delayed", status.delayed);
        queue.set("unsettled", status.unsettled);
        queue.set("consumers", status.consumers);
        queues.push_back(std::move(queue));
    }
    Json json = Json::object();
    const NodeReplies nodes = report.nodes.value_or(NodeReplies{});
    json.set("nodes", Json::object({nodes.begin(), nodes.end()}));
    json.set("broker", server_json(report.broker));
    json.set("result_backend", server_json(report.results));
    json.set("queues", std::move(queues));
    return json;
}

std::string report_text(const Report& report) {
    Table servers{{{"server"}, {"url"}, {"state"}}};
    const auto state = [](const Server& server) {
        if (!server.problem) return std::string{"reachable"};
        const bool late = server.problem->code == Errc::deadline_exceeded;
        return (late ? "no answer in time: " : "unreachable: ") + server.problem->detail;
    };
    servers.add_row({"broker", report.broker.url, state(report.broker)});
    servers.add_row({"result backend", report.results.url, state(report.results)});
    std::string text = servers.text();
    if (report.broker.problem) return text;
    if (report.nodes && !report.nodes->empty()) {
        text +=
            fmt::format("\n{}\n{} online.\n", remote_text("ping", *report.nodes, wall_clock_now()),
                        count_of(report.nodes->size(), "node"));
    }
    if (report.queues.empty()) return text + "\nNo queues yet.\n";

    using enum Table::Align;
    Table queues{{{"queue"},
                  {"ready", right},
                  {"delayed", right},
                  {"unsettled", right},
                  {"consumers", right}}};
    for (const auto& [name, status] : report.queues) {
        queues.add_row({name, std::to_string(status.ready), std::to_string(status.delayed),
                        std::to_string(status.unsettled), std::to_string(status.consumers)});
    }
    return text + '\n' + queues.text();
}

struct Waiting {
    std::string queue;
    std::uint64_t messages = 0;
};

/// What `purge` finds.
struct Purgeable {
    std::vector<Waiting> queues;
    std::vector<std::string> missing;  ///< Queues that do not exist.
};

Awaitable<Result<Purgeable>> find_purgeable(CorePtr core, std::vector<std::string> queues,
                                            Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    Purgeable found;
    for (std::string& queue : queues) {
        const auto status = co_await core->broker().queue_status(queue, deadline);
        if (status) {
            found.queues.push_back({std::move(queue), status->ready + status->delayed});
        } else if (status.error().code == Errc::not_found) {
            found.missing.push_back(std::move(queue));
        } else {
            co_return std::unexpected{status.error()};
        }
    }
    co_return found;
}

Awaitable<Result<std::uint64_t>> purge_queues(CorePtr core, std::vector<Waiting> queues,
                                              Deadline deadline) {
    std::uint64_t erased = 0;
    for (const Waiting& queue : queues) {
        const auto count = co_await core->broker().purge(queue.queue, deadline);
        // It may have been deleted meanwhile.
        if (!count && count.error().code != Errc::not_found)
            co_return std::unexpected{count.error()};
        erased += count.value_or(0);
    }
    co_return erased;
}

bool confirm_purge(Console& console, const std::vector<Waiting>& queues) {
    Table table{{{"queue"}, {"waiting", Table::Align::right}}};
    for (const Waiting& queue : queues) {
        table.add_row({queue.queue, std::to_string(queue.messages)});
    }
    console.out << table.text() << '\n';
    if (confirm(console, "Erase these messages for good?")) return true;
    console.err << "Nothing was erased.\n";
    return false;
}

}  // namespace

int run_status(App& app, const StatusArguments& arguments, Console& console) {
    std::vector<std::string> queues = known_queues(app);
    for (const std::string& queue : known_queues(app)) queues.push_back(quarantine_queue(queue));
    const Report found =
        app.core()->loop().run_blocking(read_report(app.core(), std::move(queues), arguments));
    console.out << (arguments.json ? to_json_text(report_json(found)) + '\n' : report_text(found));
    if (found.broker.problem || found.results.problem) return kUnreachable;
    if (!found.nodes) return report(console, found.nodes.error());
    return found.nodes->empty() ? report_no_nodes(console) : kSuccess;
}

int run_purge(App& app, const PurgeArguments& arguments, Console& console) {
    constexpr std::chrono::seconds kPatience{30};
    const bool named = !arguments.queues.empty();
    Loop& loop = app.core()->loop();
    auto found = loop.run_blocking(find_purgeable(
        app.core(), named ? arguments.queues : known_queues(app), Deadline::in(kPatience)));
    if (!found) return report(console, found.error());
    if (named) {
        for (const std::string& queue : found->missing) {
            console.err << "Error: there is no queue '" << lovage::detail::printable_line(queue)
                        << "'\n";
        }
    }
    const std::size_t count = found->queues.size();
    if (count == 0) {
        if (!named) console.out << "No queues yet.\n";
        return named ? kFailure : kSuccess;
    }
    if (!arguments.force && !confirm_purge(console, found->queues)) return kFailure;
    const auto erased = loop.run_blocking(
        purge_queues(app.core(), std::move(found->queues), Deadline::in(kPatience)));
    if (!erased) return report(console, erased.error());
    console.out << fmt::format("Purged {} from {}.\n", count_of(*erased, "message"),
                               count_of(count, "queue"));
    return kSuccess;
}

}  // namespace lovage::cli
