// The commands that talk to workers: inspect and control.
#include <lovage/cli/commands.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/cli/remote_text.hpp>
#include <lovage/cli/table.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// Celery's program prints for `inspect` a map, for `control` a list of maps with one node each.
Json replies_json(RemoteKind kind, const NodeReplies& replies) {
    Json map = Json::object({replies.begin(), replies.end()});
    if (kind == RemoteKind::inspect) return map;
    Json list = Json::array();
    for (auto& member : map.as_object()) list.push_back(Json::object({std::move(member)}));
    return list;
}

/// Nobody answers a shutdown: those that are there are asked for their names first.
Result<NodeReplies> shut_down(App& app, ControlOptions options) {
    Loop& loop = app.core()->loop();
    auto nodes = loop.run_blocking(app.control().broadcast_async(control::ping(), options));
    if (!nodes || nodes->empty()) return nodes;
    options.destination.clear();
    for (auto& [node, reply] : *nodes) {
        options.destination.push_back(node);
        reply = Json::object({{"ok", "told to shut down"}});
    }
    options.reply = false;
    auto told =
        loop.run_blocking(app.control().broadcast_async(control::shutdown(), std::move(options)));
    if (!told) return told;
    return nodes;
}

void report_missing(const std::vector<std::string>& destination, const NodeReplies& replies,
                    Console& console) {
    for (const std::string& node : destination) {
        if (replies.contains(node)) continue;
        console.err << fmt::format("No reply from {}\n", lovage::detail::printable_line(node));
    }
}

}  // namespace

int report_no_nodes(Console& console) {
    console.err << "Error: No nodes replied within time constraint\n";  // Celery's words
    return kUnreachable;
}

int run_remote(App& app, const RemoteArguments& arguments, Console& console) {
    const std::string& method = arguments.command.method;
    const ControlOptions options{.destination = arguments.destination,
                                 .timeout = arguments.timeout};
    const auto replies = method == "shutdown"
                             ? shut_down(app, options)
                             : app.core()->loop().run_blocking(
                                   app.control().broadcast_async(arguments.command, options));
    if (!replies) return report(console, replies.error());
    if (replies->empty()) return report_no_nodes(console);
    if (arguments.json) {
        console.out << to_json_text(replies_json(arguments.kind, *replies)) << '\n';
    } else {
        console.out << remote_text(method, *replies, wall_clock_now());
        if (arguments.kind == RemoteKind::inspect) {
            console.out << fmt::format("\n{} online.\n", count_of(replies->size(), "node"));
        }
    }
    report_missing(arguments.destination, *replies, console);
    const bool refused =
        std::ranges::any_of(*replies, [](const auto& reply) { return is_refusal(reply.second); });
    return refused ? kFailure : kSuccess;
}

}  // namespace lovage::cli
