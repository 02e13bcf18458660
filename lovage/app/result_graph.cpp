#include <lovage/app/result_graph.hpp>

#include <string_view>

#include <fmt/format.h>

#include <lovage/core/task_meta.hpp>

namespace lovage {
namespace {

/// A text between quotes in Graphviz's language; what would break a line is left out.
std::string dot_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) >= 0x20) out += c;
    }
    return out + "\"";
}

std::string_view color_of(std::string_view state) {
    if (state == states::kSuccess) return "palegreen";
    if (state == states::kFailure) return "lightcoral";
    if (state == states::kRevoked) return "orange";
    if (state == states::kPending) return "white";
    return "lightyellow";
}

/// As much of an id as tells it from others at a glance.
std::string_view short_id(std::string_view id) {
    constexpr std::size_t kShown = 8;
    return id.substr(0, kShown);
}

}  // namespace

std::string ResultGraph::to_dot() const {
    std::string dot = "digraph workflow {\n    node [style=filled];\n";
    for (const Node& node : nodes) {
        // Two labels with a line break between them: only what stands around it is text of others.
        std::string label = dot_text(node.group ? "group" : node.name.empty() ? "task" : node.name);
        label.pop_back();
        label += "\\n" + dot_text(short_id(node.id)).substr(1);
        if (!node.group) {
            label.pop_back();
            label += "\\n" + dot_text(node.state).substr(1);
        }
        dot += fmt::format("    {} [label={}, shape={}, fillcolor={}];\n", dot_text(node.id), label,
                           node.group ? "ellipse" : "box",
                           node.group ? "lightgrey" : color_of(node.state));
    }
    for (const Edge& edge : edges) {
        dot += fmt::format("    {} -> {};\n", dot_text(nodes[edge.from].id),
                           dot_text(nodes[edge.to].id));
    }
    return dot + "}\n";
}

Json ResultGraph::to_json() const {
    Json all = Json::array();
    for (const Node& node : nodes) {
        const auto or_null = [](const std::string& text) {
            return text.empty() ? Json{} : Json{text};
        };
        all.push_back(Json::object({{"id", node.id},
                                    {"type", node.group ? "group" : "task"},
                                    {"name", or_null(node.name)},
                                    {"state", or_null(node.state)}}));
    }
    Json pairs = Json::array();
    for (const Edge& edge : edges) {
        pairs.push_back(Json::object({{"from", nodes[edge.from].id}, {"to", nodes[edge.to].id}}));
    }
    return Json::object({{"nodes", std::move(all)}, {"edges", std::move(pairs)}});
}

}  // namespace lovage
