#include <lovage/app/app_core.hpp>
#include <lovage/cli/commands.hpp>

#include <chrono>
#include <ostream>

namespace lovage::cli {

namespace {
constexpr std::chrono::seconds kGraphPatience{30};
}  // namespace

int run_graph(App& app, const GraphArguments& arguments, Console& console) {
    const auto graph = app.core()->loop().run_blocking(
        app.async_result(arguments.task_id).graph_async(Deadline::in(kGraphPatience)));
    if (!graph) return report(console, graph.error());
    if (arguments.format == GraphArguments::Format::dot) {
        console.out << graph->to_dot();
    } else {
        console.out << to_json_text(graph->to_json()) << '\n';
    }
    return kSuccess;
}

}  // namespace lovage::cli
